"""Strips of a sequence's worst frames, with ground-truth and predicted boxes."""

import base64
import dataclasses

import cv2
import numpy as np

from siamjax.evaluation.benchmarks.sequences import Sequence
from siamjax.evaluation.metrics.ope import counted_frames, overlaps
from siamjax.images import ImageError

FRAMES = 5  # in a strip
WIDTH = 330  # of a thumbnail, pixels; displayed smaller, for high-density screens
MAX_HEIGHT = 420
JPEG_QUALITY = 65
TRUE_COLOR = "#2bd14f"


@dataclasses.dataclass(frozen=True)
class Moment:
    """One frame of a strip: its number from 1, the overlap there, the JPEG as base64."""

    number: int
    overlap: float
    jpeg: str


def worst_moments(overlap: np.ndarray, counted: np.ndarray, count: int = FRAMES) -> list[int]:
    """Indices of the frames to show, lowest overlap first, spread over the sequence.

    `overlap` `[t]`, `counted` `[t]` bool. The first frame, where the box is given, and
    frames that do not count are left out; frames are at least t / (2 count) apart, so that
    one long failure does not fill the strip.
    """
    order = [i for i in np.argsort(overlap, kind="stable") if counted[i] and i > 0]
    apart = len(overlap) / (2 * count)
    chosen: list[int] = []
    for index in order:
        if len(chosen) < count and all(abs(index - other) >= apart for other in chosen):
            chosen.append(int(index))
    return chosen


def strip(sequence: Sequence, predicted: list[tuple[np.ndarray, str]]) -> list[Moment]:
    """The worst frames of the first of several trackers, with the boxes of all drawn.

    `predicted` holds boxes `[t, 4]` 0-based and a colour `#rrggbb` per tracker. Unreadable
    frames are left out.
    """
    overlap = overlaps(sequence.gt_xywh, predicted[0][0])
    moments = []
    counted = counted_frames(sequence.gt_xywh)
    # leave out frames without a box in VOT's runs, unless there are no others
    has_box = np.isfinite(predicted[0][0]).all(axis=1)
    counted &= has_box | ~has_box.any()
    for index in worst_moments(overlap, counted):
        try:
            frame = sequence.read_frame(index)
        except ImageError:
            continue
        boxes = [(sequence.gt_xywh[index], TRUE_COLOR, 3)]
        boxes += [(others[index], color, 1) for others, color in reversed(predicted[1:])]
        boxes += [(predicted[0][0][index], predicted[0][1], 2)]
        jpeg = _draw(frame, boxes)
        moments.append(Moment(index + 1, max(float(overlap[index]), 0.0), jpeg))
    return moments


def _draw(frame: np.ndarray, boxes: list[tuple[np.ndarray, str, int]]) -> str:
    height, width = frame.shape[:2]
    scale = min(WIDTH / width, MAX_HEIGHT / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    shrinks = scale < 1
    image = cv2.resize(
        frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    for box, color, thickness in boxes:
        if not np.isfinite(box).all():
            continue
        # OpenCV draws with 32-bit integers; clipping far outside changes nothing
        corners = np.clip(np.array([*box[:2], *(box[:2] + box[2:])]) * scale, -1e4, 1e4)
        x0, y0, x1, y1 = corners.round().astype(int).tolist()
        bgr = tuple(int(color[i : i + 2], 16) for i in (5, 3, 1))
        cv2.rectangle(image, (x0, y0), (x1, y1), bgr, thickness, cv2.LINE_AA)
    ok, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not encode a thumbnail as JPEG")
    return base64.b64encode(encoded.tobytes()).decode("ascii")
