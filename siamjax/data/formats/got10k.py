"""GOT-10k's layout, train and val.

[train/]<name>/00000001.jpg ...
[train/]<name>/groundtruth.txt    x, y, w, h per line; the first pixel is 1, 1
[train/]<name>/absence.label      1: the target is absent
[train/]<name>/cover.label        visibility, 0 to 8
[train/]<name>/meta_info.ini      object_class
"""

import functools
import re
from pathlib import Path

from siamjax.data.formats.annotations import (
    ABSENT,
    HIDDEN,
    OCCLUDED,
    Annotation,
    Clip,
    along_frames,
    as_size,
    flags_along,
)
from siamjax.folders import folders_in, images_in
from siamjax.text import read_boxes, read_settings


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


def _read(folder: Path) -> list[Annotation]:
    boxes = read_boxes(folder / "groundtruth.txt")
    absent = flags_along(folder / "absence.label", len(boxes))
    cover = flags_along(folder / "cover.label", len(boxes), otherwise=8)
    file = folder / "meta_info.ini"
    about = read_settings(file) if file.is_file() else {}
    size = re.findall(r"[\d.]+", about.get("resolution", ""))

    def flags(place):
        if absent[place]:
            return (ABSENT,)
        return () if cover[place] >= 8 else (OCCLUDED,) if cover[place] else (HIDDEN,)

    return along_frames(
        images_in(folder),
        boxes,
        category=about.get("object_class", ""),
        flags=flags,
        first=1,
        size=as_size(*size) if len(size) == 2 else None,
    )
