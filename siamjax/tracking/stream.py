"""Tracking as a generator over any iterable of frames."""

from collections.abc import Iterable, Iterator

from siamjax.tracking.frames import Color, FrameError
from siamjax.tracking.result import Result
from siamjax.tracking.tracker import Tracker


def track_frames(
    tracker: Tracker, frames: Iterable, box_xywh, *, color: Color = "bgr"
) -> Iterator[Result]:
    """Follows the target in `box_xywh` of the first frame; yields one result per frame.

    `frames` may be endless, and is read one frame at a time. A frame that cannot be used, or
    an exception in place of a frame (`siamjax.video.open_frames` gives such), is reported as
    `Result.problem`, and tracking continues with the next. The first frame must be usable: an
    exception in its place, `FrameError` or `BoxError` is raised.
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
        yield tracker.result if problem is None else tracker.result.unusable(problem)
