"""One-pass evaluation: runs a tracker over sequences and leaves result files behind."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from siamjax.evaluation.protocols import Benchmark
from siamjax.evaluation.results import ResultFolder, Run
from siamjax.evaluation.scoring import TrackerScores, score_tracker
from siamjax.evaluation.sequences import Problem, Sequence
from siamjax.video import ImageError


class TrackerLike(Protocol):
    """What can be evaluated."""

    box_xywh: np.ndarray  # [4] 0-based pixels, after `init` or `update`

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Starts on a frame `[h, w, 3]` uint8 BGR with the target in a box."""

    def update(self, frame: np.ndarray) -> None:
        """Finds the target in the next frame."""


def run_sequence(
    tracker: TrackerLike, sequence: Sequence, on_frame: Callable[[], None] = lambda: None
) -> Run:
    """One pass over a sequence from the true box of its first frame.

    A frame that cannot be read, is of another size, or for which the tracker gives no
    finite box, gets the box before it, and is counted in `Run.problems`. Times run from the
    frame in memory to the box as numbers. Raises `ValueError` when the tracker refuses the
    first frame and box.
    """
    boxes = np.empty((len(sequence), 4))
    seconds = np.full(len(sequence), np.nan)
    unreadable: list[str] = []
    not_finite: list[int] = []
    boxes[0] = sequence.gt_xywh[0]
    frame = sequence.read_frame(0)
    start = time.perf_counter()
    tracker.init(frame, boxes[0])
    seconds[0] = time.perf_counter() - start
    on_frame()
    for t in range(1, len(sequence)):
        boxes[t] = boxes[t - 1]
        try:
            frame = sequence.read_frame(t)
        except ImageError as error:
            unreadable.append(str(error))
        else:
            start = time.perf_counter()
            tracker.update(frame)
            box = np.asarray(tracker.box_xywh, dtype=np.float64)
            seconds[t] = time.perf_counter() - start
            if np.isfinite(box).all():
                boxes[t] = box
            else:
                not_finite.append(t + 1)
        on_frame()
    problems = []
    if unreadable:
        problems.append(
            f"{len(unreadable)} of {len(sequence)} frames were not tracked and got the box "
            f"before them: {unreadable[0]}"
            + (f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else "")
        )
    if not_finite:
        problems.append(
            f"{len(not_finite)} of {len(sequence)} boxes were not finite and were replaced by "
            f"the box before them, first in frame {not_finite[0]}"
        )
    return Run(boxes, seconds, problems)


def compare(
    trackers: list[tuple[str, TrackerLike, dict[str, Any]]],
    sequences: list[Sequence],
    benchmark: Benchmark,
    root: Path,
) -> list[TrackerScores]:
    """Runs several trackers, each given as name, tracker and fingerprint, and scores them.

    Their results go to `root/<name>`; every folder is checked before any tracking. Raises
    `StaleResultsError` where one is another tracker's, `OSError` as `evaluate` does.
    """
    annotations = {s.name: s.gt_xywh + benchmark.origin_xywh for s in sequences}
    folders = [ResultFolder(root / name, benchmark, mark) for name, _, mark in trackers]
    scores = []
    for (name, tracker, _), results in zip(trackers, folders, strict=True):
        refused = evaluate(tracker, sequences, results, label=name)
        scores.append(score_tracker(name, results.folder, annotations, refused))
    return scores


def evaluate(
    tracker: TrackerLike, sequences: list[Sequence], results: ResultFolder, label: str
) -> list[Problem]:
    """Runs a tracker over every sequence that has no complete result yet.

    Each result is written when its sequence is done, so that a run that was stopped goes on
    with the sequence it was in. Progress goes to stderr. Returns the sequences that the
    tracker refused; raises `OSError` when results cannot be written.
    """
    missing = [s for s in sequences if not results.is_complete(s)]
    refused = []
    with tqdm(
        total=sum(map(len, sequences)),
        initial=sum(map(len, sequences)) - sum(map(len, missing)),
        desc=label,
        unit="frame",
        # a log file wants few lines, a terminal a lively one
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    ) as bar:
        for sequence in missing:
            bar.set_postfix_str(sequence.name, refresh=False)
            done_before = bar.n
            try:
                run = run_sequence(tracker, sequence, on_frame=bar.update)
            except ValueError as error:
                refused.append(Problem(sequence.name, f"not tracked: {error}"))
                bar.update(len(sequence) - (bar.n - done_before))
                continue
            results.write(sequence.name, run)
        bar.set_postfix_str("", refresh=False)
    return refused
