"""MOT's layout: many targets in each video.

    [train/]<name>/img1/000001.jpg ...
    [train/]<name>/gt/gt.txt    frame, track, x, y, w, h, consider, class, visibility

The first frame is 1, the first pixel 1, 1. Lines that are not to be considered are ignored,
as are the classes that stand for no target; in MOT15 and own data the last two columns may
be missing. `test` has no ground truth.
"""

import functools
import re
from pathlib import Path

from siamjax.data.builders.annotations import (
    HIDDEN,
    OCCLUDED,
    Clip,
    LayoutError,
    Sighting,
    read_rows,
)
from siamjax.folders import folders_in, images_in

# MOT16 and later: 9 to 11 are occluders, 8 distractors, 12 reflections, 13 crowds
_NO_TARGET = {8, 9, 10, 11, 12, 13}
_HALF = 0.5


def find(root: Path) -> list[Clip]:
    """Every sequence with a folder `gt`."""
    if (root / "gt").is_dir():
        return [Clip(root.name, functools.partial(_read, root))]
    parts = [root, root / "train"]
    return [
        Clip(folder.relative_to(root).as_posix(), functools.partial(_read, folder))
        for part in parts
        for folder in folders_in(part)
        if (folder / "gt").is_dir()
    ]


def _read(folder: Path) -> list[Sighting]:
    images = {}
    for image in images_in(folder / "img1"):
        digits = re.findall(r"\d+", image.stem)
        if digits:
            images[int(digits[-1])] = image
    found = []
    truth = folder / "gt" / "gt.txt"
    for row in read_rows(truth):
        if len(row) < 6:
            raise LayoutError(f"{truth}: a line of {len(row)} numbers, fewer than 6")
        considered = len(row) < 7 or row[6] != 0
        kind = int(row[7]) if len(row) > 7 else -1
        if not considered or kind in _NO_TARGET:
            continue
        frame, (x, y, w, h) = int(row[0]), row[2:6]
        seen = row[8] if len(row) > 8 and row[8] >= 0 else 1.0
        flags = (HIDDEN,) if seen == 0 else (OCCLUDED,) if seen < _HALF else ()
        image = images.get(frame, folder / "img1" / f"{frame:06d}.jpg")
        category = f"mot class {kind}" if kind >= 0 else ""
        box = (x - 1, y - 1, w, h)
        found.append(Sighting(image, frame, int(row[1]), box, category, flags))
    return found
