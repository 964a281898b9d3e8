"""The experiments, as generators over the frames of one sequence.

An experiment yields what the tracker has to do next (`Start` or `Step`), is sent the `Answer`,
and returns the `Run`. So the caller decides whether a device call advances one sequence or
many.
"""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np

from siamjax.errors import InputError, RefusedError
from siamjax.evaluation.benchmarks.sequences import Sequence
from siamjax.evaluation.metrics.overlap import raster_overlap
from siamjax.evaluation.metrics.regions import (
    FAILED,
    INITIALISED,
    SKIPPED,
    Regions,
    box_corners,
    initial_box,
)
from siamjax.evaluation.metrics.vot import VotProtocol
from siamjax.evaluation.results.files import Run
from siamjax.images import ImageError

_HAS_BOX = -1


class Start(NamedTuple):
    """Initialise on this frame."""

    frame: np.ndarray  # [h, w, 3] uint8 BGR
    box_xywh: np.ndarray  # [4]


class Step(NamedTuple):
    """Find the target in this frame."""

    frame: np.ndarray


class Answer(NamedTuple):
    """The tracker's result, and the time it took."""

    box_xywh: np.ndarray  # [4]
    score: float
    seconds: float
    polygon: np.ndarray | None = None  # [4, 2] corners, from a tracker with masks


Experiment = Generator[Start | Step, Answer, Run]


class Clock:
    """A simulated real-time camera: decides which frames the tracker misses.

    After each start, `grace` frames may take longer than the camera's interval; after that,
    frames that arrive meanwhile are missed and repeat the previous answer. Reference:
    vot-toolkit's real-time experiment, whose arithmetic this is.
    """

    def __init__(self, fps: float, grace: int, speed: float | None = None):
        """`speed`, frames per second, replaces the measured one if it is given."""
        if fps <= 0 or (speed is not None and speed <= 0):
            raise InputError(f"`fps` (={fps}) and `speed` (={speed}) must be positive")
        self._interval = 1 / fps
        self._grace = grace
        self._seconds = None if speed is None else 1 / speed
        self._forgiven = 0
        self._behind = 0.0

    def start(self, seconds: float) -> None:
        """Notes that the tracker was initialised in `seconds`."""
        self._forgiven = self._grace
        self._behind = 0.0
        self.step(seconds)

    def misses_frame(self) -> bool:
        """Whether the next frame passes while the tracker is busy."""
        if self._behind > self._interval:
            self._behind -= self._interval
            return True
        self._behind = 0.0
        return False

    def step(self, seconds: float) -> None:
        """Notes that the tracker answered after `seconds`."""
        seconds = self._seconds if self._seconds is not None else seconds
        if seconds <= self._interval:
            return
        if self._forgiven > 0:
            self._forgiven -= 1
        else:
            self._behind = seconds - self._interval


class _Asked:
    """Requests frame after frame and collects problems."""

    def __init__(self, sequence: Sequence, clock: Clock | None):
        self.sequence = sequence
        self.clock = clock
        self.seconds = np.full(len(sequence), np.nan)
        self.box, self.score = np.full(4, np.nan), 1.0
        self.polygon: np.ndarray | None = None
        self._unreadable: list[str] = []
        self._not_finite: list[int] = []
        self._late = 0

    def start(self, t: int, frame: np.ndarray, box: np.ndarray):
        answer = yield Start(frame, box)
        self.seconds[t] = answer.seconds
        self.box, self.score = np.asarray(box, np.float64), 1.0
        self.polygon = None
        if self.clock is not None:
            self.clock.start(answer.seconds)

    def step(self, t: int):
        """The answer for frame t; the previous one if the frame is missed or unreadable."""
        if self.clock is not None and self.clock.misses_frame():
            self._late += 1
            return
        try:
            frame = self.sequence.read_frame(t)
        except ImageError as error:
            self._unreadable.append(str(error))
            return
        answer = yield Step(frame)
        self.seconds[t] = answer.seconds
        if self.clock is not None:
            self.clock.step(answer.seconds)
        if np.isfinite(answer.box_xywh).all():
            self.box = np.asarray(answer.box_xywh, np.float64)
            self.polygon = answer.polygon
            self.score = answer.score if np.isfinite(answer.score) else 0.0
        else:
            self._not_finite.append(t + 1)

    @property
    def region(self) -> np.ndarray:
        """The corners `[8]` of the polygon if there is one, else the box `[4]`."""
        return self.box if self.polygon is None else np.ravel(self.polygon).astype(np.float64)

    @property
    def problems(self) -> list[str]:
        found, frames = [], len(self.sequence)
        if lost := self._unreadable:
            more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
            found.append(
                f"{len(lost)} of {frames} frames were not tracked and got the previous "
                f"box: {lost[0]}{more}"
            )
        if wrong := self._not_finite:
            found.append(
                f"{len(wrong)} of {frames} boxes were not finite and were replaced by the "
                f"previous one, first in frame {wrong[0]}"
            )
        return found


