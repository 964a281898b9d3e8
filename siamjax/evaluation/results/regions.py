"""Regions as text, one line a frame: a code, a box, or a polygon's corners."""

from pathlib import Path

from siamjax import text
from siamjax.evaluation.metrics.regions import Regions


def read_regions(path: Path) -> Regions:
    """The regions of a text file, one a line, as written; `nan` and `inf` are numbers.

    Raises `TextError` naming the file, the line and the rule, see `text.read_regions`.
    """
    return Regions.from_rows(text.read_regions(path))


def format_regions(regions: Regions) -> str:
    """The regions as text: codes as whole numbers, all else to four decimals."""
    return "".join(f"{_line(regions, frame)}\n" for frame in range(len(regions)))


def _line(regions: Regions, frame: int) -> str:
    row = regions.row(frame)
    return f"{row[0]:.0f}" if len(row) == 1 else ",".join(f"{value:.4f}" for value in row)
