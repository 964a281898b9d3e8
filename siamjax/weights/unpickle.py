"""Reads PyTorch's pickles without PyTorch and without executing their code.

A pickle is a program: it may call any function of any module. Here it may name only what
`_GLOBALS` lists, the few functions that rebuild tensors and plain values; anything else is an
error. Tensors come back as `Tensor`, which reads its numbers lazily.
"""

import collections
import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any, Literal

import numpy as np

from siamjax.weights import WeightsError

_STORAGE_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# A tensor expanded along an axis is larger than its storage; above this it is an attack.
_MAX_EXPANDED = 2**28


class StorageType:
    """Stands for `torch.FloatStorage` and its kind.

    Attributes:
        name: PyTorch's name.
        itemsize: bytes per number.
    """

    def __init__(self, name: str):
        self.name = name
        self._kind = _STORAGE_DTYPES[name]
        self.itemsize = 2 if self._kind == "bfloat16" else np.dtype(self._kind).itemsize

    def decode(self, data: bytes, order: Literal["<", ">"]) -> np.ndarray:
        """The numbers in `data`, flat; `order` is `<` or `>`; bfloat16 becomes float32."""
        if self._kind != "bfloat16":
            return np.frombuffer(data, np.dtype(self._kind).newbyteorder(order))
        halves = np.frombuffer(data, f"{order}u2").astype(np.uint32)
        return (halves << 16).view(np.float32)


class Storage:
    """A flat array of numbers in the file, read at most once.

    Attributes:
        kind: type of the numbers.
        key: its name in the file.
        size: how many numbers.
    """

    def __init__(self, kind: StorageType, key: str, size: int, read: Callable[..., np.ndarray]):
        self.kind, self.key, self.size = kind, key, size
        self._read, self._numbers = read, None

    def numbers(self) -> np.ndarray:
        """All numbers, flat."""
        if self._numbers is None:
            self._numbers = self._read(self)
        return self._numbers


class Tensor:
    """A strided view of a storage.

    Attributes:
        storage: where the numbers are.
        offset: of its first number, in numbers.
        shape, stride: stride in numbers.
    """

    def __init__(self, storage: Storage, offset: int, shape: tuple, stride: tuple):
        whole = all(type(n) is int and n >= 0 for n in (offset, *shape, *stride))
        if not (isinstance(storage, Storage) and whole and len(shape) == len(stride)):
            raise pickle.UnpicklingError("the description of a tensor is invalid")
        self.storage, self.offset = storage, offset
        self.shape, self.stride = tuple(shape), tuple(stride)

    def array(self) -> np.ndarray:
        """A contiguous copy of the numbers."""
        numbers = self.storage.numbers()
        count = math.prod(self.shape)
        if count == 0:
            return np.zeros(self.shape, numbers.dtype)
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if self.offset + reach >= numbers.size or count > max(numbers.size, _MAX_EXPANDED):
            raise WeightsError(
                f"a tensor of shape {self.shape} does not fit into its storage of "
                f"{numbers.size} numbers; the file is damaged"
            )
        strides = [step * numbers.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, strides, writeable=False
        )
        return np.array(view, order="C")


def _rebuild_tensor(storage, offset, shape, stride, *rest) -> Tensor:
    """`rest` (gradient flag, hooks, metadata) does not affect the numbers."""
    base = getattr(storage, "base", None)
    if base is not None:
        storage, offset = base, offset + storage.offset
    return Tensor(storage, offset, shape, stride)


def _rebuild_parameter(data, requires_grad, hooks) -> Tensor:
    return data


class StorageView:
    """A part of another storage; early PyTorch shared memory between tensors this way."""

    def __init__(self, base: Storage, offset: int):
        self.base, self.offset = base, offset


class _NumpyDtype:
    """Stands for `numpy.dtype`, of a scalar."""

    def __init__(self, name, *flags):
        if not re.fullmatch(r"[fiub][1248]", str(name)):
            raise pickle.UnpicklingError(f"unexpected NumPy scalar of type {name!r}")
        self.name, self.order = str(name), "<"

    def __setstate__(self, state):
        self.order = ">" if state[1] == ">" else "<"


def _numpy_scalar(dtype, data):
    # Learning rates in PySOT's training checkpoints are NumPy scalars.
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.order + dtype.name)[0].item()


def _codecs_encode(text, encoding):
    # Protocol 2 spells bytes this way.
    return text.encode("latin1")


_GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("numpy", "dtype"): _NumpyDtype,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("_codecs", "encode"): _codecs_encode,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], storage_of: Callable[[tuple], Any]):
        # latin1 decodes the byte strings of Python 2, as in DaSiamRPN's files.
        super().__init__(file, encoding="latin1")
        self._storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGE_DTYPES:
            return StorageType(name)
        try:
            return _GLOBALS[module, name]
        except KeyError:
            raise WeightsError(
                f"it asks for `{module}.{name}`, which is not needed to read weights and is "
                "never executed here; if you trust the file, load it with PyTorch and save "
                "`model.state_dict()` alone"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", "module"):
            raise pickle.UnpicklingError("the description of a storage is invalid")
        if pid[0] == "module":
            # Early PyTorch saved the source code of a whole model beside it.
            raise WeightsError(
                "it holds a whole model, not a state dict; load it with PyTorch and save "
                "`model.state_dict()`"
            )
        return self._storage_of(pid[1:])


def safe_load(file: IO[bytes], storage_of: Callable[[tuple], Any]) -> Any:
    """The next pickle in `file`.

    Raises `WeightsError` when it names what it may not; a damaged one may raise anything.
    `storage_of` returns a `Storage` or `StorageView` for what follows `"storage"` in the
    pickle's reference to one: kind, key, device, size, and more in the old format.
    """
    return _Unpickler(file, storage_of).load()
