"""LaSOT's layout.

[<category>/]<category>-<n>/img/00000001.jpg ...
.../groundtruth.txt       x, y, w, h per line
.../full_occlusion.txt    0 or 1 for every frame, in one line
.../out_of_view.txt       likewise
"""

import functools
from pathlib import Path

from siamjax.data.formats.annotations import (
    ABSENT,
    HIDDEN,
    Annotation,
    Clip,
    along_frames,
    flags_along,
)
from siamjax.folders import folders_in, images_in
from siamjax.text import read_boxes


def find(root: Path) -> list[Clip]:
    """Every sequence, with or without folders of categories."""
    folders = []
    for folder in [root, *folders_in(root)]:
        own = (folder / "img").is_dir() or (folder / "groundtruth.txt").is_file()
        folders += [folder] if own else folders_in(folder) if folder != root else []
    return [
        Clip(folder.name, functools.partial(_read, folder))
        for folder in folders
        if (folder / "img").is_dir() or (folder / "groundtruth.txt").is_file()
    ]


def _read(folder: Path) -> list[Annotation]:
    boxes = read_boxes(folder / "groundtruth.txt")
    hidden = flags_along(folder / "full_occlusion.txt", len(boxes))
    absent = flags_along(folder / "out_of_view.txt", len(boxes))

    def flags(place):
        return ((ABSENT,) if absent[place] else ()) + ((HIDDEN,) if hidden[place] else ())

    # LaSOT's first pixel is 1, 1, as OTB's
    category = folder.name.rsplit("-", 1)[0] if "-" in folder.name else ""
    return along_frames(
        images_in(folder / "img"), boxes, category=category, flags=flags, first=1
    )
