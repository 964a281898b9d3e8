"""What every layout's reader gives: clips, and in them the sightings of targets.

A clip is one video or one still image. Finding clips is quick; reading one is put off, so
that processes can share the work. Boxes are regions (left, top, width, height), 0-based.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from siamjax.errors import InputError

# What annotators say about a target in a frame; `Settings.drop` names those to leave out.
ABSENT, HIDDEN, OCCLUDED, TRUNCATED = "absent", "hidden", "occluded", "truncated"
CROWD, DIFFICULT = "crowd", "difficult"
FLAGS = (ABSENT, HIDDEN, OCCLUDED, TRUNCATED, CROWD, DIFFICULT)

Box = tuple[float, float, float, float]


class LayoutError(InputError):
    """A folder is not in the layout it is said to be in, or one of its files is damaged."""


class Sighting(NamedTuple):
    """One target in one frame, as annotated."""

    image: Path
    frame: int
    track: int
    box_xywh: Box | None  # None where there is no box
    category: str = ""
    flags: tuple[str, ...] = ()
    is_fraction: bool = False  # the box is in fractions of the frame's sides


class Clip(NamedTuple):
    """One video or still image, and how to read what was annotated in it."""

    name: str
    read: Callable[[], Sequence[Sighting]]  # picklable; raises LayoutError


def corners(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box whose corners are given as regions are: its size is their difference."""
    return (x1, y1, x2 - x1, y2 - y1)


def pixel_corners(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box from the centre of its first pixel to the centre of its last, 0-based.

    Its middle is the mean of the corners and its size their difference, as in the reference
    preparation of ImageNet's boxes.
    """
    return (x1 + 0.5, y1 + 0.5, x2 - x1, y2 - y1)


def bounding_box(values: Sequence[float]) -> Box:
    """The box around a polygon `x1, y1, x2, y2, ...`; four values are a box already."""
    if len(values) == 4:
        return tuple(values)
    x, y = values[0::2], values[1::2]
    return corners(min(x), min(y), max(x), max(y))


def read_rows(path: Path) -> list[list[float]]:
    """Numbers by line, between commas, tabs or blanks; an empty line is an empty list.

    Raises `LayoutError` for a file that is missing or holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LayoutError(f"{path}: cannot be read: {reason}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append([float(word) for word in re.split(r"[\s,;]+", line.strip()) if word])
        except ValueError:
            raise LayoutError(f"{path}: line {number} holds no numbers: {line!r}") from None
    return rows


def read_flags(path: Path) -> list[float]:
    """One number a line, or all in one line; [] when there is no such file."""
    return [value for row in read_rows(path) for value in row] if path.is_file() else []


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; raises `LayoutError`.

    Python's own reader opens no outside file; what expands inside a document (entities) is
    refused before it is parsed, since no annotation needs it.
    """
    try:
        content = path.read_bytes()
        # zero bytes: UTF-16, in which the words would hide
        if any(word in content for word in (b"<!DOCTYPE", b"<!ENTITY", b"\0")):
            raise LayoutError(f"{path}: declares entities or is UTF-16; neither is read")
        return ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError) as error:
        raise LayoutError(f"{path}: cannot be read: {error}") from error


def number_in(element: ElementTree.Element, path: str, default: float = math.nan) -> float:
    """The number at a place in an XML element; `default` where there is none."""
    text = element.findtext(path)
    try:
        return float(text) if text is not None and text.strip() else default
    except ValueError:
        return default


def along_frames(
    images: Sequence[Path],
    boxes: Iterable[Sequence[float]],
    *,
    category: str = "",
    flags: Callable[[int], tuple[str, ...]] = lambda place: (),
    first: float = 0.0,
) -> list[Sighting]:
    """One target along a video: the n-th row of boxes belongs to the n-th picture.

    `first` is the number of the first pixel in the file. Rows beyond the last picture are
    sightings in a picture that does not exist, pictures beyond the last row have no box.
    """
    rows = list(boxes)
    found = []
    for place in range(max(len(rows), len(images))):
        row = rows[place] if place < len(rows) else ()
        missing = images[0].with_name(f"(frame {place + 1})") if images else Path("(none)")
        box = None
        if len(row) >= 4:
            x, y, w, h = bounding_box(row if len(row) % 2 == 0 else row[:4])
            box = (x - first, y - first, w, h)
        image = images[place] if place < len(images) else missing
        found.append(Sighting(image, place, 0, box, category, flags(place)))
    return found
