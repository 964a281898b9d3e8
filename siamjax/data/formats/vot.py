"""VOT's layout.

    <name>/color/00000001.jpg ...   or the images beside the boxes
    <name>/groundtruth.txt          x, y, w, h or a polygon per line, 0-based; NaN for none
    <name>/occlusion.tag            optional, 0 or 1 per line (also .label)

Of masks (VOT2020 and later, lines that begin with m) the bounding box is used.
"""

import functools
from pathlib import Path

from siamjax.data.formats.annotations import (
    HIDDEN,
    Annotation,
    Clip,
    along_frames,
    as_size,
    flags_along,
)
from siamjax.folders import folders_in, images_in
from siamjax.text import read_regions, read_settings


def find(root: Path) -> list[Clip]:
    """Every sequence of a folder, or the folder itself when it is one."""
    folders = [root] if (root / "groundtruth.txt").is_file() else folders_in(root)
    return [
        Clip(folder.name, functools.partial(_read, folder))
        for folder in folders
        if (folder / "groundtruth.txt").is_file() or (folder / "color").is_dir()
    ]


def _read(folder: Path) -> list[Annotation]:
    images = images_in(folder / "color") or images_in(folder)
    regions = read_regions(folder / "groundtruth.txt", masks=True)
    files = (folder / "occlusion.tag", folder / "occlusion.label")
    file = next((file for file in files if file.is_file()), files[0])
    occluded = flags_along(file, len(regions))

    def flags(place):
        return (HIDDEN,) if occluded[place] else ()

    file = folder / "sequence"  # of vot-toolkit
    about = read_settings(file) if file.is_file() else {}
    size = as_size(about.get("width"), about.get("height"))
    return along_frames(images, regions, flags=flags, size=size)
