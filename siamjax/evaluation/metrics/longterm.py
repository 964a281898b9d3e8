"""VOT's long-term measures: tracking precision, recall and F-score. NumPy only.

A tracker reports a region and a confidence in each frame. At a threshold, precision is the
mean overlap over the frames whose confidence reaches it, and recall the same sum divided by
the number of frames with the target; both are averaged over sequences, and the best F-score
is reported.

Frames without a confidence have 0. Two conventions, by name, which select slightly different
thresholds from the confidences. `"pysot"`, the default: missing confidences are no candidates,
and at minus infinity only positive ones count. `"vot-toolkit"`: every frame counts at minus
infinity, and a frame where prediction and ground truth are both empty has overlap 1, so that
recall may exceed 1. In both, a first line that is a code is a miss: a perfect run of n frames
has recall (n - 1) / n.
Verified: PySOT's against its own published code, vot-toolkit's against version
0.9.0.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.metrics.overlap import Convention, raster_overlap
from siamjax.evaluation.metrics.regions import Regions, VotSequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTermProtocol:
    """A VOT long-term challenge: no re-initialisation, a confidence per frame.

    Attributes:
      name: the challenge.
      aliases: challenges with the same constants.
      thresholds: number of confidence thresholds.
    """

    name: str
    aliases: tuple[str, ...] = ()
    thresholds: int = 100


LONG_TERM_PROTOCOLS = (LongTermProtocol(name="VOT2018-LT", aliases=("VOT2019-LT",)),)


class LongTermRun(NamedTuple):
    """One tracker on one sequence of t frames."""

    regions: Regions
    confidence: np.ndarray  # [t]; NaN where none was given


class LongTermScores(NamedTuple):
    """The scores at the threshold of the best F-score."""

    lt_precision: float
    lt_recall: float
    lt_f_score: float


@dataclasses.dataclass(frozen=True, eq=False)
class LongTermCurves:
    """Precision and recall by threshold, in descending order.

    Attributes:
      thresholds: [n], from plus to minus infinity.
      precision: [n] by sequence name.
      recall: [n] by sequence name.
    """

    thresholds: np.ndarray
    precision: dict[str, np.ndarray]
    recall: dict[str, np.ndarray]

    @property
    def mean_precision(self) -> np.ndarray:
        """The mean over sequences, `[n]`."""
        return np.mean(list(self.precision.values()), axis=0)

    @property
    def mean_recall(self) -> np.ndarray:
        """The mean over sequences, `[n]`."""
        return np.mean(list(self.recall.values()), axis=0)

    @property
    def overall(self) -> LongTermScores:
        """The scores over all sequences."""
        return best_f_score(self.mean_precision, self.mean_recall)

    @property
    def sequences(self) -> dict[str, LongTermScores]:
        """The scores of each sequence at its own best threshold."""
        return {
            name: best_f_score(precision, self.recall[name])
            for name, precision in self.precision.items()
        }


def score_long_term(
    sequences: Sequence[VotSequence],
    runs: Mapping[str, LongTermRun],
    protocol: LongTermProtocol,
    *,
    convention: Convention = "pysot",
) -> LongTermCurves:
    """Precision and recall of one tracker; `runs` by sequence name.

    Sequences without a run are ignored; the reader of the results reports them. Raises
    `ValueError` when there is no run, or a run differs in length from its sequence.
    """
    scored = [sequence for sequence in sequences if sequence.name in runs]
    if not scored:
        raise InputError("no sequence has a run to score")
    confidences = np.concatenate([runs[sequence.name].confidence for sequence in scored])
    if convention == "vot-toolkit":
        confidences = np.where(np.isnan(confidences), 0.0, confidences)
    thresholds = choose_thresholds(confidences, protocol.thresholds, convention)
    precision, recall = {}, {}
    for sequence in scored:
        run = runs[sequence.name]
        precision[sequence.name], recall[sequence.name] = precision_recall(
            _overlaps(sequence, run, convention),
            run.confidence,
            int(sequence.ground_truth.is_finite.sum()),
            thresholds,
            convention,
        )
    return LongTermCurves(thresholds, precision, recall)


def _overlaps(sequence, run, convention) -> np.ndarray:
    truth = sequence.ground_truth
    size = sequence.frame_size or (np.inf, np.inf)
    overlap = np.nan_to_num(raster_overlap(run.regions, truth, size, convention=convention))
    if convention == "vot-toolkit":
        overlap[~run.regions.is_finite & ~truth.is_finite] = 1
    return overlap


def choose_thresholds(
    confidence: np.ndarray, count: int, convention: Convention = "pysot"
) -> np.ndarray:
    """`count` thresholds, from plus to minus infinity, sampled from the confidences.

    With `count` - 2 confidences or fewer (except NaN) each is a threshold.
    """
    ordered = np.sort(confidence[~np.isnan(confidence)])
    steps = count - 2
    if len(ordered) > steps:
        width = len(ordered) // steps
        if convention == "pysot":
            index = np.linspace(width - 1, len(ordered) - width, steps) + 0.5
            ordered = ordered[np.floor(index).astype(int)]
        else:
            index = np.round(np.linspace(width, len(ordered) - width, steps)).astype(int)
            ordered = ordered[::-1][index][::-1]
    return np.concatenate([[np.inf], ordered[::-1], [-np.inf]])


def precision_recall(
    overlap: np.ndarray,
    confidence: np.ndarray,
    visible: int,
    thresholds: np.ndarray,
    convention: Convention = "pysot",
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of one sequence at each threshold: two `[n]`.

    `overlap` and `confidence` are `[t]`; `visible` is the number of frames with the
    target. Precision is 1 and recall 0 where no frame reaches the threshold. Recall is NaN
    if the target is never visible.
    """
    confidence = np.where(np.isnan(confidence), 0.0, confidence)
    order = np.argsort(-confidence, kind="stable")
    # sorted by descending confidence: frames that reach a threshold come first
    total = np.concatenate([[0], np.cumsum(overlap[order])])
    reaching = np.searchsorted(-confidence[order], -thresholds, side="right")
    if convention == "pysot":
        reaching[np.isneginf(thresholds)] = (confidence > 0).sum()
    total = total[reaching]
    precision = np.where(reaching > 0, total / np.maximum(reaching, 1), 1.0)
    return precision, total / visible if visible else np.full(len(total), np.nan)


def best_f_score(precision: np.ndarray, recall: np.ndarray) -> LongTermScores:
    """Precision, recall and F-score at the point of a curve with the highest F-score."""
    both = precision + recall
    f_score = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), 0)
    best = int(np.argmax(f_score))
    return LongTermScores(float(precision[best]), float(recall[best]), float(f_score[best]))
