"""GOT-10k's measures: average overlap and success rates, over frames. NumPy only.

Unlike in one-pass evaluation, every frame has the same weight whatever its sequence, the
first frame and frames without a visible target do not count, and boxes are clipped to the
frame. Reference: the GOT-10k toolkit, against which this is tested.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from siamjax.errors import InputError
from siamjax.geometry.boxes import iou_xyxy, xywh_to_xyxy

# Thresholds of the success rates, and of the success curve. Source: got10k 0.1.3,
# experiments/got10k.py.
SUCCESS_AT = (0.50, 0.75)
THRESHOLDS = np.linspace(0, 1, 101)


class Got10kScores(NamedTuple):
    """The scores of a tracker or a sequence."""

    ao: float
    sr_050: float
    sr_075: float


def frame_overlaps(
    gt_xywh: np.ndarray,
    runs_xywh: Iterable[np.ndarray],
    *,
    visible: np.ndarray | None = None,
    frame_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Overlaps in the frames that count, all repetitions concatenated.

    `gt_xywh` `[t, 4]` and each run `[t, 4]` are clipped to `frame_size` (width, height) if it
    is known. A prediction that is not finite is a miss. Raises `InputError` when a run has
    another length or no frame counts.
    """
    counted = np.all(np.isfinite(gt_xywh), axis=1)
    counted[0] = False
    if visible is not None:
        counted &= visible
    if not counted.any():
        raise InputError("no frame after the first has a ground-truth box")
    found = []
    for run in runs_xywh:
        if len(run) != len(gt_xywh):
            raise InputError(
                f"expected {len(gt_xywh)} boxes, as in the ground truth, got {len(run)}"
            )
        true, predicted = (_cut(boxes[counted], frame_size) for boxes in (gt_xywh, run))
        with np.errstate(over="ignore", invalid="ignore"):
            overlap = iou_xyxy(xywh_to_xyxy(true), xywh_to_xyxy(predicted)).clip(0, 1)
        found.append(np.nan_to_num(overlap))
    return np.concatenate(found)


def _cut(boxes: np.ndarray, frame_size: tuple[int, int] | None) -> np.ndarray:
    if frame_size is None:
        return boxes
    corner = np.clip(boxes[:, :2], 0, frame_size)
    return np.concatenate([corner, np.clip(boxes[:, 2:], 0, frame_size - corner)], axis=1)


def scores(overlap: np.ndarray) -> Got10kScores:
    """Average overlap, and the fractions of frames above 0.50 and 0.75."""
    rates = (float((overlap > least).mean()) for least in SUCCESS_AT)
    return Got10kScores(float(overlap.mean()), *rates)


def success_curve(overlap: np.ndarray) -> np.ndarray:
    """Fraction of frames above each of 101 overlaps, `[101]`."""
    ordered = np.sort(overlap)
    return 1 - np.searchsorted(ordered, THRESHOLDS, side="right") / len(ordered)
