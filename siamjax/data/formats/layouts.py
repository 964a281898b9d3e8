"""The known layouts, and detection of the one that a folder has."""

import fnmatch
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from siamjax.data.formats import (
    coco,
    crop_index,
    got10k,
    imagenet_det,
    imagenet_vid,
    lasot,
    mot,
    otb,
    pascal_voc,
    trackingnet,
    vot,
    yolo,
    youtube_bb,
)
from siamjax.data.formats.annotations import Clip, LayoutError
from siamjax.errors import InputError
from siamjax.files import printable
from siamjax.folders import has_match


class Layout(NamedTuple):
    """How folders of one kind are read.

    Attributes:
        find: lists the clips, in an order that depends on names alone.
        sign: file patterns that identify the layout.
        clips_per_shard: clips per file of records; a still image is a short clip.
        index_base: index of the first pixel by the data set's convention, which users' own
            files may break; None where the format itself defines it.
    """

    find: Callable[[Path], list[Clip]]
    sign: tuple[str, ...]
    clips_per_shard: int
    index_base: int | None = None


# Order matters: a layout that could be mistaken for another comes after it.
LAYOUTS = {
    "crops": Layout(crop_index.find, (crop_index.INDEX,), 500),
    "imagenet_vid": Layout(imagenet_vid.find, ("Annotations/VID/*",), 8),
    "imagenet_det": Layout(imagenet_det.find, ("Annotations/DET/*",), 500),
    "youtube_bb": Layout(youtube_bb.find, ("*detection_train.csv", "*detection_val*.csv"), 50),
    "mot": Layout(mot.find, ("*/gt/gt.txt", "train/*/gt/gt.txt", "gt/gt.txt"), 4, 1),
    "trackingnet": Layout(trackingnet.find, ("anno/*.txt", "TRAIN_*/anno"), 8, 0),
    "otb": Layout(otb.find, ("*/groundtruth_rect*.txt", "groundtruth_rect*.txt"), 8, 1),
    "lasot": Layout(
        lasot.find,
        ("*/full_occlusion.txt", "*/*/full_occlusion.txt", "full_occlusion.txt"),
        2,
        1,
    ),
    "got10k": Layout(
        got10k.find, ("*/absence.label", "train/*/groundtruth.txt", "absence.label"), 16, 1
    ),
    "vot": Layout(vot.find, ("*/groundtruth.txt", "groundtruth.txt"), 8, 0),
    "coco": Layout(coco.find, ("annotations/*.json", "*.json"), 500),
    "pascal_voc": Layout(pascal_voc.find, ("Annotations/*.xml", "*.xml"), 500, 1),
    "yolo": Layout(yolo.find, ("labels/**/*.txt", "classes.txt", "obj.names", "*/*.txt"), 500),
}


def moved_base(name: str, index_base: int | None) -> int | None:
    """`index_base` where it differs from the layout's own, else None.

    Raises `InputError` for a layout whose format defines the index of the first pixel.
    """
    own = LAYOUTS[name].index_base
    if index_base is not None and own is None:
        free = ", ".join(
            key for key, layout in LAYOUTS.items() if layout.index_base is not None
        )
        raise InputError(
            f"`--index-base` (={index_base}) has no meaning for the layout {name!r}, whose "
            f"format defines the first pixel; leave it out (it is for {free})"
        )
    return None if index_base == own else index_base


def find_clips(
    name: str, root: Path, only: Sequence[str] = (), index_base: int | None = None
) -> list[Clip]:
    """The clips of a folder in a layout; raises `LayoutError` when it has none.

    `only` keeps the clips whose names match one of these shell patterns. `index_base` is the
    index of the first pixel in the files if it differs from the layout's.
    """
    base = moved_base(name, index_base)
    root = Path(root)
    if not root.is_dir():
        raise LayoutError(f"the folder {str(root)!r} does not exist")
    found = LAYOUTS[name].find(root)
    # names are printed, compared and hashed: make undecodable ones printable
    clips = [clip._replace(name=printable(clip.name)) for clip in found]
    if not clips:
        other = detect(root)
        hint = f"; it looks like {other!r}" if other not in (None, name) else ""
        signs = " or ".join(LAYOUTS[name].sign)
        raise LayoutError(
            f"{str(root)!r} holds nothing in the layout {name!r} (looked for {signs}){hint}"
        )
    if base is not None:
        shift = (LAYOUTS[name].index_base or 0) - base  # `moved_base` has refused None
        clips = [c._replace(read=functools.partial(_read_moved, c.read, shift)) for c in clips]
    if not only:
        return clips
    chosen = [c for c in clips if any(fnmatch.fnmatchcase(c.name, pattern) for pattern in only)]
    if not chosen:
        names = ", ".join(clip.name for clip in clips[:4])
        raise LayoutError(
            f"no clip of {str(root)!r} matches {list(only)}; its {len(clips)} clips are named "
            f"{names}, ..."
        )
    return chosen


def _read_moved(read, shift):
    def moved(box):
        return box and (box[0] + shift, box[1] + shift, *box[2:])

    return [annotation._replace(box_xywh=moved(annotation.box_xywh)) for annotation in read()]


def detect(root: Path) -> str | None:
    """The layout that a folder's files identify; None for none."""
    for name, layout in LAYOUTS.items():
        if any(has_match(root, sign) for sign in layout.sign):
            return name
    return None
