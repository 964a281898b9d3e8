"""Tensors in the safetensors format: the one file that imports the package."""

import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from siamjax.files import write_whole
from siamjax.text import TextError, parse_json
from siamjax.weights import WeightsError

# Bytes; a tracker has some hundred tensors, described in a hundred bytes each.
_MAX_HEADER = 2**24


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata; raises `WeightsError` for a damaged file."""
    return _header(path)[1]


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by name, in its stored type; raises `WeightsError` for a damaged file."""
    names, _ = _header(path)
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    except (AttributeError, TypeError, ValueError) as error:
        # Types that NumPy lacks, of eight bits or less.
        raise WeightsError(
            f"{path} holds a number type that is not supported: {error}"
        ) from error


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes `path` atomically; creates its folder."""
    whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    write_whole(path, save(whole, dict(metadata)))


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the tensors in the file's order, and the metadata.

    Parsed here, because the package silently takes the last of two tensors of one name.
    """
    with open(path, "rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length > size - 8 or len(start) < 8:
            raise _damaged(
                path, f"expected a header of {length} bytes, and the file has {size} bytes"
            )
        if length > _MAX_HEADER:
            raise _damaged(
                path, f"its header of {length} bytes is longer than the {_MAX_HEADER} allowed"
            )
        text = file.read(length)
    try:
        header = parse_json(text.decode())
    except (TextError, UnicodeDecodeError) as error:
        raise _damaged(path, f"its header is no valid JSON: {error}") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(type(v) is str for v in metadata.values()):
        raise _damaged(path, "its header does not describe tensors")
    return list(header), metadata


def _damaged(path: Path, problem: str) -> WeightsError:
    return WeightsError(
        f"{path} is a truncated or damaged safetensors file: {problem}; download it again"
    )
