"""GOT-10k's layout, train and val.

[train/]<name>/00000001.jpg ...
[train/]<name>/groundtruth.txt    x, y, w, h a line; the first pixel is 1, 1
[train/]<name>/absence.label      1: the target is not in the frame
[train/]<name>/cover.label        0 to 8: how much of it is to be seen
[train/]<name>/meta_info.ini      object_class
"""

import functools
import re
from pathlib import Path

from siamjax.data.builders.annotations import (
    ABSENT,
    HIDDEN,
    OCCLUDED,
    Clip,
    Sighting,
    along_frames,
    read_flags,
    read_rows,
)
from siamjax.folders import folders_in, images_in


def find(root: Path) -> list[Clip]:
    """Every sequence with ground truth; the splits train and val where the folder has them."""
    splits = [root / name for name in ("train", "val") if (root / name).is_dir()] or [root]
    if (root / "groundtruth.txt").is_file():
        return [Clip(root.name, functools.partial(_read, root))]
    return [
        Clip(folder.relative_to(root).as_posix(), functools.partial(_read, folder))
        for split in splits
        for folder in folders_in(split)
    ]


def _read(folder: Path) -> list[Sighting]:
    absent = read_flags(folder / "absence.label")
    cover = read_flags(folder / "cover.label")

    def flags(place):
        if place < len(absent) and absent[place]:
            return (ABSENT,)
        if place < len(cover) and cover[place] < 8:
            return (HIDDEN,) if cover[place] == 0 else (OCCLUDED,)
        return ()

    return along_frames(
        images_in(folder),
        read_rows(folder / "groundtruth.txt"),
        category=_category(folder / "meta_info.ini"),
        flags=flags,
        first=1,
    )


def _category(file):
    text = file.read_text(errors="replace") if file.is_file() else ""
    match = re.search(r"^\s*object_class\s*[:=]\s*(.+?)\s*$", text, re.MULTILINE)
    return match[1] if match else ""
