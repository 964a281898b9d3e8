"""Tensors in the safetensors format: the one file that knows the package."""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from siamjax.weights.errors import WeightsError

# A tracker has some hundred tensors of a hundred bytes of description each.
_MAX_HEADER = 2**24


def read_metadata(path: Path) -> dict[str, str]:
    """The text that lies beside the tensors; raises `WeightsError` for a damaged file."""
    return _header(path)[1]


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by name, as it is stored; raises `WeightsError` for a damaged file."""
    names, _ = _header(path)
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    except (AttributeError, TypeError, ValueError) as error:
        # Types that NumPy lacks, as of eight bits and less.
        raise WeightsError(
            f"{path} holds numbers of a type that is not read: {error}"
        ) from error


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes `path`, whole or not at all; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
            partial,
            dict(metadata),
        )
        os.replace(partial, path)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the tensors in the file's order, and the metadata.

    Read here, because the package takes the last of two tensors of one name without a word.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length > size - 8 or len(start) < 8:
            raise _damaged(
                path, f"it announces {length} bytes of header, and {size} bytes are there"
            )
        if length > _MAX_HEADER:
            raise _damaged(
                path, f"its header of {length} bytes is longer than the {_MAX_HEADER} allowed"
            )
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON that it may hold: {error}") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise _damaged(path, "its header does not describe tensors")
    return list(header), metadata


def _without_repeats(pairs: list[tuple]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found


def _damaged(path: Path, problem: str) -> WeightsError:
    return WeightsError(
        f"{path} is a safetensors file that is cut short or damaged: {problem}; fetch it again"
    )
