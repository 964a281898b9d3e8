"""One-pass evaluation: success, precision, normalised precision. NumPy only.

Boxes are `[t, 4]` `_xywh` in pixels, ground truth and prediction in the same index base.
The results are independent of the index base except for one quirk (see `center_errors`), so
use the benchmark's own. Conventions have names, see `OPE_CONVENTIONS`; PySOT's is the
default. Reference: PySOT's OPE benchmark.
"""

import dataclasses
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from siamjax.errors import InputError, RefusedError
from siamjax.geometry.boxes import iou_xyxy, xywh_to_xyxy

# Success: fraction of frames whose overlap exceeds each of these. Reference: PySOT's OPE
# benchmark. The comparison is strict, so that nothing exceeds the last one and a perfect
# tracker's area under the curve is 20/21 = 0.952, not 1.
SUCCESS_THRESHOLDS = np.arange(21) * 0.05
# Precision: fraction of frames with at most this centre error, pixels; reported at 20.
PRECISION_THRESHOLDS = np.arange(51.0)
PRECISION_REPORTED = 20
# The same, divided by the ground-truth width and height; reported at 0.20.
NORM_PRECISION_THRESHOLDS = np.arange(51) / 100
NORM_PRECISION_REPORTED = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpeConvention:
    """How a toolkit of one-pass evaluation treats frames without a valid box.

    Attributes:
      name: its name here.
      first_from_truth: the first prediction is replaced by the ground truth.
      repeat_invalid: a prediction that is not finite or has no area is replaced by the
        previous one.
      absent_in_denominator: frames without the target count as misses; otherwise they are
        left out.
      valid_truth: which ground-truth boxes are valid for centre errors: those whose "center"
        is positive, whose four numbers are "positive", or that are "finite".
      invalid_truth: precision in a frame without a valid ground-truth box: a "hit" at every
        threshold, a "miss", or the frame is "left out".
      invalid_truth_norm: the same for normalised precision.
    """

    name: str
    first_from_truth: bool
    repeat_invalid: bool
    absent_in_denominator: bool
    valid_truth: Literal["center", "positive", "finite"]
    invalid_truth: Literal["hit", "miss", "left out"]
    invalid_truth_norm: Literal["hit", "miss", "left out"]


PYSOT = OpeConvention(
    # Source: PySOT, toolkit/utils/statistics.py and toolkit/evaluation/ope_benchmark.py,
    # which published tables of this family use.
    name="pysot",
    first_from_truth=False,
    repeat_invalid=False,
    absent_in_denominator=True,
    valid_truth="center",
    invalid_truth="hit",
    invalid_truth_norm="hit",
)
OPE_CONVENTIONS = (
    PYSOT,
    # Source: HengLan/LaSOT_Evaluation_Toolkit, utils/calc_seq_err_robust.m and
    # utils/eval_tracker.m; OTB's and UAV123's toolkits do the same.
    OpeConvention(
        name="matlab",
        first_from_truth=True,
        repeat_invalid=True,
        absent_in_denominator=True,
        valid_truth="positive",
        invalid_truth="hit",
        invalid_truth_norm="hit",
    ),
    # Source: got10k 0.1.3, experiments/otb.py and experiments/uav123.py.
    OpeConvention(
        name="got10k",
        first_from_truth=True,
        repeat_invalid=False,
        absent_in_denominator=False,
        valid_truth="finite",
        invalid_truth="left out",
        invalid_truth_norm="left out",
    ),
    # Source: visionml/pytracking, pytracking/analysis/extract_results.py (for UAV123 alone
    # it counts a centre without a valid ground-truth box as a hit).
    OpeConvention(
        name="pytracking",
        first_from_truth=True,
        repeat_invalid=True,
        absent_in_denominator=True,
        valid_truth="positive",
        invalid_truth="miss",
        invalid_truth_norm="hit",
    ),
)


class Curves(NamedTuple):
    """Fraction of frames that pass each threshold, of one sequence or averaged over several."""

    success: np.ndarray  # [21]
    precision: np.ndarray  # [51]
    norm_precision: np.ndarray  # [51]


class OpeScores(NamedTuple):
    """The three scores of a tracker or a sequence."""

    success_auc: float
    precision_20px: float
    norm_precision: float


