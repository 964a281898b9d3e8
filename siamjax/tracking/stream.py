"""Tracking as a generator over whatever gives frames."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from siamjax.tracking.adapters import Tracker
from siamjax.tracking.frames import Color, FrameError


class Tracked(NamedTuple):
    """One frame's result."""

    box_xywh: np.ndarray  # [4] pixels of the frame; the last known where there is a problem
    score: float  # in [0, 1]; NaN where there is a problem
    problem: str | None  # why the frame was not tracked
    is_lost: bool = False  # as `Result.is_lost`; that of the frame before where it was not


def track_frames(
    tracker: Tracker, frames: Iterable, box_xywh, *, color: Color = "bgr"
) -> Iterator[Tracked]:
    """Follows the target in `box_xywh` of the first frame, and gives one result a frame.

    `frames` may be endless, and is read one frame at a time. A later one that cannot be used,
    or that is an exception, is reported as a problem, and tracking goes on with the next. The
    first one must be good: an exception in its place is raised, and so are `FrameError` and
    `BoxError`.
    """
    is_first = True
    for frame in frames:
        problem = None
        try:
            if isinstance(frame, Exception):
                raise frame
            if is_first:
                tracker.init(frame, box_xywh, color=color)
            else:
                tracker.update(frame, color=color)
        except Exception as error:
            if is_first or (error is not frame and not isinstance(error, FrameError)):
                raise
            problem = str(error)
        is_first = False
        score = tracker.score if problem is None else float("nan")
        yield Tracked(tracker.box_xywh, score, problem, tracker.is_lost)
