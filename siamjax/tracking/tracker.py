"""The tracker as an object with `init` and `update`, as in OpenCV, and as a generator."""

from collections.abc import Iterable, Iterator

import jax
import numpy as np

from siamjax.config import Config, TrackingConfig
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import step
from siamjax.tracking.frames import (
    Color,
    FrameError,
    NoTargetError,
    as_bgr,
    as_box_xywh,
    pad_frame,
    require_shape,
    size_of,
)
from siamjax.tracking.result import Fetched, Result, first_result
from siamjax.tracking.state import TrackerState


class Tracker:
    """Follows one target from frame to frame.

        tracker.init(frame, box_xywh)
        result = tracker.update(frame)
        result.box_xywh, result.score, result.is_lost

    The tracker has the same attributes, with the values of the last result. Frames are NumPy
    or JAX arrays `[h, w, 3]` uint8, BGR unless `color="rgb"`, or grey `[h, w]`; boxes are
    0-based pixels. `init` may be called again at any time, with a frame of any size. `update`
    returns before the device is done, and reading a result waits for it; a long-term
    tracker waits in every frame, since its search size depends on the last result.

    Attributes:
        network: as `build_network` gives it.
        variables: `{"params": ..., "batch_stats": ...}`.
        config: of which `model` and `tracker` count; steps are compiled for these two.
    """

    def __init__(
        self, network: SiameseRPN | SiamFC, variables: dict, config: Config | TrackingConfig
    ):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self._settings = TrackingConfig(config.model, config.tracker)
        self._state: TrackerState | None = None
        self._result: Result | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._frame_size: jax.Array | None = None
        self._search_size = config.tracker.search_size  # while the target is in sight

    def init(self, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts with the target in `box_xywh`: four numbers, left, top, width, height.

        Raises `FrameError` or `BoxError`, and then keeps the previous target, if any.
        """
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        frame_size = jax.device_put(size_of(frame))
        search_size = step.first_search_size(self._settings, box, width, height)
        padded = jax.device_put(pad_frame(frame))
        arguments = (self.variables, padded, frame_size, jax.device_put(box))
        options = {"network": self.network, "config": self._settings}
        step.compile_ahead(
            frame,
            step.init.trace(*arguments, **options),
            lambda state: step.update.trace(
                self.variables, state, padded, frame_size, search_size=search_size, **options
            ),
        )
        self._state = step.init(*arguments, **options)
        self._shape, self._frame_size = (height, width), frame_size
        self._search_size = search_size
        self._result = first_result(box, self._shape, self._settings)

    def update(self, frame, *, color: Color = "bgr") -> Result:
        """Finds the target in the next frame, which must have the size of the first.

        Raises `FrameError` for a frame that cannot be used, and `RuntimeError` before `init`.
        The tracker then stays as it was, and may go on with the next frame.
        """
        steps_lost = self.result.steps_lost
        frame = as_bgr(frame, color)
        require_shape(frame, self._shape)
        self._state, output = step.update(
            self.variables,
            self._state,
            jax.device_put(pad_frame(frame)),
            self._frame_size,
            network=self.network,
            config=self._settings,
            search_size=step.search_size_of(self._settings, self._search_size, steps_lost),
        )
        fetched = Fetched(output, self._state.steps_lost)
        self._result = Result.of(fetched, self._shape, self._settings)
        return self._result

    @property
    def result(self) -> Result:
        """The last result; the given box with a score of 1 before any update."""
        if self._result is None:
            raise NoTargetError("call `init(frame, box_xywh)` first: no target is known yet")
        return self._result

    @property
    def box_xywh(self) -> np.ndarray:
        """Where the target was last found, `[4]` float32; the given box before any update."""
        return self.result.box_xywh

    @property
    def score(self) -> float:
        """The score of the last result, in [0, 1]; 1 after `init`."""
        return self.result.score

    @property
    def mask(self) -> np.ndarray | None:
        """As `Result.mask`."""
        return self.result.mask

    @property
    def polygon(self) -> np.ndarray | None:
        """As `Result.polygon`."""
        return self.result.polygon

    @property
    def is_lost(self) -> bool:
        """As `Result.is_lost`; never after `init`."""
        return self.result.is_lost


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
