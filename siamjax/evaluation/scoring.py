"""From result files and ground truth to scores, by sequence and overall."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from siamjax.evaluation import ope
from siamjax.evaluation.boxfiles import BoxFileError, read_boxes
from siamjax.evaluation.results import find_results, read_problems, read_seconds
from siamjax.evaluation.sequences import Problem

# The tracker's first update of a sequence may compile; it is left out of its speed.
UNTIMED_FRAMES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class TrackerScores:
    """One tracker on one benchmark.

    Attributes:
      name: the tracker's.
      boxes: sequence name -> [t, 4], as in the files; only those that were scored.
      curves: sequence name -> its curves; the mean over them is the tracker's.
      problems: sequences that are missing or wrong, and what else to know.
      fps: frames a second, None where no times were kept.
    """

    name: str
    boxes: dict[str, np.ndarray]
    curves: dict[str, ope.Curves]
    problems: list[Problem]
    fps: float | None

    @property
    def mean_curves(self) -> ope.Curves | None:
        """The mean over the sequences, None where none was scored."""
        return ope.mean_curves(self.curves.values()) if self.curves else None

    @property
    def overall(self) -> ope.OpeScores | None:
        """The numbers of the table row, None where no sequence was scored."""
        return ope.scores(self.mean_curves) if self.curves else None

    @property
    def sequences(self) -> dict[str, ope.OpeScores]:
        """The numbers of each sequence."""
        return {name: ope.scores(curves) for name, curves in self.curves.items()}

    @property
    def frames(self) -> int:
        """Boxes in the scored sequences."""
        return sum(map(len, self.boxes.values()))


def score_tracker(
    name: str,
    folder: Path,
    annotations: dict[str, np.ndarray],
    refused: Iterable[Problem] = (),
) -> TrackerScores:
    """Scores the result files in a folder against true boxes in the same index base.

    A sequence without a result, with one that cannot be read, or with another number of
    boxes than frames is named in `problems` and left out of every mean. Boxes that are not
    finite count as misses and are named as well. `refused` are sequences that the tracker
    could not run on, with the reason.
    """
    reasons = {problem.sequence: problem for problem in refused}
    files = find_results(folder, list(annotations))
    boxes, curves, problems, seconds = {}, {}, [], []
    for sequence, gt in annotations.items():
        try:
            predicted = _read(files, sequence)
            curves[sequence] = ope.curves(gt, predicted)
        except ValueError as error:
            unscored = Problem(sequence, f"not scored: {error}")
            problems.append(reasons.get(sequence, unscored))
            continue
        boxes[sequence] = predicted
        if missing := int((~np.isfinite(predicted).all(axis=1)).sum()):
            problems.append(
                Problem(sequence, f"{missing} boxes are not finite and count as misses")
            )
        problems += [Problem(sequence, line) for line in read_problems(folder, sequence)]
        seconds.append(read_seconds(folder, sequence))
    return TrackerScores(name, boxes, curves, problems, frames_per_second(seconds))


def _read(files: dict[str, Path], sequence: str) -> np.ndarray:
    if sequence not in files:
        raise BoxFileError("no result file")
    return read_boxes(files[sequence])


def frames_per_second(seconds: list[np.ndarray]) -> float | None:
    """Speed over sequences, frames a second without start and first update; or None.

    `seconds` are the times by frame of each sequence, NaN where nothing was tracked.
    """
    timed = [values[UNTIMED_FRAMES:] for values in seconds]
    counted = np.concatenate(timed) if timed else np.zeros(0)
    counted = counted[np.isfinite(counted)]
    total = counted.sum()
    return float(len(counted) / total) if total > 0 else None


def summary(
    benchmark: str, trackers: list[TrackerScores], problems: list[Problem]
) -> dict[str, Any]:
    """Everything as JSON-ready values, in the form of `siamjax score --json`.

    `problems` are those of the benchmark itself, and are every tracker's. Beside the
    agreed keys each tracker has `frames` and `fps`.
    """
    return {
        "benchmark": benchmark,
        "trackers": {
            tracker.name: {
                "overall": tracker.overall._asdict() if tracker.overall else {},
                "sequences": {n: s._asdict() for n, s in tracker.sequences.items()},
                "problems": [str(p) for p in [*problems, *tracker.problems]],
                "frames": tracker.frames,
                "fps": tracker.fps,
            }
            for tracker in trackers
        },
    }


def as_text(trackers: list[TrackerScores], problems: list[Problem]) -> str:
    """The overall numbers as an aligned table, best success first, then every problem."""
    lines = [f"problem: {problem}" for problem in problems]
    lines += [f"problem: {t.name}: {problem}" for t in trackers for problem in t.problems]
    return "\n".join([_table(trackers), *lines])


def _table(trackers: list[TrackerScores]) -> str:
    header = (
        "tracker",
        "success AUC",
        "precision 20 px",
        "norm. precision",
        "fps",
        "sequences",
    )
    rows = [header]
    for tracker in sorted(trackers, key=lambda t: -(t.overall or (0,))[0]):
        numbers = [f"{v:.3f}" for v in tracker.overall] if tracker.overall else ["-"] * 3
        fps = f"{tracker.fps:,.0f}" if tracker.fps else "-"
        rows.append((tracker.name, *numbers, fps, str(len(tracker.curves))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )
