"""VOT's supervised measures: accuracy, robustness, expected average overlap. NumPy only.

A supervised run is initialised from the ground truth, stopped where it no longer overlaps
with it, and re-initialised some frames later. Two conventions, by name:

`"pysot"`, the default: what VOT2016 to VOT2019 are published with. Accuracy is the mean over
all frames of all sequences, after averaging repetitions; robustness is failures per hundred
frames; the expected average overlap splits sequences `skip` frames after each failure, a
failed segment extending to the next start, and averages curve indices low - 1 to high - 1.
All repetitions count if there are as many as the protocol asks for, otherwise the first.

`"vot-toolkit"`: the Python toolkit. Accuracy and failures are means over sequences weighted
by length; segments last from each start to its failure; the curve is as long as the longest
segment, and indices low to high are averaged. All repetitions count.

Verified: PySOT's against its own published code and values, vot-toolkit's against version
0.9.0.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.metrics.overlap import Convention, raster_overlap
from siamjax.evaluation.metrics.regions import FAILED, INITIALISED, Regions, VotSequence

# The tag of frames without any annotated attribute.
UNTAGGED = "empty"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VotProtocol:
    """A VOT challenge of supervised runs: a tracker that fails is re-initialised.

    Attributes:
      name: the challenge.
      aliases: other challenges with the same constants.
      eao_low: shortest sequence length in the expected average overlap.
      eao_high: longest such length.
      burnin: frames after each start that accuracy ignores.
      skip: frames from a failure to the next start.
      repetitions: runs per sequence of a non-deterministic tracker.
      sensitivity: S of the reliability exp(-S failures / frames).
    """

    name: str
    aliases: tuple[str, ...] = ()
    eao_low: int
    eao_high: int
    burnin: int = 10
    skip: int = 5
    repetitions: int = 15
    sensitivity: float = 30.0


# Source: PySOT's EAO benchmark and vot-toolkit's stacks, which agree.
VOT_PROTOCOLS = (
    VotProtocol(name="VOT2016", eao_low=108, eao_high=371),
    VotProtocol(name="VOT2018", aliases=("VOT2017",), eao_low=100, eao_high=356),
    VotProtocol(name="VOT2019", eao_low=46, eao_high=291),
)


class MeasuredRun(NamedTuple):
    """One run of t frames, compared with the ground truth."""

    counted: np.ndarray  # [t] overlap in the frames that count for accuracy, else NaN
    overlap: np.ndarray  # [t] overlap in 0..1, 0 in frames without a region
    starts: np.ndarray  # [i] frames where the tracker was initialised
    failures: np.ndarray  # [f] frames where it failed


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredSequence:
    """The runs of one tracker on one sequence of t frames.

    Attributes:
      runs: one per repetition that counts.
      frames: t.
      tags: [t] bool by attribute.
    """

    runs: list[MeasuredRun]
    frames: int
    tags: dict[str, np.ndarray]

    def tagged(self, tag: str | None) -> np.ndarray:
        """Frames with a tag, `[t]` bool; all frames for None."""
        if tag is None:
            return np.ones(self.frames, bool)
        if tag == UNTAGGED:
            return ~np.any([np.zeros(self.frames, bool), *self.tags.values()], axis=0)
        return self.tags.get(tag, np.zeros(self.frames, bool))


class Scores(NamedTuple):
    """The scores of a tracker or a sequence; NaN where undefined."""

    accuracy: float
    robustness: float
    lost_number: float


@dataclasses.dataclass(frozen=True, eq=False)
class SupervisedScores:
    """The scores of one tracker on one challenge.

    Attributes:
      overall: over all sequences with results.
      eao: expected average overlap.
      eao_curve: [l] expected overlap by sequence length; index 0 is the initialisation.
      sequences: scores by sequence name.
      attributes: by tag, the scores over frames with it, and the expected average overlap
        where each segment is weighted by the fraction of its frames with the tag.
    """

    overall: Scores
    eao: float
    eao_curve: np.ndarray
    sequences: dict[str, Scores]
    attributes: dict[str, tuple[Scores, float]]


def score_supervised(
    sequences: Sequence[VotSequence],
    runs: Mapping[str, Sequence[Regions]],
    protocol: VotProtocol,
    *,
    convention: Convention = "pysot",
) -> SupervisedScores:
    """Scores the runs of one tracker; `runs` by sequence name, one per repetition.

    Sequences without runs are ignored; the reader of the results reports them. Raises
    `ValueError` when there is no run, or a run differs in length from its sequence.
    """
    measured = {
        sequence.name: measure(sequence, runs[sequence.name], protocol, convention)
        for sequence in sequences
        if runs.get(sequence.name)
    }
    if not measured:
        raise InputError("no sequence has a run to score")
    every = list(measured.values())
    tags = dict.fromkeys(tag for one in every for tag in one.tags)
    curve = eao_curve(every, protocol, convention)
    return SupervisedScores(
        _scores(every, convention, None),
        expected_average(curve, protocol, convention),
        curve,
        {name: _scores([one], convention, None) for name, one in measured.items()},
        {
            tag: (
                _scores(every, convention, tag),
                expected_average(
                    eao_curve(every, protocol, convention, tag), protocol, convention
                ),
            )
            for tag in ([*tags, UNTAGGED] if tags else [])
        },
    )


def measure(
    sequence: VotSequence,
    runs: Sequence[Regions],
    protocol: VotProtocol,
    convention: Convention = "pysot",
) -> MeasuredSequence:
    """Compares the runs that count with the ground truth.

    Without a frame size, regions are clipped at the frame's first row and column only. Raises
    `InputError` if a run differs in length from the sequence.
    """
    if convention == "pysot" and len(runs) != protocol.repetitions:
        runs = runs[:1]
    return MeasuredSequence(
        [_measure_run(run, sequence, protocol, convention) for run in runs],
        len(sequence),
        sequence.tags,
    )


def _measure_run(run, sequence, protocol, convention) -> MeasuredRun:
    truth = sequence.ground_truth
    size = np.array(sequence.frame_size or (np.inf, np.inf), dtype=np.float64)
    overlap = raster_overlap(run, truth, size, convention=convention)
    # a region that is not finite is a miss; a frame without ground truth does not count
    overlap[run.is_region & ~run.is_finite & truth.is_finite] = 0
    starts = np.flatnonzero(run.has_code(INITIALISED))
    counted = overlap.copy()
    for start in starts:
        counted[start : start + protocol.burnin] = np.nan
    if convention == "pysot":
        _cut_closer(overlap, run, truth, size)
    failures = np.flatnonzero(run.has_code(FAILED))
    return MeasuredRun(counted, np.nan_to_num(overlap), starts, failures)


def _cut_closer(overlap, run, truth, size) -> None:
    """Recomputes, with bounds one pixel smaller, the overlaps that this may change.

    PySOT clips at (W, H) for accuracy and at (W - 1, H - 1) for the expected overlap.
    """
    reach = np.maximum(run.polygons().max(axis=1), truth.polygons().max(axis=1))
    changed = ~np.isnan(overlap) & (reach > size - 1).any(axis=1)
    overlap[changed] = raster_overlap(run[changed], truth[changed], size - 1)


def _scores(measured, convention, tag) -> Scores:
    if convention == "pysot":
        return _pysot_scores(measured, tag)
    return _toolkit_scores(measured, tag)


def _pysot_scores(measured, tag) -> Scores:
    overlaps, frames, lost = [], 0, 0.0
    for one in measured:
        tagged = one.tagged(tag)
        frames += int(tagged.sum())
        lost += np.mean([tagged[run.failures].sum() for run in one.runs])
        overlaps.append(_mean([run.counted[tagged] for run in one.runs], axis=0))
    robustness = 100 * lost / frames if frames else np.nan
    return Scores(float(_mean(np.concatenate(overlaps))), float(robustness), float(lost))


def _toolkit_scores(measured, tag) -> Scores:
    accuracies, failures, weights = [], [], []
    for one in measured:
        tagged = one.tagged(tag)
        means = [_mean(run.counted[tagged]) for run in one.runs]
        accuracies.append(np.mean(np.nan_to_num(means)))  # 0 where no frame counts
        failures.append(np.mean([tagged[run.failures].sum() for run in one.runs]))
        weights.append(tagged.sum())
    if not np.any(weights):
        return Scores(np.nan, np.nan, 0.0)
    return Scores(
        float(np.average(accuracies, weights=weights)),
        float(np.average(failures, weights=weights)),
        float(np.sum(failures)),
    )


def _mean(values, axis=None) -> np.ndarray:
    """`nanmean` without a warning where all values are NaN."""
    values = np.asarray(values)
    count = (~np.isnan(values)).sum(axis=axis)
    return np.where(count > 0, np.nansum(values, axis=axis) / np.maximum(count, 1), np.nan)


def reliability(lost_number: float, frames: int, sensitivity: float) -> float:
    """The fraction of runs that survive `sensitivity` frames, for accuracy-robustness plots."""
    return float(np.exp(-sensitivity * lost_number / frames))


class Piece(NamedTuple):
    """A segment of a run from an initialisation on."""

    overlap: np.ndarray  # [l], starting with the initialisation
    runs_on: bool  # it ended in a failure: the overlap is 0 after its end
    weight: float


def eao_curve(
    measured: Sequence[MeasuredSequence],
    protocol: VotProtocol,
    convention: Convention = "pysot",
    tag: str | None = None,
) -> np.ndarray:
    """Expected overlap by sequence length, `[l]`.

    Element i is the mean, over the segments that reach it, of their mean overlap in frames 1
    to i after their start; NaN where their total weight is 0. Element 0 is the initialisation:
    1 in PySOT's convention and 0 in vot-toolkit's.
    """
    cut = _pysot_pieces if convention == "pysot" else _toolkit_pieces
    pieces = [
        piece
        for one in measured
        for run in one.runs
        for piece in cut(run, one.tagged(tag), protocol.skip)
    ]
    if convention == "pysot":
        length = max(one.frames for one in measured)
    else:
        length = max(len(piece.overlap) for piece in pieces)
    overlap = np.zeros((len(pieces), length))
    reaches = np.zeros((len(pieces), length))
    for i, piece in enumerate(pieces):
        overlap[i, : len(piece.overlap)] = piece.overlap
        reaches[i, : length if piece.runs_on else len(piece.overlap)] = piece.weight
    mean = np.cumsum(overlap[:, 1:], axis=1) / np.arange(1, length)
    weight = reaches.sum(axis=0)
    curve = np.full(length, 1.0 if convention == "pysot" else 0.0)
    with np.errstate(invalid="ignore"):
        curve[1:] = (mean * reaches[:, 1:]).sum(axis=0) / weight[1:]
    return curve


def _pysot_pieces(run: MeasuredRun, tagged: np.ndarray, skip: int):
    frames = len(tagged)
    cuts = [0, *(failure + skip for failure in run.failures if failure + skip <= frames)]
    for start, end in itertools.pairwise(cuts):
        weight = tagged[start : end + 1].sum() / (end - start + 1)
        yield Piece(run.overlap[start : end + 1], True, weight)
    if cuts[-1] < frames:
        yield Piece(run.overlap[cuts[-1] :], False, tagged[cuts[-1] :].mean())


def _toolkit_pieces(run: MeasuredRun, tagged: np.ndarray, skip: int):
    del skip  # its segments start where the tracker did
    ends = [*run.failures, len(tagged)]
    for i, (start, end) in enumerate(zip(run.starts, ends, strict=False)):
        weight = tagged[start:end].mean() if end > start else 0.0
        yield Piece(run.overlap[start:end], i < len(run.failures), weight)


def expected_average(
    curve: np.ndarray, protocol: VotProtocol, convention: Convention = "pysot"
) -> float:
    """The mean of the curve over the protocol's range of lengths; NaN if it is shorter."""
    later = int(convention == "vot-toolkit")
    within = curve[protocol.eao_low - 1 + later : protocol.eao_high + later]
    return float(_mean(within))
