"""Boxes as text, one line a frame, for arithmetic."""

from pathlib import Path

import numpy as np

from siamjax import text


def read_boxes(path: Path) -> np.ndarray:
    """The boxes of a text file, `[t, 4]` float64, as written (no change of index base).

    `nan` and `inf` are numbers. Raises `TextError` naming the file, the line and the rule, see
    `text.read_boxes`.
    """
    return np.array(text.read_boxes(path), dtype=np.float64)
