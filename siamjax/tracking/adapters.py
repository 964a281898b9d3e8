"""The tracker as an object that remembers: the interface that OpenCV made common."""

import jax
import numpy as np

from siamjax.config import Config
from siamjax.models.siamese import SiameseRPN
from siamjax.tracking import tracker
from siamjax.tracking.frames import Color, FrameError, as_bgr, as_box_xywh, pad_frame
from siamjax.tracking.state import TrackerState, TrackOutput


class Tracker:
    """Follows one target from frame to frame.

        tracker.init(frame, box_xywh)
        tracker.update(frame)
        tracker.box_xywh, tracker.score

    Frames are `[h, w, 3]` uint8, BGR unless `color="rgb"`, or grey `[h, w]`; boxes are
    0-based pixels. `init` may be called again at any time, with a frame of any size. The
    step runs while the host goes on; asking for `box_xywh` or `score` waits for it.

    Attributes:
        network: as `build_network` gives it.
        variables: `{"params": ..., "batch_stats": ...}`.
        config: the experiment's, for its `model` and `tracker`.
    """

    def __init__(self, network: SiameseRPN, variables: dict, config: Config):
        if config.model.correlation == "plain":
            raise ValueError(
                f"`{config.name}` has `model.correlation` (='plain'), which gives a response "
                "and no boxes; this tracker needs 'depthwise' or 'up_channel'"
            )
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self._state: TrackerState | None = None
        self._output: TrackOutput | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._frame_size: jax.Array | None = None

    def init(self, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts with the target in `box_xywh`: four numbers, left, top, width, height.

        Raises `FrameError` or `BoxError`, and then keeps following what it followed before.
        """
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        self._shape = (height, width)
        self._frame_size = jax.device_put(np.array([width, height], np.float32))
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
        if frame.shape[:2] != self._shape:
            (height, width), (first_height, first_width) = frame.shape[:2], self._shape
            raise FrameError(
                f"`frame` has {width} x {height} pixels, but tracking began at {first_width} x "
                f"{first_height}; resize it, or call `init` again with a box in its pixels"
            )
        self._state, self._output = tracker.update(
            self.variables,
            self._state,
            jax.device_put(pad_frame(frame)),
            self._frame_size,
            network=self.network,
            config=self.config,
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

    def _require_init(self) -> None:
        if self._output is None:
            raise RuntimeError("call `init(frame, box_xywh)` first: no target is known yet")