def overlaps(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """Intersection over union per frame, `[t]`, of continuous areas.

    -1 where the ground truth has no width or height, so that the frame is never a success; 0
    where the prediction is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        iou = iou_xyxy(xywh_to_xyxy(gt_xywh), xywh_to_xyxy(predicted_xywh)).clip(0, 1)
    return np.where((gt_xywh[:, 2:] > 0).all(axis=1), iou, -1.0)


def center_errors(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """Distance of the centres per frame, `[t]` pixels; a centre is x + (w - 1) / 2.

    -1, a hit at every threshold, where a coordinate of the ground-truth centre is not
    positive: a quirk of the reference, kept because published results contain it. NaN, never
    a hit, where the prediction is not finite.
    """
    return _center_errors(gt_xywh, predicted_xywh, np.ones((len(gt_xywh), 2)))


def norm_center_errors(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> np.ndarray:
    """As `center_errors`, with x divided by the ground-truth width and y by the height."""
    return _center_errors(gt_xywh, predicted_xywh, gt_xywh[:, 2:] + 1e-16)


def _center_errors(gt_xywh, predicted_xywh, unit):
    true, predicted = (
        (box[:, :2] + (box[:, 2:] - 1) / 2) / unit for box in (gt_xywh, predicted_xywh)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.sqrt(((true - predicted) ** 2).sum(axis=1))
    return np.where((true > 0).all(axis=1), distance, -1.0)


def counted_frames(gt_xywh: np.ndarray) -> np.ndarray:
    """Which frames have a finite ground-truth box, `[t]` bool."""
    return np.all(np.isfinite(gt_xywh), axis=1)


def curves(
    gt_xywh: np.ndarray,
    predicted_xywh: np.ndarray,
    *,
    visible: np.ndarray | None = None,
    convention: OpeConvention = PYSOT,
) -> Curves:
    """The three curves of one sequence.

    Success is strict (overlap > threshold), precision is not (error <= threshold). `visible`
    `[t]` bool is False where the target is absent. Raises `InputError` when the lengths
    differ or no frame counts.
    """
    if len(gt_xywh) != len(predicted_xywh):
        raise InputError(
            f"expected {len(gt_xywh)} boxes, as in the ground truth, got {len(predicted_xywh)}"
        )
    gt, predicted, denominator = _counted(gt_xywh, predicted_xywh, visible, convention)
    if not denominator or not counted_frames(gt).any():
        raise RefusedError("no frame has a ground-truth box")
    overlap = overlaps(gt, predicted)
    errors, norm_errors = center_errors(gt, predicted), norm_center_errors(gt, predicted)
    if convention.valid_truth != "center":
        valid = _VALID[convention.valid_truth](gt)
        of_hit = {"hit": -1.0, "miss": np.inf, "left out": np.inf}
        overlap = np.where(valid, overlap, -1.0)
        instead, norm_instead = (
            of_hit[kind] for kind in (convention.invalid_truth, convention.invalid_truth_norm)
        )
        errors = np.where(valid, _plain_errors(gt, predicted, 1.0), instead)
        sizes = np.where(gt[:, 2:] > 0, gt[:, 2:], 1.0)
        norm_errors = np.where(valid, _plain_errors(gt, predicted, sizes), norm_instead)
    return Curves(
        _count_within(-overlap, -SUCCESS_THRESHOLDS, "left") / denominator,
        _count_within(errors, PRECISION_THRESHOLDS, "right") / denominator,
        _count_within(norm_errors, NORM_PRECISION_THRESHOLDS, "right") / denominator,
    )


_Side = Literal["left", "right"]


def _count_within(values: np.ndarray, thresholds: np.ndarray, side: _Side) -> np.ndarray:
    """How many values are below each threshold, or equal if `side` is "right"; NaN never."""
    return np.searchsorted(np.sort(values[~np.isnan(values)]), thresholds, side)


def _counted(gt, predicted, visible, convention):
    """Ground truth and predictions of the frames considered, and the denominator."""
    predicted = predicted.copy()
    if convention.repeat_invalid:
        usable = np.isfinite(predicted).all(axis=1) & (predicted[:, 2:] > 0).all(axis=1)
        usable[0] = True
        predicted = predicted[np.maximum.accumulate(np.where(usable, np.arange(len(gt)), 0))]
    if convention.first_from_truth:
        predicted[0] = gt[0]
    looked_at = np.ones(len(gt), bool) if visible is None else visible
    if convention.invalid_truth == "left out":
        looked_at = looked_at & _VALID[convention.valid_truth](gt)
    denominator = len(gt) if convention.absent_in_denominator else int(looked_at.sum())
    return gt[looked_at], predicted[looked_at], denominator


_VALID = {"positive": lambda gt: (gt > 0).all(axis=1), "finite": counted_frames}


def _plain_errors(gt, predicted, unit) -> np.ndarray:
    true, found = (box[:, :2] + (box[:, 2:] - 1) / 2 for box in (gt, predicted))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt((((true - found) / unit) ** 2).sum(axis=1))


def mean_curves(of_sequences: Iterable[Curves]) -> Curves:
    """The mean over sequences, each of equal weight whatever its length."""
    return Curves(*(np.mean(parts, axis=0) for parts in zip(*of_sequences, strict=True)))


def scores(of: Curves) -> OpeScores:
    """The reported scores: area under success, and one point of each precision curve."""
    return OpeScores(
        float(of.success.mean()),
        float(of.precision[PRECISION_REPORTED]),
        float(of.norm_precision[NORM_PRECISION_REPORTED]),
    )
