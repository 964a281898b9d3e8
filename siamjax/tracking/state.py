"""A tracker's state, and its output for a frame."""

from typing import Any, NamedTuple

import numpy as np
from jax import Array

from siamjax.models.siamese import TemplateFeatures


class TrackerState(NamedTuple):
    """One target between two frames: arrays on the device, float32, pixels of the frame."""

    center: Array  # [2] x, y
    size: Array  # [2] width, height
    pad_color: Array  # [3] whole grey levels: what lies outside the frame
    template: TemplateFeatures  # of one image (b = 1)
    # Long-term only: [] int32, how far the search has grown; 0 while the target is in sight.
    steps_lost: Array | None = None
    # [4], added to each predicted box: to its centre in units of its sides, and to the
    # logarithms of its sides; None without calibration.
    correction: Array | None = None
    # What this kind of tracker needs besides: SiamFC's first size, the distractors.
    memory: Any = None


class Mask(NamedTuple):
    """The target's mask in the part of the frame around it. (SiamMask)"""

    probabilities: Array | np.ndarray  # [s, s] in [0, 1], s the template's side
    box_xywh: Array | np.ndarray  # [4] the part of the frame that it covers, pixels


class TrackOutput(NamedTuple):
    """Where the target is in a frame: of the device, or of the host once it is fetched."""

    box_xywh: Array | np.ndarray  # [4] pixels of the frame, 0-based
    # [] foreground score of the chosen anchor, in [0, 1], not penalised
    score: Array | np.ndarray | np.float32
    mask: Mask | None = None  # where the network makes masks
