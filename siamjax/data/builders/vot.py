"""VOT's layout.

    <name>/color/00000001.jpg ...   or the pictures beside the boxes
    <name>/groundtruth.txt          x, y, w, h or a polygon a line, 0-based; NaN for none
    <name>/occlusion.tag            optional, 0 or 1 a line (also .label)

Masks (VOT2020 and later, lines that begin with m) are taken by their box.
"""

import functools
from pathlib import Path

from siamjax.data.builders.annotations import (
    HIDDEN,
    Clip,
    LayoutError,
    Sighting,
    along_frames,
    read_flags,
)
from siamjax.folders import folders_in, images_in

_NO_BOX = ()


def find(root: Path) -> list[Clip]:
    """Every sequence of a folder, or the folder itself when it is one."""
    folders = [root] if (root / "groundtruth.txt").is_file() else folders_in(root)
    return [
        Clip(folder.name, functools.partial(_read, folder))
        for folder in folders
        if (folder / "groundtruth.txt").is_file() or (folder / "color").is_dir()
    ]


def _read(folder: Path) -> list[Sighting]:
    images = images_in(folder / "color") or images_in(folder)
    occluded = read_flags(folder / "occlusion.tag") or read_flags(folder / "occlusion.label")
    truth = folder / "groundtruth.txt"
    try:
        lines = truth.read_text().rstrip().splitlines()
        rows = [_region(line) for line in lines]
    except (OSError, ValueError) as error:
        raise LayoutError(f"{truth}: cannot be read: {error}") from error

    def flags(place):
        return (HIDDEN,) if place < len(occluded) and occluded[place] else ()

    return along_frames(images, rows, flags=flags)


def _region(line):
    """Numbers of a region; a mask's own box is its first four."""
    line = line.strip()
    values = [float(word) for word in line.lstrip("m").split(",") if word.strip()]
    if line.startswith("m"):
        return values[:4]
    return values if len(values) >= 4 else _NO_BOX
