"""Contact sheets: many small pictures on one page, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from siamjax.errors import InputError
from siamjax.files import write_whole

GREEN = 0, 255, 0  # of boxes, BGR


def write_sheet(tiles: Sequence[np.ndarray], columns: int, path: Path) -> None:
    """Writes pictures `[h, w, 3]` uint8 BGR of one size row by row, as a JPEG or a PNG.

    Raises `InputError` for a path with another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"`--sheet` (={str(path)!r}) must end in .jpg or .png")
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    tiles = [*tiles, *blank]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_whole(path, cv2.imencode(path.suffix, np.vstack(rows))[1].tobytes())
