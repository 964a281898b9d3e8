"""Text files with a box or a region in each line: ground truth and results alike."""

from pathlib import Path

import numpy as np

from siamjax import text
from siamjax.evaluation.metrics.regions import Regions


def read_boxes(path: Path) -> np.ndarray:
    """The boxes of a text file, `[t, 4]` float64, without change of index base.

    `nan` and `inf` are numbers. Raises `TextError` naming the file, the line and the rule, see
    `text.read_boxes`.
    """
    return np.array(text.read_boxes(path), dtype=np.float64)


def read_regions(path: Path) -> Regions:
    """The regions of a text file, one per line, without change of index base.

    `nan` and `inf` are numbers. Raises `TextError` naming the file, the line and the rule, see
    `text.read_regions`.
    """
    return Regions.from_rows(text.read_regions(path))


def format_regions(regions: Regions) -> str:
    """The regions as text: codes as integers, coordinates with four decimals."""
    return "".join(f"{_line(regions, frame)}\n" for frame in range(len(regions)))


def _line(regions: Regions, frame: int) -> str:
    row = regions.row(frame)
    return f"{row[0]:.0f}" if len(row) == 1 else ",".join(f"{value:.4f}" for value in row)
