"""YOLO's layout: `images/<...>/<name>.jpg` and `labels/<...>/<name>.txt`, or side by side.

A line is class, centre x, centre y, width, height in fractions of the picture, or class and
a polygon. `classes.txt` (also `obj.names`) names the classes, one a line.
"""

import functools
from pathlib import Path

from siamjax.data.builders.annotations import (
    Clip,
    LayoutError,
    Sighting,
    bounding_box,
    read_rows,
)
from siamjax.folders import IMAGE_SUFFIXES, files_below

_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")


def find(root: Path) -> list[Clip]:
    """Every picture below a folder, and every label without a picture."""
    names = _class_names(root)
    pictures = [p for p in files_below(root, "*") if p.suffix.lower() in IMAGE_SUFFIXES]
    clips, used = [], set()
    for picture in pictures:
        labels = _labels_of(root, picture)
        used.add(labels)
        clips.append(_clip(root, picture, labels, names))
    for labels in files_below(root, "*.txt"):
        in_labels = "labels" in labels.relative_to(root).parts
        if labels not in used and in_labels and labels.name != "classes.txt":
            clips.append(_clip(root, labels.with_suffix(".jpg"), labels, names))
    return clips


def _clip(root, picture, labels, names):
    name = picture.relative_to(root).with_suffix("").as_posix()
    return Clip(name, functools.partial(_read, picture, labels, names))


def _labels_of(root, picture):
    inside = picture.relative_to(root)
    parts = list(inside.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[:-1][::-1].index("images")
        parts[place] = "labels"
        labels = root.joinpath(*parts).with_suffix(".txt")
        if labels.is_file():
            return labels
    return picture.with_suffix(".txt")


def _class_names(root):
    for name in _NAMES:
        if (root / name).is_file():
            return tuple((root / name).read_text(errors="replace").splitlines())
    return ()


def _read(picture: Path, labels: Path, names: tuple[str, ...]) -> list[Sighting]:
    if not labels.is_file():
        return [Sighting(picture, 0, 0, None)]
    found = []
    for number, row in enumerate(row for row in read_rows(labels) if row):
        if len(row) < 5 or (len(row) > 6 and len(row) % 2 == 0):
            raise LayoutError(f"{labels}: a line of {len(row)} numbers, not class and box")
        if len(row) > 6:
            box = bounding_box(row[1:])
        else:  # a sixth number is a confidence
            x, y, w, h = row[1:5]
            box = (x - w / 2, y - h / 2, w, h)
        kind = int(row[0])
        category = names[kind] if 0 <= kind < len(names) else f"class {kind}"
        found.append(Sighting(picture, 0, number, box, category, (), is_fraction=True))
    return found
