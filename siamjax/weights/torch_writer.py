"""Writing a state dict as PyTorch's stream format, which every PyTorch since 0.4 reads.

PySOT's own installation instructions ask for PyTorch 0.4.1, which knows nothing newer. The
pickle is spelled out, since naming PyTorch's functions is all it takes and importing them is
not possible without PyTorch.
"""

import pickle
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from siamjax.weights.torch_reader import MAGIC, PROTOCOL

_STORAGES = {"float32": "FloatStorage", "int64": "LongStorage"}
_TYPE_SIZES = {"short": 2, "int": 4, "long": 4}


def write_torch(file: BinaryIO, state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes float32 and int64 arrays so that `torch.load` returns them as a dict.

    Each array becomes a contiguous CPU tensor with a storage of its own.
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
    """The call that rebuilds one tensor from storage `key`."""
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
