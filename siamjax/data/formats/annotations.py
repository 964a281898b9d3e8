"""What every layout's reader returns: clips with annotated targets.

A clip is one video or one still image. Finding clips is quick; reading them is deferred, so
that processes can share the work. Boxes are (left, top, width, height), 0-based.
"""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from siamjax.errors import InputError
from siamjax.text import TextError, as_number, as_whole, parse_number, quote, read_flags

# Flags of a target in a frame; `PrepareConfig.drop` names those that are left out.
ABSENT, HIDDEN, OCCLUDED, TRUNCATED = "absent", "hidden", "occluded", "truncated"
CROWD, DIFFICULT = "crowd", "difficult"

NO_IDENTITY = "a target of a video has no track id: kept as a track of one frame"
NO_LINE = "the annotation ends before the image"
_KEPT = 2**53  # the index of a set passes through float64

Box = tuple[float, float, float, float]


class LayoutError(InputError):
    """A folder is not in the stated layout, or one of its files is damaged."""


class Annotation(NamedTuple):
    """One target in one frame, as annotated."""

    image: Path
    frame: int
    track: int
    box_xywh: Box | None  # None where there is no box
    category: str = ""
    flags: tuple[str, ...] = ()
    is_fraction: bool = False  # the box is in fractions of the frame size
    excluded: str = ""  # why the annotators left it out, or why it has no box
    remark: str = ""  # how the annotation was interpreted, if that is not obvious
    annotated_size: tuple[float, float] | None = None  # of the image, where stated


class Clip(NamedTuple):
    """One video or still image, and how to read its annotations."""

    name: str
    read: Callable[[], Sequence[Annotation]]  # picklable; raises InputError


def corners(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box from continuous corners: its size is their difference."""
    return (x1, y1, x2 - x1, y2 - y1)


def pixel_corners(x1: float, y1: float, x2: float, y2: float) -> Box:
    """A box from the centre of its first pixel to the centre of its last, 0-based.

    Its centre is the mean of the corners and its size their difference, as in PySOT's
    preparation of ImageNet.
    """
    return (x1 + 0.5, y1 + 0.5, x2 - x1, y2 - y1)


def bounding_box(region: Sequence[float]) -> Box | None:
    """The bounding box of one of VOT's regions, a polygon or a box of four values.

    None for a code, and where a number is not finite.
    """
    if len(region) < 4 or not all(map(math.isfinite, region)):
        return None
    if len(region) == 4:
        return (region[0], region[1], region[2], region[3])
    x, y = region[0::2], region[1::2]
    return corners(min(x), min(y), max(x), max(y))


def as_index(value: Any) -> int:
    """The number of a frame or track, of a size that records can hold; raises `TextError`."""
    number = as_whole(value)
    if abs(number) >= _KEPT:
        raise TextError(f"{number} is beyond {_KEPT}, the largest number of a frame or track")
    return number


def as_box(value: Any) -> Box | None:
    """A box of four numbers from JSON; None for null. Raises `TextError`."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4:
        raise TextError(f"{quote(value)} is not a box of four numbers")
    x, y, w, h = (math.nan if v is None else as_number(v) for v in value)
    return x, y, w, h


def as_size(width: Any, height: Any) -> tuple[float, float] | None:
    """The image size that an annotation states; None if it states none, or 0 x 0."""
    try:
        size = as_number(width), as_number(height)
    except TextError:
        return None
    return size if 0 < min(size) and max(size) < math.inf else None


def within(folder: Path, name: Any, key: str = "file") -> Path:
    """The path of the file that an annotation names in `key`, always inside of `folder`.

    Raises `LayoutError` for what is no file name.
    """
    parts = Path(name).parts if isinstance(name, str) and "\0" not in name else ()
    inside = [part for part in parts if part not in (Path(name).anchor, "..")]
    if not inside:
        raise LayoutError(f"`{key}` (={quote(name)}) is not a file name")
    return folder.joinpath(*inside)


def flags_along(file: Path, frames: int, otherwise: int = 0) -> list[int]:
    """One integer per frame from a file, or `otherwise` for all where there is no file.

    Raises `LayoutError` if there are not as many as frames, and `TextError`.
    """
    if not file.is_file():
        return [otherwise] * frames
    values = read_flags(file)
    if len(values) != frames:
        raise LayoutError(f"{str(file)!r} holds {len(values)} values for {frames} boxes")
    return values


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; raises `LayoutError`.

    Python's parser opens no external file; documents that declare entities, which may expand
    without bound, are refused before parsing, since no annotation needs them.
    """
    try:
        content = path.read_bytes()
        # zero bytes: UTF-16, in which the declarations would go unnoticed
        if any(word in content for word in (b"<!DOCTYPE", b"<!ENTITY", b"\0")):
            raise LayoutError(f"{str(path)!r} declares entities or is UTF-16; neither is read")
        return ElementTree.fromstring(content)
    except LayoutError:
        raise
    except (OSError, ElementTree.ParseError, LookupError, ValueError) as error:
        # unknown or multi-byte encodings raise the last two
        raise LayoutError(f"{str(path)!r} cannot be read: {error}") from error


def number_in(element: ElementTree.Element, path: str) -> float:
    """The number at a path in an XML element; NaN where it is empty. Raises `TextError`."""
    text = (element.findtext(path) or "").strip()
    return parse_number(text) if text else math.nan


def along_frames(
    images: Sequence[Path],
    regions: Sequence[Sequence[float]],
    *,
    category: str = "",
    flags: Callable[[int], tuple[str, ...]] = lambda place: (),
    first: float = 0.0,
    size: tuple[float, float] | None = None,
) -> list[Annotation]:
    """One target along a video: the n-th region (box or polygon) belongs to the n-th image.

    `first` is the index of the first pixel in the file, `size` the image size as annotated.
    A region whose image is missing, at the end or in a gap of the numbering, is an annotation
    of an image that does not exist; images after the last region are excluded. Raises
    `LayoutError` where it is ambiguous which images are missing.
    """
    found = []
    placed = _in_places(images, len(regions))
    for place in range(max(len(regions), len(images))):
        missing = images[0].with_name(f"(frame {place + 1})") if images else Path("(none)")
        image = placed.get(place, missing)
        if place >= len(regions):
            found.append(Annotation(image, place, 0, None, category, excluded=NO_LINE))
            continue
        box = bounding_box(regions[place])
        if box is not None:
            box = (box[0] - first, box[1] - first, *box[2:])
        annotation = Annotation(image, place, 0, box, category, flags(place))
        found.append(annotation._replace(annotated_size=size))
    return found


def number_of(image: Path) -> int | None:
    """The last number in an image's name; None where there is none."""
    digits = re.findall(r"\d+", image.stem, re.ASCII)
    return int(digits[-1]) if digits else None


def _in_places(images: Sequence[Path], regions: int) -> dict[int, Path]:
    """The images by the index of their region, from their numbers where some are missing."""
    numbers = [number for image in images if (number := number_of(image)) is not None]
    counts = len(numbers) == len(images) and all(a < b for a, b in itertools.pairwise(numbers))
    if not images or len(images) >= regions or not counts:
        return dict(enumerate(images))
    start, span = numbers[0], numbers[-1] - numbers[0] + 1
    if not (span <= regions if start in (0, 1) else span == regions):
        raise LayoutError(
            f"{str(images[0].parent)!r} holds {len(images)} images, {start} to "
            f"{numbers[-1]}, and {regions} are annotated: which are missing? Count from 1, or "
            "fetch them"
        )
    return {number - start: image for number, image in zip(numbers, images, strict=True)}
