"""State dicts in files: PyTorch's key -> array, in .pth, .npz and .safetensors."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from siamjax.files import replacing
from siamjax.weights import WeightsError
from siamjax.weights.file_kinds import Kind, kind_of
from siamjax.weights.release import is_release
from siamjax.weights.safetensors_file import read_tensors
from siamjax.weights.torch_files import read_archive, read_stream, write_torch
from siamjax.weights.unpickle import Tensor

# Keys under which training scripts wrap a state dict: PySOT, mmtracking; others.
_WRAPPERS = ("state_dict", "model")


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` file in either of PyTorch's formats, a `.npz` or `.safetensors`.

    The content decides which, not the name. Floating-point arrays become float32, others stay
    as they are; a wrapper (`state_dict`) and the prefix `module.` are removed. No code in the
    file is executed. Raises `WeightsError` when the file holds no state dict, is damaged, or
    asks for code.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "safetensors":
        if is_release(path):
            raise WeightsError(
                f"{path} is a release of siamjax, which needs no conversion: give it as "
                "`weights`, or as `init.path` to start a training from it"
            )
        return _without_prefix(_as_numbers(read_tensors(path), path), path)
    with open(path, "rb") as file:
        try:
            found = _read(file, kind)
        except WeightsError as error:
            raise WeightsError(f"{path} cannot be read: {error}") from error
        # A damaged archive or pickle can fail with any exception.
        except Exception as error:
            raise WeightsError(
                f"{path} cannot be read: it is damaged, truncated or no checkpoint "
                f"({type(error).__name__}: {error})"
            ) from error
    return _without_prefix(_as_numbers(found, path), path)


def _read(file: BinaryIO, kind: Kind) -> dict[str, np.ndarray]:
    archive = zipfile.ZipFile(file) if kind == "zip" else None
    if archive is not None and any(name.endswith(".npy") for name in archive.namelist()):
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    saved = read_archive(archive) if archive is not None else read_stream(file)
    tensors = _unwrap(saved)
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"entry {key!r} of its state dict is {type(value).__name__}, not a tensor"
            )
    return {key: tensor.array() for key, tensor in tensors.items()}


def _as_numbers(found: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Floating-point arrays, bfloat16 included, as float32; others as they are."""
    if not found:
        raise WeightsError(f"{path} holds no tensors")
    numbers = {}
    for key, array in found.items():
        is_float = array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16
        if not is_float and array.dtype.kind not in "iub":
            raise WeightsError(f"{path}: `{key}` holds {array.dtype}, not numbers")
        with np.errstate(over="ignore"):  # overflow is reported as not finite
            numbers[key] = array.astype(np.float32) if is_float else array
    return numbers


def _unwrap(saved: Any) -> Mapping[str, Any]:
    if not isinstance(saved, dict):
        raise WeightsError(f"it holds {type(saved).__name__}, not a dict of tensors")
    for wrapper in _WRAPPERS:
        if isinstance(saved.get(wrapper), dict):
            return saved[wrapper]
    return saved


def _without_prefix(tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    renamed = {key.removeprefix("module."): array for key, array in tensors.items()}
    if len(renamed) < len(tensors):
        raise WeightsError(f"{path} holds the same key with and without the prefix `module.`")
    return renamed


def write_state_dict(path: str | Path, state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes `path` atomically, a `.npz` or a `.pth` for PyTorch 0.4 and later.

    Creates its folder. Raises `WeightsError` for another suffix.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".pth"):
        raise WeightsError(f"`{path}` must end in .npz or .pth")
    with replacing(path) as partial, open(partial, "wb") as file:
        if path.suffix == ".npz":
            np.savez(file, allow_pickle=False, **state_dict)
        else:
            write_torch(file, state_dict)
