"""Boxes as text, one line a frame: tolerant reading."""

from pathlib import Path

import numpy as np

from siamjax.errors import InputError

_SEPARATORS = str.maketrans(",;\t", "   ")


class BoxFileError(InputError):
    """A text file holds no boxes; the message names the file, the line and the rule."""


def read_boxes(path: Path) -> np.ndarray:
    """The boxes of a text file, `[t, 4]` float64, as written (no change of index base).

    Numbers are separated by commas, semicolons, tabs or spaces; `nan` is a number. Raises
    `BoxFileError` where the file is missing, empty, no text, or a line does not hold four
    numbers.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise BoxFileError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BoxFileError(f"{str(path)!r} is no text file") from error
    if not text:
        raise BoxFileError(f"{str(path)!r} is empty")
    lines = text.translate(_SEPARATORS).splitlines()
    try:
        boxes = np.loadtxt(lines, ndmin=2, comments=None)
        if boxes.shape == (len(lines), 4):
            return boxes
    except ValueError:
        pass  # to be told below which line is to blame
    rows = [line.split() for line in lines]
    if any(len(row) != 4 for row in rows):
        number = next(i for i, row in enumerate(rows) if len(row) != 4)
        count = len(rows[number])
        why = "a polygon, it seems" if count == 8 else "x, y, w, h are expected"
        raise BoxFileError(f"{str(path)!r} has {count} values in line {number + 1}: {why}")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise BoxFileError(
            f"{str(path)!r} holds something that is no number: {error}"
        ) from None
