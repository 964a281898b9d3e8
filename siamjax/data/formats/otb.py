"""OTB's layout, also common for users' own videos.

<name>/img/0001.jpg ...             or the images beside the boxes
<name>/groundtruth_rect.txt         x, y, w, h per line; the first pixel is 1, 1
<name>/groundtruth_rect.1.txt ...   for several targets; an empty file counts as none

With more images than boxes, the boxes belong to the first images, as in Football1; but
OTB's own David has 770 images, and its 471 boxes begin at number 300.
"""

import functools
from pathlib import Path

from siamjax.data.formats.annotations import Annotation, Clip, along_frames
from siamjax.folders import files_in, folders_in, images_in
from siamjax.text import read_boxes, read_text

_TRUTH = "groundtruth_rect*.txt"
_LATER = {("David", 770, 471): 299}  # name, images, boxes: images before the first box


def find(root: Path) -> list[Clip]:
    """Every sequence of a folder, or the folder itself if it is one."""
    folders = [root] if files_in(root, _TRUTH) else folders_in(root)
    return [
        Clip(folder.name, functools.partial(_read, folder))
        for folder in folders
        if files_in(folder, _TRUTH) or (folder / "img").is_dir()
    ]


def _read(folder: Path) -> list[Annotation]:
    images = images_in(folder / "img") or images_in(folder)
    truths = files_in(folder, _TRUTH) or [folder / "groundtruth_rect.txt"]
    found = []
    for track, truth in enumerate(truths):
        if len(truths) > 1 and not read_text(truth).strip():
            continue  # Human4's first target
        rows = [row if any(row) else () for row in read_boxes(truth)]
        without = _LATER.get((folder.name, len(images), len(rows)), 0)
        along = along_frames(images, [()] * without + rows, first=1)
        found += [s._replace(track=track) for s in along]
    return found
