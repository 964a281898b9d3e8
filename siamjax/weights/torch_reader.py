"""PyTorch's two file formats: zip archives since 1.6, and the stream of pickles before.

PySOT's and DaSiamRPN's published files are streams.
"""

import os
import zipfile
from typing import Any, BinaryIO

import numpy as np

from siamjax.weights.errors import WeightsError
from siamjax.weights.unpickle import Storage, StorageType, StorageView, safe_load

# What a stream begins with. Reference: torch/serialization.py.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read_archive(archive: zipfile.ZipFile) -> Any:
    """What was saved, with every tensor as a `Tensor`, readable while the archive is open.

    Raises `WeightsError` when PyTorch did not write it, when it does not hold what its
    tensors say, or when it asks for anything but tensors and plain values.
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
    order = "<"
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") == b"big":
        order = ">"

    def read(storage: Storage) -> np.ndarray:
        name = f"{root}data/{storage.key}"
        expected = storage.size * storage.kind.itemsize
        if name not in names or archive.getinfo(name).file_size != expected:
            raise WeightsError(f"`{name}` is missing or not of {expected} bytes; it is damaged")
        return storage.kind.decode(archive.read(name), order)

    def storage_of(reference: tuple) -> Storage:
        kind, key, _, size = reference[:4]
        return _storage(kind, key, size, read)

    with archive.open(pickles[0]) as file:
        return safe_load(file, storage_of)


def _storage(kind, key, size, read) -> Storage:
    if not isinstance(kind, StorageType) or type(size) is not int or size < 0:
        raise WeightsError(f"storage {key!r} is described in an unknown way")
    return Storage(kind, str(key), size, read)


def read_stream(file: BinaryIO) -> Any:
    """As `read_archive`, for a stream of pickles at its start."""
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
        raise WeightsError("it is no file that `torch.save` writes")
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
            raise WeightsError(f"storage {key!r} has {size} numbers, not what its tensors say")
        places[key] = file.tell()
        if file.seek(size * storages[key].kind.itemsize, os.SEEK_CUR) > end:
            raise WeightsError(f"it is cut short: storage {key!r} ends after the file does")
    return saved


def _stream_part(file: BinaryIO) -> Any:
    def refuse(reference: tuple):
        raise WeightsError("a storage lies where none can be; it is damaged")

    return safe_load(file, refuse)
