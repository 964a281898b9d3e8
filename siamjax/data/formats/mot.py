"""MOT Challenge layout: many targets per video.

    [train/]<name>/img1/000001.jpg ...
    [train/]<name>/gt/gt.txt       frame, track, x, y, w, h, and more
    [train/]<name>/seqinfo.ini     imWidth and imHeight, the annotated image size
    [train/]<name>/gt/labels.txt   class names, one per line (CVAT writes it)

The first pixel is 1, 1. The number of columns tells what follows the box:

    7 to 10   column 7 is 0 if the target is not to be considered
    9         then its class and its visibility, 0 to 1 (MOT16 and later)
    8, 10     the other columns are not read; in MOT15 they are world coordinates

In MOT's own videos (recognised by names such as MOT17-02) classes that are no targets are
left out. A track below 0 is a detection without a track, and is left out too.

Frames and file names count from 1. Where file names start at another number, frames are
matched with them by number or by order, whichever is the only way that fits.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from siamjax.data.formats.annotations import (
    HIDDEN,
    OCCLUDED,
    Annotation,
    Clip,
    LayoutError,
    as_index,
    as_size,
    number_of,
)
from siamjax.folders import folders_in, images_in
from siamjax.text import (
    TextError,
    as_whole,
    in_line,
    quote,
    read_lines,
    read_rows,
    read_settings,
)

# Source: MOT16's and MOT20's papers; the second value is whether it is a target.
_OWN_CLASSES = {
    1: ("pedestrian", True),
    2: ("person on vehicle", True),
    3: ("car", True),
    4: ("bicycle", True),
    5: ("motorbike", True),
    6: ("non-motorised vehicle", True),
    7: ("static person", True),
    8: ("distractor", False),
    9: ("occluder", False),
    10: ("occluder on the ground", False),
    11: ("full occluder", False),
    12: ("reflection", False),
    13: ("crowd", False),
}
_OWN_NAME = re.compile(r"MOT(16|17|20)-\d+(-\w+)?", re.ASCII)
NOT_CONSIDERED = "the annotation says not to consider the target"
NO_TARGET = "the class is no target"
NO_TRACK = "the track is below 0: a detection without a track"
PLACED = "frames are matched with images by order, since their names are numbered otherwise"
_HALF = 0.5


def find(root: Path) -> list[Clip]:
    """Every sequence with a folder `gt`."""
    if (root / "gt").is_dir():
        return [Clip(root.resolve().name, functools.partial(_read, root))]
    parts = [root, root / "train"]
    return [
        Clip(folder.relative_to(root).as_posix(), functools.partial(_read, folder))
        for part in parts
        for folder in folders_in(part)
        if (folder / "gt").is_dir()
    ]


def _read(folder: Path) -> list[Annotation]:
    truth = folder / "gt" / "gt.txt"
    rows = list(read_rows(truth))
    columns = _columns(truth, rows)
    labels = folder / "gt" / "labels.txt"
    names = [line.strip() for line in read_lines(labels)] if labels.is_file() else []
    is_own = bool(_OWN_NAME.fullmatch(folder.resolve().name)) and not names
    found = []
    for line, row in rows:
        frame, track = (in_line(truth, line, as_index, value) for value in row[:2])
        x, y, w, h = row[2:6]
        category, excluded, flags = "", "", ()
        if columns == 9:
            kind = in_line(truth, line, as_whole, row[7])
            name, is_target = _OWN_CLASSES.get(kind, ("", True)) if is_own else ("", True)
            named = names[kind - 1] if 0 < kind <= len(names) else f"class {kind}"
            category = name or (named if kind >= 0 else "")
            excluded = "" if is_target else f"{NO_TARGET} (MOT's {kind}, {name})"
            flags = (HIDDEN,) if row[8] == 0 else (OCCLUDED,) if 0 < row[8] < _HALF else ()
        if columns > 6 and row[6] == 0:
            excluded = NOT_CONSIDERED
        if track < 0:
            excluded = NO_TRACK
        box = (x - 1, y - 1, w, h)
        found.append(Annotation(truth, frame, track, box, category, flags, excluded=excluded))
    images = _by_frame(folder, images_in(folder / "img1"), [s.frame for s in found], names)
    about = folder / "seqinfo.ini"
    told = read_settings(about) if about.is_file() else {}
    size = as_size(told.get("imWidth"), told.get("imHeight"))
    missing, placed = folder / "img1", []
    for annotation in found:
        image = images.get(annotation.frame, missing / f"{annotation.frame:06d}.jpg")
        is_called_so = number_of(image) in (annotation.frame, None)
        remark = "" if is_called_so else PLACED
        placed.append(annotation._replace(image=image, remark=remark, annotated_size=size))
    return placed


def _columns(truth: Path, rows: Sequence[tuple[int, list[float]]]) -> int:
    """How many columns every line has; raises `TextError` where their meaning is unknown."""
    columns = len(rows[0][1]) if rows else 0
    for line, row in rows:
        shown = quote(", ".join(f"{value:g}" for value in row))
        if len(row) != columns or not 6 <= columns <= 10:
            other = f" after lines of {columns}" if len(row) != columns else ""
            raise TextError(
                f"{str(truth)!r} line {line}: {len(row)} columns ({shown}){other}; frame, "
                "track, x, y, w, h and at most 4 more are expected, as many in each line"
            )
        if columns == 9 and not (
            float(row[7]).is_integer() and (0 <= row[8] <= 1 or row[8] == -1)
        ):
            raise TextError(
                f"{str(truth)!r} line {line}: 9 columns ({shown}) whose last two are no class "
                "and visibility of 0 to 1 (-1: unknown); keep only frame, track, x, y, w, h"
            )
    return columns


def _by_frame(
    folder: Path, images: list[Path], frames: list[int], names: list[str]
) -> dict[int, Path]:
    """The images by frame number; raises `LayoutError` where that is ambiguous."""
    if not images or not frames:
        return {}
    by_name = {n: image for image in images if (n := number_of(image)) is not None}
    if by_name and len(by_name) < len(images):
        raise LayoutError(
            f"{str(folder)!r}: images in img1/ have no number, or share one; "
            "name them 000001.jpg and so on"
        )
    numbers = sorted(by_name)
    images = [by_name[number] for number in numbers] or images
    from_one = dict(enumerate(images, 1))
    first, last = min(frames), max(frames)
    ways = [from_one] if first >= 1 and last <= len(images) else []
    if numbers and numbers[0] == 1 and first >= 1:
        # MOT's convention: images may be missing; but with gaps in the names, frames may
        # also count by order
        has_gaps = numbers[-1] > len(images)
        if not (has_gaps and ways and any(frame not in by_name for frame in frames)):
            return by_name
    if first == 0 and last < len(images):
        ways = [dict(enumerate(images))]
    if numbers and first >= numbers[0] and last <= numbers[-1] and by_name not in ways:
        ways.append(by_name)
    if len(ways) == 2 and names and ways[0] is from_one and numbers[0] == 0:
        ways.pop()  # CVAT's frames count from 1 whatever the images are called
    if len(ways) != 1:
        why = "nothing fits" if not ways else "matching by name and by order differ"
        called = f" named {numbers[0]} to {numbers[-1]}" if numbers else ""
        raise LayoutError(
            f"{str(folder)!r}: frames {first} to {last} in gt.txt for {len(images)} images"
            f"{called}: {why}; count both from 1"
        )
    return ways[0]
