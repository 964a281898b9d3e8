"""What a tracker remembers, and what it says."""

from typing import Any, NamedTuple

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
    # What else the kind of tracker needs: SiamFC's first size, the distractors.
    memory: Any = None


class TrackOutput(NamedTuple):
    """Where the target is in a frame."""

    box_xywh: Array  # [4] pixels of the frame, 0-based
    score: Array  # [] foreground score of the chosen anchor, in [0, 1], not penalised
