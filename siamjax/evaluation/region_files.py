"""Regions as text, one line a frame: a code, a box, or a polygon's corners."""

from pathlib import Path

from siamjax.evaluation.regions import RegionError, Regions

_SEPARATORS = str.maketrans(";\t ", ",,,")


def read_regions(path: Path) -> Regions:
    """The regions of a text file, one a line, as written.

    Numbers are separated by commas, semicolons, tabs or spaces; `nan` is a number. Raises
    `RegionError` naming the file, and the line where there is one, where the file is
    missing, empty, no text, or a line is neither a code nor a box nor a polygon.
    """
    lines = read_lines(path)
    try:
        rows = [list(map(float, line.split(","))) for line in lines]
    except ValueError:
        rows = [_parse(line, number, path) for number, line in enumerate(lines, 1)]
    try:
        return Regions.from_rows(rows)
    except RegionError as error:
        raise RegionError(f"{str(path)!r}: {error}") from None


def _parse(line: str, number: int, path: Path) -> list[float]:
    """One line with any of the separators, or several of them in a row."""
    try:
        return [float(value) for value in line.translate(_SEPARATORS).split(",") if value]
    except ValueError as error:
        raise RegionError(f"{str(path)!r} line {number}: {error}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without the blank ones at its end.

    Raises `RegionError` naming the file where it is missing, empty or no text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig").rstrip()
    except OSError as error:
        raise RegionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RegionError(f"{str(path)!r} is no text file") from error
    if not text:
        raise RegionError(f"{str(path)!r} is empty")
    return text.splitlines()


def format_regions(regions: Regions) -> str:
    """The regions as text: codes as whole numbers, all else to four decimals."""
    return "".join(f"{_line(regions, frame)}\n" for frame in range(len(regions)))


def _line(regions: Regions, frame: int) -> str:
    row = regions.row(frame)
    return f"{row[0]:.0f}" if len(row) == 1 else ",".join(f"{value:.4f}" for value in row)
