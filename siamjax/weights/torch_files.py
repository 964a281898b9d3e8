"""PyTorch's two file formats: zip archives since 1.6, and the stream of pickles before.

Both are read; the stream is written. PySOT's and DaSiamRPN's published files are streams.
"""

import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from siamjax.weights import WeightsError
from siamjax.weights.unpickle import Storage, StorageType, StorageView, safe_load

# The start of a stream. Reference: torch/serialization.py.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read_archive(archive: zipfile.ZipFile) -> Any:
    """The saved object, with every tensor as a `Tensor`, readable while the archive is open.

    Raises `WeightsError` when PyTorch did not write it, when its storages do not match its
    tensors, or when it asks for anything but tensors and plain values.
    """
    names = archive.namelist()
    pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        first = f"its first file is {names[0]!r}" if names else "it is empty"
        raise WeightsError(
            f"it is a zip archive, but not one that PyTorch writes ({first}); if the weights "
            "are inside, unpack it"
        )
    root = pickles[0].removesuffix("data.pkl")
    big = f"{root}byteorder" in names and archive.read(f"{root}byteorder") == b"big"

    def read(storage: Storage) -> np.ndarray:
        name = f"{root}data/{storage.key}"
        expected = storage.size * storage.kind.itemsize
        if name not in names or archive.getinfo(name).file_size != expected:
            raise WeightsError(
                f"`{name}` is missing or has not {expected} bytes; the file is damaged"
            )
        return storage.kind.decode(archive.read(name), ">" if big else "<")

    def storage_of(reference: tuple) -> Storage:
        kind, key, _, size = reference[:4]
        return _storage(kind, key, size, read)

    with archive.open(pickles[0]) as file:
        return safe_load(file, storage_of)


def _storage(kind, key, size, read) -> Storage:
    if not isinstance(kind, StorageType) or type(size) is not int or size < 0:
        raise WeightsError(f"the description of storage {key!r} is invalid")
    return Storage(kind, str(key), size, read)


def read_stream(file: IO[bytes]) -> Any:
    """As `read_archive`, for a stream of pickles, read from its start."""
    storages: dict[str, Storage] = {}
    places: dict[str, int] = {}

    def read(storage: Storage) -> np.ndarray:
        file.seek(places[storage.key])
        return storage.kind.decode(file.read(storage.size * storage.kind.itemsize), "<")

    def storage_of(reference: tuple) -> Storage | StorageView:
        kind, key, _, size = reference[:4]
        storage = storages.setdefault(str(key), _storage(kind, key, size, read))
        view = reference[4] if len(reference) > 4 else None
        return storage if view is None else StorageView(storage, view[1])

    start = _stream_part(file)
    if start != MAGIC:
        raise WeightsError("it was not written by `torch.save`")
    protocol, system = _stream_part(file), _stream_part(file)
    if protocol != PROTOCOL or not isinstance(system, dict) or not system.get("little_endian"):
        raise WeightsError(
            f"it is a stream of protocol {protocol!r} from {system!r}; only protocol "
            f"{PROTOCOL} from a little-endian machine can be read"
        )
    saved = safe_load(file, storage_of)
    keys = _stream_part(file)
    if not isinstance(keys, list) or not storages.keys() <= set(keys):
        raise WeightsError("its list of storages does not match its tensors; it is damaged")
    end = os.fstat(file.fileno()).st_size
    for key in keys:
        size = int.from_bytes(file.read(8), "little")
        if key not in storages or size != storages[key].size:
            raise WeightsError(
                f"storage {key!r} has {size} numbers, unlike what its tensors say"
            )
        places[key] = file.tell()
        if file.seek(size * storages[key].kind.itemsize, os.SEEK_CUR) > end:
            raise WeightsError(
                f"it is truncated: storage {key!r} ends beyond the end of the file"
            )
    return saved


def _stream_part(file: IO[bytes]) -> Any:
    def refuse(reference: tuple):
        raise WeightsError("a storage is referenced where none can be; it is damaged")

    return safe_load(file, refuse)


_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
_TYPE_SIZES = {"short": 2, "int": 4, "long": 4}


def write_torch(file: IO[bytes], state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes float32 and int64 arrays so that `torch.load` returns them as a dict.

    Each array becomes a contiguous CPU tensor with a storage of its own. The format is the
    stream, which PyTorch reads since 0.4; PySOT's instructions ask for 0.4.1. The pickle is
    spelled out opcode by opcode, since PyTorch's functions are named in it and not here.
    """
    system = {
        "protocol_version": PROTOCOL,
        "little_endian": True,
        "type_sizes": _TYPE_SIZES,
    }
    keys = [str(i) for i in range(len(state_dict))]
    for part in (MAGIC, PROTOCOL, system):
        pickle.dump(part, file, protocol=2)
    file.write(pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.MARK)
    for key, (name, array) in zip(keys, state_dict.items(), strict=True):
        file.write(_text(name) + _tensor(key, array))
    file.write(pickle.SETITEMS + pickle.STOP)
    pickle.dump(keys, file, protocol=2)
    for array in state_dict.values():
        file.write(struct.pack("<q", array.size))
        file.write(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())


def _tensor(key: str, array: np.ndarray) -> bytes:
    """Opcodes that rebuild one tensor from storage `key`."""
    storage = _global("torch", _STORAGES[array.dtype.name])
    reference = [_text("storage"), storage, _text(key), _text("cpu"), _number(array.size)]
    strides = np.empty(array.shape, array.dtype).strides
    arguments = [
        _tuple([*reference, pickle.NONE]) + pickle.BINPERSID,
        _number(0),
        _tuple([_number(n) for n in array.shape]),
        _tuple([_number(n // array.itemsize) for n in strides]),
        pickle.NEWFALSE,
        _call(_global("collections", "OrderedDict"), []),
    ]
    return _call(_global("torch._utils", "_rebuild_tensor_v2"), arguments)


def _call(function: bytes, arguments: list[bytes]) -> bytes:
    return function + _tuple(arguments) + pickle.REDUCE


def _tuple(items: list[bytes]) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _number(number: Any) -> bytes:
    return pickle.BININT + struct.pack("<i", number)
