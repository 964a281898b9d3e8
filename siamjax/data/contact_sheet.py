"""Contact sheets: many small images on one page, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from siamjax.errors import InputError
from siamjax.files import require_writable, write_whole

GREEN = 0, 255, 0  # of boxes, BGR


def require_sheet(path: Path) -> None:
    """Raises `InputError` for a sheet that is neither a JPEG nor a PNG, `OSError` for a place
    where none can be written."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"`--sheet` (={str(path)!r}) must end in .jpg or .png")
    require_writable(path)


def write_sheet(tiles: Sequence[np.ndarray], columns: int, path: Path) -> None:
    """Writes images `[h, w, 3]` uint8 BGR of one size row by row, see `require_sheet`."""
    path = Path(path)
    require_sheet(path)
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    tiles = [*tiles, *blank]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_whole(path, cv2.imencode(path.suffix, np.vstack(rows))[1].tobytes())
