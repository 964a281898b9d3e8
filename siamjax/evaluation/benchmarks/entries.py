"""JSON files of PySOT's toolkit, one entry per sequence: `{name: {gt_rect, ...}}`."""

import math
from pathlib import Path
from typing import Any

from siamjax.text import TextError, as_number, as_whole, quote, read_json


def read_entries(path: Path) -> dict[str, Any]:
    """The entries of a JSON file by sequence name; raises `TextError`."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise TextError(f"{str(path)!r} must be a JSON object of sequences")
    return content


def rows_of(entry: Any) -> list[list[float]]:
    """The numbers of `gt_rect` for each frame; null is NaN. Raises `TextError`."""
    rows = _get(entry, "gt_rect")
    if not all(isinstance(row, list) for row in rows):
        raise TextError(f"`gt_rect` (={quote(rows)}) must be a list of lists of numbers")
    return [[math.nan if v is None else as_number(v) for v in row] for row in rows]


def flags_of(entry: dict, key: str) -> list[int]:
    """A list of integers, such as `absent`; [] if it is missing."""
    return [as_whole(value) for value in _get(entry, key, [])]


def words_of(entry: dict, key: str) -> list[str]:
    """A list of strings, such as `img_names`; [] if it is missing."""
    words = _get(entry, key, [])
    for word in words:
        if not isinstance(word, str) or not word or "\0" in word:
            raise TextError(f"`{key}` names {quote(word)}, which must be text")
    return words


def size_of(entry: dict) -> tuple[int, int] | None:
    """`width` and `height`, pixels; None if they are missing."""
    if not {"width", "height"} <= entry.keys():
        return None
    size = as_whole(entry["width"]), as_whole(entry["height"])
    if min(size) < 1:
        raise TextError(f"`width` and `height` (={size}) must be positive")
    return size


def _get(entry: Any, key: str, otherwise: list | None = None) -> list:
    if not isinstance(entry, dict):
        raise TextError(f"expected an object, not {quote(entry)}")
    found = entry.get(key, otherwise)
    if found is None:
        found = otherwise
    if not isinstance(found, list):
        shown = f"(={quote(found)}) must be a list" if key in entry else "is missing"
        raise TextError(f"`{key}` {shown}")
    return found
