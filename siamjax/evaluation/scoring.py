"""Scores of result files against ground truth: by sequence, by attribute and overall."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.protocols import (
    LASOT_LONGER_RESULTS,
    Benchmark,
    find_vot_protocol,
)
from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.evaluation.benchmarks.truths import AnyTruth, Truth
from siamjax.evaluation.metrics import got10k, ope
from siamjax.evaluation.metrics.longterm import score_long_term
from siamjax.evaluation.metrics.ope import OPE_CONVENTIONS, PYSOT, OpeConvention
from siamjax.evaluation.metrics.overlap import Convention
from siamjax.evaluation.metrics.regions import VotSequence, enclosing_boxes
from siamjax.evaluation.metrics.vot import score_supervised
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.results.files import (
    ResultsError,
    find_results,
    read_problems,
    read_seconds,
    refuse_two_layouts,
)
from siamjax.evaluation.results.vot import read_long_term, read_supervised
from siamjax.text import TextError

# The first update of a sequence may compile; speed does not include it.
UNTIMED_FRAMES = 2

_WITH_SERVER = "its ground truth is on the benchmark's server"

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class TrackerScores:
    """One tracker on one benchmark.

    Attributes:
      name: of the tracker.
      overall: its row of the table; empty if no sequence was scored.
      sequences: scores by sequence name, of the scored ones only.
      attributes: scores by attribute, over the sequences, or for VOT the frames, that have it.
      boxes: [t, 4] by sequence name, as in the files; NaN where a frame has no box.
      curves: for plots, those that the benchmark defines: "success", "precision",
        "norm_precision", "eao", and "lt_precision" over "lt_recall".
      problems: missing or invalid sequences, and other remarks.
      fps: frames per second, None if no times were recorded.
      missing: sequences that were not scored although they should be; the overall scores
        are means without them.
    """

    name: str
    overall: Scores
    sequences: dict[str, Scores]
    attributes: dict[str, Scores]
    boxes: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    problems: list[Problem]
    fps: float | None
    missing: tuple[str, ...] = ()

    @property
    def count(self) -> str:
        """How many sequences were scored, `97 of 100` where some are missing."""
        scored = len(self.sequences)
        return f"{scored} of {scored + len(self.missing)}" if self.missing else str(scored)

    @property
    def frames(self) -> int:
        """Number of boxes in the scored sequences."""
        return sum(map(len, self.boxes.values()))


class UnknownConventionError(InputError):
    """No convention has this name for this kind of benchmark."""


def get_convention(name: str, benchmark: Benchmark) -> OpeConvention | Convention:
    """The convention of this name; by default PySOT's, in which results are published.

    Raises `UnknownConventionError`, which lists those that the benchmark has.
    """
    if benchmark.experiment in ("supervised", "long-term"):
        known: dict[str, Any] = {each: each for each in get_args(Convention)}
    elif benchmark.experiment == "repeated":
        known = {"got10k": PYSOT}
        name = name or "got10k"
    else:
        known = {each.name: each for each in OPE_CONVENTIONS}
    if (name or "pysot") not in known:
        raise UnknownConventionError(
            f"`convention` (={name!r}) must be one of {list(known)} for {benchmark.name}"
        )
    return known[name or "pysot"]


def score_tracker(
    name: str,
    folder: Path,
    truths: Iterable[AnyTruth],
    benchmark: Benchmark,
    refused: Iterable[Problem] = (),
    *,
    skipped: Iterable[Problem] = (),
    convention: str = "",
) -> TrackerScores:
    """Scores the result files in a folder against the ground truth.

    A sequence whose result is missing, unreadable, or has not one box per frame is listed in
    `problems` and left out of every mean. Boxes that are not finite count as misses and are
    listed too. `refused` are sequences that the tracker could not start on, and `skipped`
    those of the benchmark without usable ground truth or frames; all of these are `missing`.
    If a server has the ground truth, a sequence with a result is not missing.
    """
    truths = list(truths)
    chosen = get_convention(convention, benchmark)
    by_experiment: dict[str, Callable[..., dict[str, Any]]] = {
        "one-pass": _score_one_pass,
        "repeated": _score_repeated,
        "supervised": _score_supervised,
        "long-term": _score_long_term,
    }
    parts = by_experiment[benchmark.experiment](Path(folder), truths, benchmark, chosen)
    scored = parts["sequences"]
    reasons = {problem.sequence: problem for problem in refused}
    problems = [
        reasons.get(p.sequence, p) if p.message.startswith("not scored") else p
        for p in parts.pop("problems")
    ]
    missing = {problem.sequence: None for problem in skipped}
    missing |= {truth.name: None for truth in truths if truth.name not in scored}
    with_server = {p.sequence for p in problems if p.message.endswith(_WITH_SERVER)}
    seconds = []
    for sequence in scored:
        try:
            seconds.append(read_seconds(folder, sequence))
        except TextError as error:
            problems.append(Problem(sequence, f"its times are ignored: {error}"))
        problems += [Problem(sequence, line) for line in read_problems(folder, sequence)]
    return TrackerScores(
        name=name,
        problems=problems,
        fps=frames_per_second(seconds),
        missing=tuple(sequence for sequence in missing if sequence not in with_server),
        **parts,
    )


def _score_one_pass(folder, truths: list[Truth], benchmark, convention) -> dict[str, Any]:
    files = find_results(folder, [truth.name for truth in truths])
    boxes, curves, problems = {}, {}, []
    for truth in truths:
        try:
            predicted = _read(files, truth.name)[0]
            _refuse_hidden(truth, benchmark)
            if truth.name in LASOT_LONGER_RESULTS and len(predicted) > len(truth):
                predicted = predicted[: len(truth)]
            curves[truth.name] = ope.curves(
                truth.boxes, predicted, visible=truth.visible, convention=convention
            )
        except InputError as error:
            problems.append(Problem(truth.name, f"not scored: {error}"))
            continue
        boxes[truth.name] = predicted
        problems += _not_finite(truth.name, predicted)

    def row(of: ope.Curves) -> Scores:
        scores = ope.scores(of)._asdict()
        if benchmark.norm_precision_auc:
            scores["norm_precision_auc"] = float(of.norm_precision.mean())
        return scores

    tagged: dict[str, list[ope.Curves]] = {}
    for truth in truths:
        for attribute in truth.attributes if truth.name in curves else ():
            tagged.setdefault(attribute, []).append(curves[truth.name])
    mean = ope.mean_curves(curves.values()) if curves else None
    return {
        "overall": row(mean) if mean else {},
        "sequences": {name: row(of) for name, of in curves.items()},
        "attributes": {tag: row(ope.mean_curves(of)) for tag, of in sorted(tagged.items())},
        "boxes": boxes,
        "curves": mean._asdict() if mean else {},
        "problems": problems,
    }


def _score_repeated(folder, truths: list[Truth], benchmark, convention) -> dict[str, Any]:
    del convention
    files = find_results(folder, [truth.name for truth in truths])
    boxes, overlaps, problems = {}, {}, []
    for truth in truths:
        try:
            runs = _read(files, truth.name)
            _refuse_hidden(truth, benchmark)
            overlaps[truth.name] = got10k.frame_overlaps(
                truth.boxes, runs, visible=truth.visible, frame_size=truth.frame_size
            )
        except InputError as error:
            problems.append(Problem(truth.name, f"not scored: {error}"))
            continue
        boxes[truth.name] = runs[0]
        problems += _not_finite(truth.name, *runs)
    every = np.concatenate(list(overlaps.values())) if overlaps else None
    return {
        "overall": {} if every is None else got10k.scores(every)._asdict(),
        "sequences": {name: got10k.scores(of)._asdict() for name, of in overlaps.items()},
        "attributes": {},
        "boxes": boxes,
        "curves": {} if every is None else {"success": got10k.success_curve(every)},
        "problems": problems,
    }


def _score_supervised(
    folder, truths: list[VotSequence], benchmark, convention
) -> dict[str, Any]:
    protocol = find_vot_protocol(benchmark.challenge)
    runs, problems = read_supervised(folder, truths, protocol)
    if not runs:
        return _nothing(problems)
    found = score_supervised(truths, runs, protocol, convention=convention)
    return {
        "overall": _finite({**found.overall._asdict(), "eao": found.eao}),
        "sequences": {name: _finite(of._asdict()) for name, of in found.sequences.items()},
        "attributes": {
            tag: _finite({**of._asdict(), "eao": eao})
            for tag, (of, eao) in found.attributes.items()
        },
        "boxes": {name: enclosing_boxes(of[0]) for name, of in runs.items()},
        "curves": {"eao": found.eao_curve},
        "problems": problems,
    }


def _score_long_term(
    folder, truths: list[VotSequence], benchmark, convention
) -> dict[str, Any]:
    runs, problems = read_long_term(folder, truths)
    if not runs:
        return _nothing(problems)
    protocol = find_vot_protocol(benchmark.challenge)
    found = score_long_term(truths, runs, protocol, convention=convention)
    return {
        "overall": found.overall._asdict(),
        "sequences": {name: of._asdict() for name, of in found.sequences.items()},
        "attributes": {},
        "boxes": {name: enclosing_boxes(run.regions) for name, run in runs.items()},
        "curves": {"lt_recall": found.mean_recall, "lt_precision": found.mean_precision},
        "problems": problems,
    }


def _nothing(problems: list[Problem]) -> dict[str, Any]:
    empty = ("overall", "sequences", "attributes", "boxes", "curves")
    return {**{key: {} for key in empty}, "problems": problems}


def _finite(scores: Scores) -> Scores:
    """Without undefined scores."""
    return {key: value for key, value in scores.items() if np.isfinite(value)}


def _refuse_hidden(truth: Truth, benchmark: Benchmark) -> None:
    if benchmark.hidden_truth and len(truth) > 1 and np.isnan(truth.boxes[1:]).all():
        raise ResultsError(_WITH_SERVER)


def _read(files: dict[str, list[Path]], sequence: str) -> list[np.ndarray]:
    if sequence not in files:
        raise ResultsError("no result file")
    refuse_two_layouts(files[sequence])
    return [read_boxes(file) for file in files[sequence]]


def _not_finite(name: str, *runs: np.ndarray) -> list[Problem]:
    missing = sum(int((~np.isfinite(run).all(axis=1)).sum()) for run in runs)
    message = f"{missing} boxes are not finite and count as misses"
    return [Problem(name, message)] if missing else []


def frames_per_second(seconds: list[np.ndarray]) -> float | None:
    """Speed over all sequences without init and first update, or None if unknown.

    `seconds` are the times per frame of each sequence, NaN where the tracker did not run.
    """
    timed = [values[UNTIMED_FRAMES:] for values in seconds]
    counted = np.concatenate(timed) if timed else np.zeros(0)
    counted = counted[np.isfinite(counted)]
    total = counted.sum()
    return float(len(counted) / total) if total > 0 else None


def summary(
    benchmark: str, trackers: list[TrackerScores], problems: list[Problem]
) -> dict[str, Any]:
    """The scores as JSON-ready values, in the form of `siamjax score --json`.

    `problems` are those of the benchmark, which are added to every tracker's.
    """
    return {
        "benchmark": benchmark,
        "trackers": {
            tracker.name: {
                "overall": tracker.overall,
                "sequences": tracker.sequences,
                "missing": list(tracker.missing),
                "problems": [str(p) for p in [*problems, *tracker.problems]],
            }
            for tracker in trackers
        },
    }
