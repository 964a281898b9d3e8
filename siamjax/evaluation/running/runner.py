"""Runs trackers over benchmarks, one sequence at a time or many per device call."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from siamjax.errors import InputError, RefusedError
from siamjax.evaluation.benchmarks.protocols import (
    REAL_TIME_FPS,
    REAL_TIME_GRACE,
    Benchmark,
    find_vot_protocol,
)
from siamjax.evaluation.benchmarks.sequences import Sequence
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.results.claims import Claim, claim
from siamjax.evaluation.results.files import ResultFolder, Run
from siamjax.evaluation.running.experiments import (
    Answer,
    Clock,
    Experiment,
    Start,
    Step,
    one_pass,
    supervised,
)
from siamjax.evaluation.scoring import TrackerScores, score_tracker
from siamjax.files import file_name, keep_name, printable

_POLL_SECONDS = 0.5


class TrackerLike(Protocol):
    """A tracker that can be evaluated, one sequence at a time.

    If it has a `polygon` `[4, 2]` that is not None, a supervised run uses that as region.
    """

    @property
    def box_xywh(self) -> np.ndarray:
        """`[4]` 0-based pixels, after `init` or `update`."""

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Initialises on a frame `[h, w, 3]` uint8 BGR with the target's box.

        Raises `RefusedError` for a frame or box that it cannot start on; any other exception,
        here or in `update`, stops the evaluation.
        """

    def update(self, frame: np.ndarray) -> object:
        """Finds the target in the next frame."""


class BatchTrackerLike(Protocol):
    """A tracker that can be evaluated on many sequences at once, each in a slot."""

    def init(self, slot: int, frame: np.ndarray, box_xywh) -> None:
        """Initialises a slot on a frame `[h, w, 3]` uint8 BGR with the target's box."""

    def update(self, frames: dict[int, np.ndarray]) -> Mapping[int, Any]:
        """The results of the slots that got a frame; the others do not advance.

        A result has a `box_xywh` `[4]`, a `score`, and a `polygon` `[4, 2]`, or None without
        masks.
        """


