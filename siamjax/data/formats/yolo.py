"""YOLO's layout: `images/<...>/<name>.jpg` and `labels/<...>/<name>.txt`, or both in one
folder.

A line is class, centre x, centre y, width, height in fractions of the image, optionally with
a confidence, a track id, or both; or class and a polygon of three or more corners.
`classes.txt` (also `obj.names`) names the classes, one per line.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from siamjax.data.formats.annotations import Annotation, Clip, bounding_box
from siamjax.folders import files_below, images_below
from siamjax.text import TextError, as_whole, in_line, quote, read_lines, read_rows

PIXELS = "the box is in pixels, where fractions of the image are expected"
_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")
_ROUNDING = 1e-3


def find(root: Path) -> list[Clip]:
    """Every image below a folder, and every label without an image."""
    names = _class_names(root)
    clips, used = [], set()
    for image in images_below(root):
        labels = _labels_of(root, image)
        used.add(labels)
        clips.append(_clip(root, image, labels, names))
    for labels in files_below(root, "*.txt"):
        in_labels = "labels" in labels.relative_to(root).parts
        if labels not in used and in_labels and labels.name != "classes.txt":
            clips.append(_clip(root, labels.with_suffix(".jpg"), labels, names))
    return clips


def _clip(root, image, labels, names):
    name = image.relative_to(root).with_suffix("").as_posix()
    return Clip(name, functools.partial(_read, image, labels, names))


def _labels_of(root, image):
    inside = image.relative_to(root)
    parts = list(inside.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[:-1][::-1].index("images")
        parts[place] = "labels"
        labels = root.joinpath(*parts).with_suffix(".txt")
        if labels.is_file():
            return labels
    return image.with_suffix(".txt")


def _class_names(root):
    for name in _NAMES:
        if (root / name).is_file():
            return tuple(read_lines(root / name))
    return ()


def _read(image: Path, labels: Path, names: tuple[str, ...]) -> list[Annotation]:
    if not labels.is_file():
        return [Annotation(image, 0, 0, None)]
    rows = list(read_rows(labels))
    # in a file of polygons, seven numbers are a polygon too
    polygons = any(len(row) > 7 for _, row in rows)
    read = functools.partial(_target, polygons=polygons, classes=len(names))
    found = []
    for number, (line, row) in enumerate(rows):
        kind, box = in_line(labels, line, read, row)
        excluded = PIXELS if max(map(abs, box)) > 2 else ""
        category = names[kind] if names else f"class {kind}"
        found.append(Annotation(image, 0, number, box, category, (), True, excluded))
    return found


def _target(row: Sequence[float], *, polygons: bool, classes: int):
    """Class and box of a line; raises `TextError` for anything else."""
    if len(row) < 5:
        raise TextError(f"{len(row)} numbers ({_say(row)}), class and box are expected")
    kind = as_whole(row[0])
    if kind < 0 or (classes and kind >= classes):
        named = f"; {classes} classes are named" if classes else ""
        raise TextError(f"class {kind} is invalid{named}")
    box, rest = row[1:5], row[5:]
    x, y, w, h = box
    box = (x - w / 2, y - h / 2, w, h)
    is_box, is_polygon = _may_follow(rest), _is_polygon(row[1:])
    if is_box and is_polygon:
        is_box = not polygons and all(
            map(_is_inside, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        )
    if is_box:
        return kind, box
    if is_polygon:
        return kind, bounding_box(row[1:])
    raise TextError(
        f"{len(row)} numbers ({_say(row)}): neither class and box (with confidence, 0 to 1, "
        "and track) nor class and a polygon of corners in 0 to 1"
    )


def _may_follow(rest: Sequence[float]) -> bool:
    """Whether numbers can follow a box: none, a confidence, a track id, or both."""
    if not rest:
        return True
    is_confidence, is_track = 0 <= rest[0] <= 1, float(rest[-1]).is_integer() and rest[-1] >= 0
    return (len(rest) == 1 and (is_confidence or is_track)) or (
        len(rest) == 2 and is_confidence and is_track
    )


def _is_polygon(values: Sequence[float]) -> bool:
    return len(values) >= 6 and len(values) % 2 == 0 and all(map(_is_inside, values))


def _is_inside(value: float) -> bool:
    return -_ROUNDING <= value <= 1 + _ROUNDING


def _say(row) -> str:
    return quote(" ".join(f"{value:g}" for value in row))
