"""State dicts in files: PyTorch's key -> array, read from and written to .pth and .npz."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from siamjax.files import replacing
from siamjax.weights.errors import WeightsError
from siamjax.weights.torch_reader import ZIP_START, read_archive, read_stream
from siamjax.weights.torch_writer import write_torch
from siamjax.weights.unpickle import Tensor

# What training scripts wrap a state dict in: PySOT, mmtracking; then others.
_WRAPPERS = ("state_dict", "model")


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` file in either of PyTorch's formats, or of an `.npz` file.

    Which of them it is follows from the content, not from the name. Floating-point arrays
    come back as float32, others as they are; a wrapper (`state_dict`) and the prefix
    `module.` are removed. Nothing in the file is run. Raises `WeightsError` when the file
    holds no state dict, is damaged, or asks for code.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; a .pth or .npz file is expected")
    # Opened here, so that a file which is missing or forbidden is reported as just that.
    with open(path, "rb") as file:
        try:
            tensors = _read(file)
        except WeightsError as error:
            raise WeightsError(f"{path} cannot be read: {error}") from error
        # A damaged archive or pickle can fail in as many ways as it has bytes.
        except Exception as error:
            raise WeightsError(
                f"{path} cannot be read: it is damaged, cut short or no checkpoint "
                f"({type(error).__name__}: {error})"
            ) from error
    return _without_prefix(tensors, path)


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    is_zip = file.read(4) == ZIP_START
    file.seek(0)
    if is_zip and any(name.endswith(".npy") for name in zipfile.ZipFile(file).namelist()):
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
    else:
        file.seek(0)
        saved = read_archive(zipfile.ZipFile(file)) if is_zip else read_stream(file)
        tensors = _unwrap(saved)
        for key, value in tensors.items():
            if not isinstance(key, str) or not isinstance(value, Tensor):
                raise WeightsError(
                    f"entry {key!r} of its state dict is {type(value).__name__}, not a tensor"
                )
        found = {key: tensor.array() for key, tensor in tensors.items()}
    if not found:
        raise WeightsError("it holds no tensors")
    for key, array in found.items():
        if array.dtype.kind not in "fiub":
            raise WeightsError(f"`{key}` holds {array.dtype}, not numbers")
    return {k: a.astype(np.float32) if a.dtype.kind == "f" else a for k, a in found.items()}


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
    """Writes `path`, a `.npz` or a `.pth` for PyTorch 0.4 and later, whole or not at all.

    Its folder is made where there is none. Raises `WeightsError` for another suffix.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".pth"):
        raise WeightsError(f"`{path}` must end in .npz or .pth")
    with replacing(path) as partial, open(partial, "wb") as file:
        if path.suffix == ".npz":
            np.savez(file, **state_dict)
        else:
            write_torch(file, state_dict)
