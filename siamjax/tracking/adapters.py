"""The tracker as an object that remembers: the interface that OpenCV made common."""

import jax
import numpy as np

from siamjax.config import Config
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import tracker
from siamjax.tracking.frames import (
    Color,
    as_bgr,
    as_box_xywh,
    pad_frame,
    require_shape,
    size_of,
)
from siamjax.tracking.outline import paste, polygon_of
from siamjax.tracking.state import TrackerState, TrackOutput


class Tracker:
    """Follows one target from frame to frame.

        tracker.init(frame, box_xywh)
        tracker.update(frame)
        tracker.box_xywh, tracker.score

    Frames are NumPy or JAX arrays `[h, w, 3]` uint8, BGR unless `color="rgb"`, or grey
    `[h, w]`; boxes are 0-based pixels. `init` may be called again at any time, with a frame
    of any size. The step runs while the host goes on; asking for `box_xywh` or `score` waits
    for it, and so does every frame of a long-term tracker, whose search size depends on it.

    Attributes:
        network: as `build_network` gives it.
        variables: `{"params": ..., "batch_stats": ...}`.
        config: the experiment's, for its `model` and `tracker`.
    """

    def __init__(self, network: SiameseRPN | SiamFC, variables: dict, config: Config):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self._state: TrackerState | None = None
        self._output: TrackOutput | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._frame_size: jax.Array | None = None
        self._search_size = config.tracker.search_size  # while the target is in sight

    def init(self, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts with the target in `box_xywh`: four numbers, left, top, width, height.

        Raises `FrameError` or `BoxError`, and then keeps following what it followed before.
        """
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        self._shape = (height, width)
        self._frame_size = jax.device_put(size_of(frame))
        self._search_size = tracker.first_search_size(self.config, box, width, height)
        box = jax.device_put(box)
        self._state = tracker.init(
            self.variables,
            jax.device_put(pad_frame(frame)),
            self._frame_size,
            box,
            network=self.network,
            config=self.config,
        )
        self._output = TrackOutput(box, jax.device_put(np.float32(1.0)))

    def update(self, frame, *, color: Color = "bgr") -> None:
        """Finds the target in the next frame, which must have the size of the first.

        Raises `FrameError` for a frame that it cannot use, without moving: the caller may
        count it and go on with the next one.
        """
        self._require_init()
        frame = as_bgr(frame, color)
        require_shape(frame, self._shape)
        search_size = tracker.search_size_of(self.config, self._search_size, self._steps_lost())
        self._state, self._output = tracker.update(
            self.variables,
            self._state,
            jax.device_put(pad_frame(frame)),
            self._frame_size,
            network=self.network,
            config=self.config,
            search_size=search_size,
        )

    @property
    def box_xywh(self) -> np.ndarray:
        """Where the target was last found, `[4]` float32; the given box before any update."""
        self._require_init()
        return np.asarray(self._output.box_xywh)

    @property
    def score(self) -> float:
        """How sure that was, in [0, 1]: the network's foreground score; 1 after `init`."""
        self._require_init()
        return float(self._output.score)

    @property
    def mask(self) -> np.ndarray | None:
        """How sure each pixel of the frame is the target's, `[h, w]` float32 in [0, 1].

        None before any update, and for a network without masks.
        """
        self._require_init()
        if self._output.mask is None:
            return None
        height, width = self._shape
        return paste(jax.device_get(self._output.mask), width, height)

    @property
    def polygon(self) -> np.ndarray | None:
        """The smallest rotated rectangle around the mask, `[4, 2]` float32 corners (x, y).

        The corners of `box_xywh` where the mask is empty; None for a network without masks.
        """
        self._require_init()
        if not self.config.model.mask:
            return None
        output = jax.device_get(self._output)
        return polygon_of(output.mask, output.box_xywh, self._shape, self.config)

    @property
    def is_lost(self) -> bool:
        """Whether a long-term tracker is looking for its target; never without that."""
        self._require_init()
        return self._steps_lost() > 0

    def _steps_lost(self) -> int:
        return 0 if self._state.steps_lost is None else int(self._state.steps_lost)

    def _require_init(self) -> None:
        if self._output is None:
            raise RuntimeError("call `init(frame, box_xywh)` first: no target is known yet")
