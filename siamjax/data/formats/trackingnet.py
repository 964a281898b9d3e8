"""TrackingNet's layout: `TRAIN_<n>/frames/<name>/0.jpg ...` and `TRAIN_<n>/anno/<name>.txt`.

A line is x, y, w, h, 0-based. The folder of a single part is accepted too.
"""

import functools
from pathlib import Path

from siamjax.data.formats.annotations import Annotation, Clip, along_frames
from siamjax.folders import files_in, folders_in, images_in
from siamjax.text import read_boxes


def find(root: Path) -> list[Clip]:
    """Every video with frames or annotations, but of TEST, which has one box per video."""
    parts = [root] if (root / "frames").is_dir() else folders_in(root)
    clips = []
    for part in parts:
        if part.name.upper() == "TEST":
            continue
        names = {f.name for f in folders_in(part / "frames")}
        names |= {f.stem for f in files_in(part / "anno", "*.txt")}
        for name in sorted(names):
            label = name if part == root else f"{part.name}/{name}"
            clips.append(Clip(label, functools.partial(_read, part, name)))
    return clips


def _read(part: Path, name: str) -> list[Annotation]:
    boxes = read_boxes(part / "anno" / f"{name}.txt")
    return along_frames(images_in(part / "frames" / name), boxes)