class StaticTracker:
    """A baseline that always returns the initial box."""

    is_timed = False  # its speed would be meaningless

    def __init__(self):
        self.box_xywh = np.zeros(4)
        self.score = 1.0

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Stores the box."""
        del frame
        self.box_xywh = np.array(box_xywh, dtype=np.float64)

    def update(self, frame: np.ndarray) -> None:
        """Does nothing."""
        del frame


class Entrant(NamedTuple):
    """A tracker to be evaluated."""

    name: str
    tracker: TrackerLike | BatchTrackerLike
    fingerprint: dict[str, Any]  # identifies the tracker in its results folder
    slots: int = 0  # sequences per call; 0 for a tracker of one sequence


class RealTime(NamedTuple):
    """A simulated real-time camera."""

    fps: float = REAL_TIME_FPS
    speed: float | None = None  # the tracker's, frames per second; None to measure it
    grace: int = REAL_TIME_GRACE


def run_sequence(
    tracker: TrackerLike, sequence: Sequence, experiment: Experiment | None = None
) -> Run:
    """Runs one tracker in one experiment, by default one pass from the first ground truth.

    Times include everything from the frame in memory to the box on the host. Raises
    `RefusedError` if the tracker cannot start.
    """
    experiment = experiment or one_pass(sequence)
    try:
        request = next(experiment)
        while True:
            request = experiment.send(_ask(tracker, request))
    except StopIteration as end:
        return end.value


def _ask(tracker: TrackerLike, request: Start | Step) -> Answer:
    start = time.perf_counter()
    if isinstance(request, Start):
        tracker.init(request.frame, request.box_xywh)
        box, polygon = np.asarray(request.box_xywh), None
    else:
        tracker.update(request.frame)
        box = np.asarray(tracker.box_xywh, dtype=np.float64)
        polygon = getattr(tracker, "polygon", None)
    seconds = time.perf_counter() - start
    if not getattr(tracker, "is_timed", True):
        seconds = np.nan
    return Answer(box, float(getattr(tracker, "score", 1.0)), seconds, polygon)


class _Job(NamedTuple):
    """One repetition of one sequence, claimed by this process."""

    sequence: Sequence
    repetition: int
    held: Claim
    experiment: Experiment


class _Work:
    """The pending work of an evaluation that other processes may share."""

    def __init__(self, sequences: list[Sequence], results: ResultFolder, bar, make):
        self._results, self._bar, self._make = results, bar, make
        self._counting = threading.Lock()
        self.refused: list[Problem] = []
        self._pending = [
            (sequence, repetition)
            for sequence in sorted(sequences, key=len, reverse=True)
            for repetition in range(1, results.repetitions + 1)
        ]

    def __bool__(self) -> bool:
        return bool(self._pending)

    def take(self) -> _Job | None:
        """The next job, or None if other processes work on all that is left."""
        for item in list(self._pending):
            sequence, repetition = item
            if self._results.has(sequence, repetition):
                self._pending.remove(item)
                self._bar.update(len(sequence))
                continue
            name = f"{file_name(sequence.name)}_{repetition:03d}"
            held = claim(self._results.claims, name)
            if held is None:
                continue
            if self._results.has(sequence, repetition):  # finished just before the claim
                held.release()
                continue
            self._pending.remove(item)

            def on_frame(held=held):
                held.beat()
                with self._counting:  # several threads read frames
                    self._bar.update()

            self._bar.set_postfix_str(sequence.name, refresh=False)
            return _Job(sequence, repetition, held, self._make(sequence, on_frame))
        return None

    def done(self, job: _Job, run: Run) -> None:
        try:
            self._results.write(job.sequence.name, run, job.repetition)
        finally:
            job.held.release()

    def refuse(self, job: _Job, error: RefusedError) -> None:
        self.refused.append(Problem(job.sequence.name, f"not tracked: {error}"))
        job.held.release()


def evaluate(
    tracker: Any,
    sequences: list[Sequence],
    results: ResultFolder,
    label: str,
    *,
    slots: int = 0,
    real_time: RealTime | None = None,
) -> list[Problem]:
    """Runs a tracker over every sequence that has no complete result yet.

    Each result is written when its sequence is finished, so that a stopped run resumes with
    unfinished sequences; processes that evaluate into the same folder share the sequences,
    and each returns when all are done. With `slots` the tracker follows that many sequences
    per call. Progress goes to stderr. Returns the sequences on which the tracker raised
    `RefusedError`; any other exception propagates, with finished results kept. Raises
    `OSError` if results cannot be written.
    """
    if slots and real_time and real_time.speed is None:
        raise InputError(
            "the speed of one tracker cannot be measured while many run together; give "
            "`speed`, or run one sequence at a time"
        )
    protocol = find_vot_protocol(results.benchmark.challenge)
    results.check_names(sequence.name for sequence in sequences)

    def make(sequence: Sequence, on_frame) -> Experiment:
        clock = Clock(real_time.fps, real_time.grace, real_time.speed) if real_time else None
        if results.benchmark.experiment == "supervised":
            return supervised(sequence, protocol, on_frame, clock)
        return one_pass(sequence, on_frame, clock)

    with tqdm(
        total=sum(map(len, sequences)) * results.repetitions,
        desc=label,
        unit="frame",
        # few lines in a log file, frequent updates in a terminal
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    ) as bar:
        work = _Work(sequences, results, bar, make)
        if slots:
            _run_together(tracker, work, slots)
        else:
            _run_alone(tracker, work)
        bar.set_postfix_str("", refresh=False)
    return work.refused


def _run_alone(tracker: TrackerLike, work: _Work) -> None:
    while work:
        job = work.take()
        if job is None:
            if work:
                time.sleep(_POLL_SECONDS)
            continue
        try:
            run = run_sequence(tracker, job.sequence, experiment=job.experiment)
        except RefusedError as error:
            work.refuse(job, error)
        except BaseException as error:
            job.held.release()
            error.add_note(f"while tracking {printable(job.sequence.name)!r}")
            raise
        else:
            work.done(job, run)


def _run_together(tracker: BatchTrackerLike, work: _Work, slots: int) -> None:
    """Runs all slots in lockstep: every call of the tracker gets one frame for each."""
    jobs: dict[int, _Job] = {}
    requests: dict[int, Any] = {}  # `Start` or `Step`; None before the first

    def advance(slot: int, answer: Any) -> None:
        """Advances a slot to its next request, which reads a frame, or finishes its job."""
        try:
            requests[slot] = jobs[slot].experiment.send(answer)
        except StopIteration as end:
            work.done(jobs[slot], end.value)
            del jobs[slot], requests[slot]
        except RefusedError as error:
            drop(slot, error)

    def drop(slot: int, error: RefusedError) -> None:
        work.refuse(jobs.pop(slot), error)
        requests.pop(slot, None)

    def fill(slot: int) -> None:
        while slot not in jobs and work:
            if (job := work.take()) is None:
                return
            jobs[slot], requests[slot] = job, None
            advance(slot, None)

    def start(slot: int) -> None:
        request = requests[slot]
        began = time.perf_counter()
        try:
            tracker.init(slot, request.frame, request.box_xywh)
        except RefusedError as error:
            drop(slot, error)
        else:
            advance(slot, Answer(request.box_xywh, 1.0, time.perf_counter() - began))

    try:
        with ThreadPoolExecutor(min(slots, os.cpu_count() or 1)) as readers:
            while work or jobs:
                for slot in range(slots):
                    fill(slot)
                while starting := [s for s, r in requests.items() if isinstance(r, Start)]:
                    for slot in starting:
                        start(slot)
                        fill(slot)
                if not requests:
                    if work:
                        time.sleep(_POLL_SECONDS)
                    continue
                began = time.perf_counter()
                found = tracker.update({slot: r.frame for slot, r in requests.items()})
                boxes = [np.asarray(each.box_xywh, np.float64) for each in found.values()]
                seconds = (time.perf_counter() - began) / len(requests)
                answers = {
                    slot: Answer(box, float(each.score), seconds, each.polygon)
                    for (slot, each), box in zip(found.items(), boxes, strict=True)
                }
                list(readers.map(advance, answers.keys(), answers.values()))
    except BaseException as error:
        names = ", ".join(repr(printable(job.sequence.name)) for job in jobs.values())
        error.add_note(f"while tracking {names}")
        raise
    finally:
        for job in jobs.values():
            job.held.release()


def compare(
    entrants: list[Entrant],
    sequences: list[Sequence],
    benchmark: Benchmark,
    root: Path,
    *,
    real_time: RealTime | None = None,
    repetitions: int = 1,
    skipped: Iterable[Problem] = (),
) -> list[TrackerScores]:
    """Runs several trackers and scores them; `skipped` as in `score_tracker`.

    Results go to `root/<name>`; all folders are checked before any tracking. Raises
    `StaleResultsError` if one holds another tracker's results, `OSError` as `evaluate` does.
    """
    folders = []
    for entrant in entrants:
        keep_name(root, entrant.name)
        mark = dict(entrant.fingerprint)
        if real_time:
            mark["real_time"] = real_time._asdict()
        folders.append(
            ResultFolder(
                root / file_name(entrant.name),
                benchmark,
                mark,
                real_time=bool(real_time),
                repetitions=repetitions,
            )
        )
    truths = [sequence.truth for sequence in sequences]
    scores = []
    for entrant, results in zip(entrants, folders, strict=True):
        refused = evaluate(
            entrant.tracker,
            sequences,
            results,
            entrant.name,
            slots=entrant.slots,
            real_time=real_time,
        )
        scores.append(
            score_tracker(
                entrant.name, results.folder, truths, benchmark, refused, skipped=skipped
            )
        )
    return scores
