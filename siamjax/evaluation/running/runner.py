"""Runs trackers over benchmarks, one sequence at a time or many in one device call."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
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
    """What can be evaluated, one sequence at a time.

    A supervised run takes `polygon` `[4, 2]` for the region where a tracker has it and it is
    not None.
    """

    box_xywh: np.ndarray  # [4] 0-based pixels, after `init` or `update`

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Starts on a frame `[h, w, 3]` uint8 BGR with the target in a box.

        Raises `RefusedError` for a frame or a box that it cannot begin with; what else it
        raises, here or in `update`, stops the evaluation.
        """

    def update(self, frame: np.ndarray) -> None:
        """Finds the target in the next frame."""


class ResultLike(Protocol):
    """What a tracker of many sequences found in one frame of one of them."""

    box_xywh: np.ndarray  # [4]
    score: float
    polygon: np.ndarray | None  # [4, 2], of a tracker that makes masks


class BatchTrackerLike(Protocol):
    """What can be evaluated on many sequences at once, each in a slot of its own."""

    def init(self, slot: int, frame: np.ndarray, box_xywh) -> None:
        """Starts a slot on a frame `[h, w, 3]` uint8 BGR with the target in a box."""

    def update(self, frames: dict[int, np.ndarray]) -> dict[int, ResultLike]:
        """The result of each slot that got a frame; the others stand still."""


class StaticTracker:
    """A tracker that never moves: it answers the first box for ever."""

    is_timed = False  # a speed of doing nothing would say nothing

    def __init__(self):
        self.box_xywh = np.zeros(4)
        self.score = 1.0

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Takes the box; looks at nothing."""
        del frame
        self.box_xywh = np.array(box_xywh, dtype=np.float64)

    def update(self, frame: np.ndarray) -> None:
        """Stays where it is."""
        del frame


class Entrant(NamedTuple):
    """A tracker that takes part."""

    name: str
    tracker: TrackerLike | BatchTrackerLike
    fingerprint: dict[str, Any]  # what tells its results from another's
    slots: int = 0  # sequences in one call; 0 for a tracker of one sequence


class RealTime(NamedTuple):
    """A camera that does not wait."""

    fps: float = REAL_TIME_FPS
    speed: float | None = None  # the tracker's, frames a second; measured where None
    grace: int = REAL_TIME_GRACE


def run_sequence(
    tracker: TrackerLike,
    sequence: Sequence,
    experiment: Experiment | None = None,
) -> Run:
    """One tracker in one experiment, by default one pass from the first true box.

    Times run from the frame in memory to the box as numbers. Raises `RefusedError` when the
    tracker refuses to start.
    """
    experiment = experiment or one_pass(sequence)
    return _finish(experiment, lambda request: _ask(tracker, request))


def _finish(experiment: Experiment, ask: Callable[[Start | Step], Answer]) -> Run:
    try:
        request = next(experiment)
        while True:
            request = experiment.send(ask(request))
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
    """What is still to be done of an evaluation that other processes may share."""

    def __init__(self, sequences, results: ResultFolder, bar, make):
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
        """The next job, or None where others work on all that is left."""
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
            if self._results.has(sequence, repetition):  # done just before the claim
                held.release()
                continue
            self._pending.remove(item)

            def on_frame(held=held):
                held.beat()
                with self._counting:  # frames of several sequences are read side by side
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
    tracker: TrackerLike | BatchTrackerLike,
    sequences: list[Sequence],
    results: ResultFolder,
    label: str,
    *,
    slots: int = 0,
    real_time: RealTime | None = None,
) -> list[Problem]:
    """Runs a tracker over every sequence that has no complete result yet.

    Each result is written when its sequence is done, so that a run that was stopped goes on
    with the sequences it was in; processes that evaluate into the same folder share the
    sequences, and each returns when all are done. With `slots` the tracker follows as many
    sequences in one call. Progress goes to stderr. Returns the sequences that the tracker
    refused, with `RefusedError`; any other error of its own comes out, and what was done is
    kept. Raises `OSError` when results cannot be written.
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
        # a log file wants few lines, a terminal a lively one
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
    """All slots in step: every call of the tracker takes one frame of each."""
    jobs: dict[int, _Job] = {}
    requests: dict[int, Start | Step] = {}

    def advance(slot: int, answer: Answer | None) -> None:
        """To a slot's next request, which reads a frame; or to the end of its job."""
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

    Their results go to `root/<name>`; every folder is checked before any tracking. Raises
    `StaleResultsError` where one is another tracker's, `OSError` as `evaluate` does.
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
