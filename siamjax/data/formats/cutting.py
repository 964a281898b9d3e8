"""From a clip's annotations to stored images: what is kept, what is left out, and why."""

import dataclasses
import functools
import hashlib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from siamjax.data.crops import crop_target
from siamjax.data.formats.annotations import (
    ABSENT,
    CROWD,
    FLAGS,
    HIDDEN,
    Annotation,
    Clip,
)
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.writer import StoredImage
from siamjax.data.jpeg import encode_tiled
from siamjax.data.schema import Record
from siamjax.errors import InputError, require_between
from siamjax.images import ImageError, read_image

UNREADABLE = "the annotation cannot be read"  # counts clips, not targets
REACHES_FAR = "most of the box is outside the frame"
OTHER_SIZE = "the image size differs from the annotated one"
LOOKS_NORMALISED = "the box looks like fractions of the frame, not pixels"
# If boxes are corners (x1, y1, x2, y2) where sizes are expected, nearly all seem wider and
# taller than their distance from the top left, and many seem to end beyond the frame. Correct
# boxes rarely do either.
_LARGE, _BEYOND, _BOXES = "larger than left and top", "ends beyond the frame", "boxes"
_ENOUGH, _NEARLY_ALL, _MANY = 20, 0.98, 0.2
_ROUNDED = 2  # pixels that an annotated image size may be off by
# Boxes of at most this size, pixels, look like fractions of the frame.
_FRACTION = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a set is prepared; these settings are part of its identity.

    Attributes:
        keep: `crops` around each target, or whole `frames`, cropped while training.
        crop_size: side of a stored crop, pixels.
        template_size: the model's template size, pixels.
        frame_step: keep every n-th frame of a video.
        drop: targets with these flags are left out.
        min_side: minimum side of a box, pixels of the frame.
        max_aspect: maximum aspect ratio of a box.
    """

    keep: Literal["crops", "frames"] = "crops"
    crop_size: int = 511
    template_size: int = 127
    frame_step: int = 1
    drop: tuple[str, ...] = (ABSENT, HIDDEN, CROWD)
    min_side: float = 4.0
    max_aspect: float = 15.0

    def __post_init__(self):
        unknown = sorted(set(self.drop) - set(FLAGS))
        # OpenCV cannot make crops of 32768 pixels.
        require_between("crop_size", self.crop_size, 1, 8192)
        require_between("frame_step", self.frame_step, 1, 1_000_000)
        require_between("min_side", self.min_side, 1e-3, 1e6)
        require_between("max_aspect", self.max_aspect, 1, 1e6)
        rules = {
            f"`drop` names {unknown}; the flags are {list(FLAGS)}": not unknown,
            f"`template_size` (={self.template_size}) must be positive and less than "
            f"`crop_size` (={self.crop_size})": 0 < self.template_size < self.crop_size,
        }
        for message, holds in rules.items():
            if not holds:
                raise InputError(message)


def category_number(name: str) -> int:
    """A number for a category name, the same in every set; -1 for no name.

    Case does not matter, so that sets agree on categories of the same name.
    """
    if not name:
        return -1
    return int.from_bytes(hashlib.sha256(name.casefold().encode()).digest()[:4], "big")


def cut_clips(
    clips: Sequence[Clip], first_video: int, settings: Settings, drops: Drops
) -> Iterator[StoredImage]:
    """The stored images of some clips, whose video numbers start at `first_video`."""
    for video, clip in enumerate(clips, first_video):
        try:
            annotations = clip.read()
        except (InputError, OSError) as error:  # their messages name the file
            drops.add(UNREADABLE, str(error))
            continue
        if not annotations:
            drops.add("nothing is annotated in it", clip.name)
        yield from _cut_clip(clip.name, annotations, video, settings, drops)


def _cut_clip(name, annotations, video, settings, drops):
    # one annotation per track and frame
    unique: dict[tuple[int, int], Annotation] = {}
    for annotation in annotations:
        if annotation.frame % settings.frame_step:
            continue
        if annotation.remark:
            drops.remark(annotation.remark)
        where = f"{name}, {annotation.image.name}, track {annotation.track}"
        reason = _reason_without_image(annotation, settings)
        if reason is None and (annotation.frame, annotation.track) in unique:
            reason = "the track has another box in the same frame"
        if reason is None:
            unique[annotation.frame, annotation.track] = annotation
        else:
            drops.add(reason, where)
    kept = sorted(unique.values(), key=lambda s: (s.frame, str(s.image), s.track))
    for (frame, image), group in itertools.groupby(kept, key=lambda s: (s.frame, s.image)):
        yield from _cut_frame(name, image, list(group), video, frame, settings, drops)


def _cut_frame(name, image, annotations, video, frame, settings, drops):
    try:
        pixels = read_image(image)
    except ImageError as error:
        missing = not os.path.isfile(image)  # also for names that no file can have
        reason = "the image is missing" if missing else "the image cannot be read"
        drops.add(reason, f"{name}, {image.name}" if missing else str(error), len(annotations))
        return
    height, width = pixels.shape[:2]
    targets = []
    for annotation in annotations:
        size = annotation.annotated_size
        if size is not None and _differ(size, (width, height)) and not annotation.is_fraction:
            drops.add(
                OTHER_SIZE,
                f"{name}, {image.name}: {width} x {height}, annotated as {size[0]:g} x "
                f"{size[1]:g}",
            )
            continue
        scale = (width, height, width, height) if annotation.is_fraction else (1, 1, 1, 1)
        box = tuple(v * s for v, s in zip(annotation.box_xywh, scale, strict=True))
        _note_shape(box, width, height, drops)
        reason = _reason(box, annotation.is_fraction, width, height, settings)
        if reason is None:
            targets.append((annotation, np.array(box)))
        else:
            drops.add(reason, f"{name}, {image.name}, track {annotation.track}: {_say(box)}")
    records = functools.partial(Record, video=video, frame=frame)
    described = [
        {"track": s.track, "category": category_number(s.category)} for s, _ in targets
    ]
    if settings.keep == "frames" and targets:
        boxes = [np.r_[box[:2], box[:2] + box[2:]].astype(np.float32) for _, box in targets]
        yield StoredImage(
            image.read_bytes(),
            [records(box_xyxy=b, **d) for b, d in zip(boxes, described, strict=True)],
            [box for _, box in targets],
        )
        return
    for (_, box), description in zip(targets, described, strict=True):
        crop, box_xyxy = crop_target(pixels, box, settings.crop_size, settings.template_size)
        yield StoredImage(
            encode_tiled(crop), [records(box_xyxy=box_xyxy, **description)], [box]
        )


def _differ(size, other) -> bool:
    return any(abs(a - b) > _ROUNDED for a, b in zip(size, other, strict=True))


def _note_shape(box, width, height, drops):
    x, y, w, h = box
    drops.note(_BOXES)
    if w > x and h > y:
        drops.note(_LARGE)
        if x + w > width + 2 or y + h > height + 2:
            drops.note(_BEYOND)


def look_like_corners(drops: Drops, kept: int) -> bool:
    """Whether boxes seem to be corners where sizes are expected; `kept` boxes were used."""
    far = drops.counts.get(REACHES_FAR, 0)
    if far > _MANY * (far + kept):
        return True
    count, large, beyond = (drops.notes.get(name, 0) for name in (_BOXES, _LARGE, _BEYOND))
    return count >= _ENOUGH and large >= _NEARLY_ALL * count and beyond > _MANY * count


def _say(box):
    return "x, y, w, h = " + ", ".join(f"{v:g}" for v in box)


def _reason_without_image(annotation, settings):
    """Why an annotation is left out, judged without its image; None to keep it."""
    for flag in annotation.flags:
        if flag in settings.drop:
            return f"the target is flagged {flag}"
    if annotation.excluded:
        return annotation.excluded
    box = annotation.box_xywh
    if box is None or not all(map(math.isfinite, box)):
        return "there is no box"
    if box[2] <= 0 or box[3] <= 0:
        return "the box has no size"
    return None


def _reason(box, is_fraction, width, height, settings):
    """Why a box is left out of an image of this size; None to keep it."""
    x, y, w, h = box
    small_numbers = max(x, y, w, h) <= _FRACTION and min(x, y) >= 0
    if not is_fraction and small_numbers and min(width, height) > 16:
        return LOOKS_NORMALISED
    if min(w, h) < settings.min_side:
        return "the box is too small"
    if max(w, h) > settings.max_aspect * min(w, h):
        return "the box is too flat"
    inside = max(0, min(x + w, width) - max(x, 0)) * max(0, min(y + h, height) - max(y, 0))
    if inside < w * h / 2:
        return REACHES_FAR
    return None