def one_pass(
    sequence: Sequence, on_frame: Callable[[], None] = lambda: None, clock: Clock | None = None
) -> Experiment:
    """One pass from the ground truth of the first frame; with a clock, in real time.

    A frame that cannot be read, has another size, or for which the tracker returns no finite
    box, gets the previous box and is counted in `Run.problems`.
    """
    asked = _Asked(sequence, clock)
    boxes, scores = np.empty((len(sequence), 4)), np.ones(len(sequence))
    boxes[0] = sequence.gt_xywh[0]
    yield from asked.start(0, sequence.read_frame(0), boxes[0])
    on_frame()
    for t in range(1, len(sequence)):
        yield from asked.step(t)
        boxes[t], scores[t] = asked.box, asked.score
        on_frame()
    return Run(boxes, asked.seconds, asked.problems, scores)


def supervised(
    sequence: Sequence,
    protocol: VotProtocol,
    on_frame: Callable[[], None] = lambda: None,
    clock: Clock | None = None,
) -> Experiment:
    """A run that is re-initialised `protocol.skip` frames after each failure.

    A failure is a frame whose region, a polygon where the tracker gives one, shares no pixel
    with the ground truth (PySOT's overlap, clipped to the frame). A start on a frame without
    a region, or on an unreadable one, is postponed to the next.
    """
    asked = _Asked(sequence, clock)
    truth: Any = sequence.truth  # VOT's
    truth = truth.ground_truth
    codes, boxes = np.full(len(sequence), SKIPPED), np.full((len(sequence), 4), np.nan)
    regions: list[np.ndarray | None] = [None] * len(sequence)
    next_start: int | None = 0
    for t in range(len(sequence)):
        if next_start is not None and t >= next_start:
            try:
                frame, box = sequence.read_frame(t), initial_box(truth.row(t))
            except RefusedError:
                if t == 0:
                    raise
            else:
                yield from asked.start(t, frame, box)
                codes[t], boxes[t], next_start = INITIALISED, box, None
        elif next_start is None:
            yield from asked.step(t)
            if _overlaps_truth(asked.region, truth[t : t + 1], sequence.frame_size):
                codes[t], boxes[t], regions[t] = _HAS_BOX, asked.box, asked.region
            else:
                codes[t], next_start = FAILED, t + protocol.skip
        on_frame()
    return Run(boxes, asked.seconds, asked.problems, codes=codes, regions=regions)


def _overlaps_truth(region: np.ndarray, truth: Regions, frame_size: tuple[int, int]) -> bool:
    """Whether a region shares a pixel with the ground truth; True if that is unknown."""
    if not truth.is_finite[0]:
        return True
    if truth.count[0] == 4:
        corners = box_corners(truth.values[:, :4], to_last_pixel=True)
        truth = Regions.from_rows(corners.reshape(1, -1).tolist())
    return bool(raster_overlap(Regions.from_rows([region.tolist()]), truth, frame_size)[0] > 0)
