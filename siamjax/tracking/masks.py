"""The mask of the chosen cell, and where in the frame it lies. (SiamMask)"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import TrackingConfig
from siamjax.models.siamese import MaskFeatures
from siamjax.tracking.state import Mask, TrackerState

# From what masks are made of and cells `[b, 2]` to logits `[b, s, s]`.
Refine = Callable[[MaskFeatures, Array], Array]


def mask_at(
    refine: Refine,
    features: MaskFeatures,
    cell: Array,
    state: TrackerState,
    scale: Array,
    *,
    config: TrackingConfig,
    search_size: int | None = None,
) -> Mask:
    """The mask at `cell` `[2]` (row, column) of one search image (b = 1).

    `state` is that before the frame, whose centre the search image was cut around; `scale`
    as in `tracker.search_crops`. Reference: PySOT's SiamMask tracker, whose search image
    begins half its rounded side before the centre here.
    """
    search_size = search_size or config.tracker.search_size
    side = jnp.round(search_size / scale)
    pixel = side / search_size  # of the search image, in pixels of the frame
    steps = cell[::-1].astype(jnp.float32) - config.model.base_size / 2
    corner = state.center - side / 2 + steps * (config.model.anchors.stride * pixel)
    sides = jnp.full(2, config.model.template_size, jnp.float32) * pixel
    probabilities = jax.nn.sigmoid(refine(features, cell[None])[0])
    return Mask(probabilities, jnp.concatenate([corner, sides]))
