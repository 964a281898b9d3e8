"""What a tracker found in one frame."""

import dataclasses
import math
from functools import cached_property

import jax
import numpy as np
from jax import Array

from siamjax.config import TrackingConfig
from siamjax.tracking.masks import paste, polygon_of
from siamjax.tracking.state import Mask, TrackOutput


class Fetched:
    """The step's output, each part of which comes to the host once, when it is asked for.

    Arrays may have a first axis of the targets that were found in one call.
    """

    def __init__(self, output: TrackOutput, steps_lost: Array | np.int32 | None = None):
        """`steps_lost` is the state's after the step: None for a short-term tracker."""
        self._output = output
        self._steps_lost = steps_lost

    @cached_property
    def box_xywh(self) -> np.ndarray:
        """`[..., 4]` float32."""
        return np.asarray(self._output.box_xywh)

    @cached_property
    def score(self) -> np.ndarray:
        """`[...]` float32."""
        return np.asarray(self._output.score)

    @cached_property
    def mask(self) -> Mask | None:
        """Probabilities `[..., s, s]` and where they lie `[..., 4]`."""
        return jax.device_get(self._output.mask)

    @cached_property
    def steps_lost(self) -> np.ndarray | None:
        """`[...]` int32."""
        return None if self._steps_lost is None else np.asarray(self._steps_lost)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Where a tracker found its target in one frame; immutable.

    A field is fetched from the device when it is first read. Boxes are 0-based pixels of the
    frame. Results are equal if all values are; pickled ones hold NumPy arrays.
    """

    _fetched: Fetched
    _shape: tuple[int, int]  # of the frame: height, width
    _lost_score: float
    _mask_threshold: float | None  # None for a network without masks
    _number: int | None = None  # in what was fetched; None where that is of one target
    # Why the frame could not be tracked; None if it was. Such a result repeats the last one,
    # with a score of NaN.
    problem: str | None = None

    @classmethod
    def of(
        cls,
        fetched: Fetched,
        shape: tuple[int, int],
        config: TrackingConfig,
        number: int | None = None,
    ) -> "Result":
        """The result of target `number` in a frame of `shape` (height, width)."""
        threshold = config.tracker.mask_threshold if config.model.mask else None
        return cls(fetched, shape, config.tracker.lost_score, threshold, number)

    def unusable(self, problem: str) -> "Result":
        """What is known after a frame that could not be tracked: this, with its problem."""
        return dataclasses.replace(self, problem=problem)

    @property
    def box_xywh(self) -> np.ndarray:
        """Left, top, width and height: `[4]` float32, read-only."""
        return self._mine(self._fetched.box_xywh)

    @property
    def score(self) -> float:
        """The network's foreground score of the box, in [0, 1]; NaN if there is a `problem`."""
        return self._score if self.problem is None else math.nan

    @property
    def steps_lost(self) -> int:
        """How far a long-term tracker's search has grown; 0 while the target is in sight."""
        steps = self._fetched.steps_lost
        return 0 if steps is None else int(self._mine(steps))

    @property
    def is_lost(self) -> bool:
        """Whether the target is lost.

        For a short-term tracker: the score is below `tracker.lost_score` of its configuration,
        or NaN. For a long-term tracker: it is searching for the target.
        """
        if self._fetched.steps_lost is not None:
            return self.steps_lost > 0
        return not self._score >= self._lost_score

    @cached_property
    def mask(self) -> np.ndarray | None:
        """The probability of each pixel to be the target's, `[h, w]` float32 in [0, 1].

        Read-only. None before any update, and for a network without masks.
        """
        if self._coarse_mask is None:
            return None
        height, width = self._shape
        return _read_only(paste(self._coarse_mask, width, height))

    @cached_property
    def polygon(self) -> np.ndarray | None:
        """The smallest rotated rectangle around the mask, `[4, 2]` float32 corners (x, y).

        Read-only. The corners of `box_xywh` where the mask is empty; None for a network
        without masks.
        """
        if self._mask_threshold is None:
            return None
        return _read_only(polygon_of(self.mask, self.box_xywh, self._mask_threshold))

    @property
    def _score(self) -> float:
        return float(self._mine(self._fetched.score))

    @property
    def _coarse_mask(self) -> Mask | None:
        mask = self._fetched.mask
        return mask if mask is None else Mask(*map(self._mine, mask))

    def _mine(self, array) -> np.ndarray:
        return array if self._number is None else array[self._number]

    def __eq__(self, other) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self._says() == other._says()

    def __hash__(self) -> int:
        return hash(self._says())

    def _says(self) -> tuple:
        """All of it as bytes, of which equal ones are equal, and NaN is itself."""
        polygon = None if self.polygon is None else self.polygon.tobytes()
        mask = None if self.mask is None else (self.mask.shape, self.mask.tobytes())
        numbers = np.array([*self.box_xywh, self.score], np.float32).tobytes()
        return numbers, self.is_lost, polygon, mask, self.problem

    def __repr__(self) -> str:
        box = ", ".join(f"{value:.1f}" for value in self.box_xywh)
        return f"Result(box_xywh=({box}), score={self.score:.3f}, is_lost={self.is_lost})"

    def __reduce__(self):
        output = TrackOutput(self.box_xywh, np.float32(self._score), self._coarse_mask)
        steps = None if self._fetched.steps_lost is None else np.int32(self.steps_lost)
        fetched = Fetched(output, steps)
        parts = self._shape, self._lost_score, self._mask_threshold, None, self.problem
        return Result, (fetched, *parts)


def first_result(
    box_xywh: np.ndarray, shape: tuple[int, int], config: TrackingConfig
) -> Result:
    """What is known before any update: the given box `[4]`, with a score of 1."""
    steps = None if config.tracker.long_term is None else np.int32(0)
    box_xywh = _read_only(np.array(box_xywh, np.float32))
    return Result.of(Fetched(TrackOutput(box_xywh, np.float32(1.0)), steps), shape, config)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
