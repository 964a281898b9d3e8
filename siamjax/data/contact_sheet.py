"""Contact sheets: many thumbnails on one page."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from siamjax.errors import InputError
from siamjax.files import require_writable, write_whole

GREEN = 0, 255, 0  # of boxes, BGR


def require_sheet(path: Path) -> None:
    """Checks the path of a sheet before it is made.

    Raises `InputError` for anything but a JPEG or PNG, `OSError` where nothing can be written.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"`--sheet` (={str(path)!r}) must end in .jpg or .png")
    require_writable(path)


def write_sheet(tiles: Sequence[np.ndarray], columns: int, path: Path) -> None:
    """Writes images `[h, w, 3]` uint8 BGR of one size row by row; raises as `require_sheet`."""
    path = Path(path)
    require_sheet(path)
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    tiles = [*tiles, *blank]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    write_whole(path, cv2.imencode(path.suffix, np.vstack(rows))[1].tobytes())
