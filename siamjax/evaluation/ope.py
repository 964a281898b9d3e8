"""One-pass evaluation: success, precision, normalised precision. NumPy only.

Boxes are `[t, 4]` `_xywh` in pixels, ground truth and prediction in the same index base.
Everything translates with the boxes but one quirk (see `center_errors`), for which the
numbers should be those of the benchmark's own files. Reference: PySOT's OPE benchmark.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from siamjax.evaluation.protocols import (
    NORM_PRECISION_REPORTED,
    NORM_PRECISION_THRESHOLDS,
    PRECISION_REPORTED,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
)
from siamjax.geometry.boxes import iou_xyxy, xywh_to_xyxy


class Curves(NamedTuple):
    """Share of frames that pass each threshold, of one sequence or averaged over several."""

    success: np.ndarray  # [21]
    precision: np.ndarray  # [51]
    norm_precision: np.ndarray  # [51]


class OpeScores(NamedTuple):
    """The three numbers of a table row."""

    success_auc: float
    precision_20px: float
    norm_precision: float


def overlaps(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """Intersection over union by frame, `[t]`, continuous areas.

    -1 where the true box has no width or height, so that such a frame never counts as a
    success; 0 where the prediction is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        iou = iou_xyxy(xywh_to_xyxy(gt_xywh), xywh_to_xyxy(predicted_xywh)).clip(0, 1)
    return np.where((gt_xywh[:, 2:] > 0).all(axis=1), iou, -1.0)


def center_errors(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """Distance of the centres by frame, `[t]` pixels; a centre is x + (w - 1) / 2.

    -1, a hit at every threshold, where a coordinate of the true centre is not positive: a
    quirk of the reference, kept because published numbers contain it. NaN, never a hit,
    where the prediction is not finite.
    """
    return _center_errors(gt_xywh, predicted_xywh, np.ones((len(gt_xywh), 2)))


def norm_center_errors(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """As `center_errors`, with x divided by the true width and y by the true height."""
    return _center_errors(gt_xywh, predicted_xywh, gt_xywh[:, 2:] + 1e-16)


def _center_errors(gt_xywh, predicted_xywh, unit):
    true, predicted = (
        (box[:, :2] + (box[:, 2:] - 1) / 2) / unit for box in (gt_xywh, predicted_xywh)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.sqrt(((true - predicted) ** 2).sum(axis=1))
    return np.where((true > 0).all(axis=1), distance, -1.0)


def counted_frames(gt_xywh: np.ndarray) -> np.ndarray:
    """Which frames count, `[t]` bool: those whose ground truth is finite.

    A row with NaN (DAVIS writes them where the target is absent) is left out of numerator
    and denominator; a box of zero size stays in the denominator, as in the reference.
    """
    return np.isfinite(gt_xywh).all(axis=1)


def curves(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> Curves:
    """The three curves of one sequence.

    Success is strict (overlap > threshold), precision is not (error <= threshold). Raises
    `ValueError` when the lengths differ or no frame counts.
    """
    if len(gt_xywh) != len(predicted_xywh):
        raise ValueError(
            f"{len(predicted_xywh)} predicted boxes for {len(gt_xywh)} of ground truth"
        )
    counted = counted_frames(gt_xywh)
    if not counted.any():
        raise ValueError("no frame has a finite ground truth")
    gt, predicted = gt_xywh[counted], predicted_xywh[counted]
    errors, norm_errors = center_errors(gt, predicted), norm_center_errors(gt, predicted)
    return Curves(
        (overlaps(gt, predicted)[:, None] > SUCCESS_THRESHOLDS).mean(axis=0),
        (errors[:, None] <= PRECISION_THRESHOLDS).mean(axis=0),
        (norm_errors[:, None] <= NORM_PRECISION_THRESHOLDS).mean(axis=0),
    )


def mean_curves(of_sequences: Iterable[Curves]) -> Curves:
    """The mean over sequences, each weighing the same whatever its length."""
    return Curves(*(np.mean(parts, axis=0) for parts in zip(*of_sequences, strict=True)))


def scores(of: Curves) -> OpeScores:
    """The numbers that are reported: area under success, and two points of the others."""
    return OpeScores(
        float(of.success.mean()),
        float(of.precision[PRECISION_REPORTED]),
        float(of.norm_precision[NORM_PRECISION_REPORTED]),
    )
