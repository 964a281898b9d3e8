"""SiamFC's tracker: the peak of one upsampled response over several scales.

Reference: siamfc-pytorch; Bertinetto et al., ECCV 2016 workshops, section 3.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.config import TrackingConfig
from siamjax.geometry.crops import context_side
from siamjax.models.siamese import Prediction, SiameseRPN, SiamFC
from siamjax.tracking.crop import mean_color, subwindow
from siamjax.tracking.select import cosine_window
from siamjax.tracking.state import TrackerState, TrackOutput

# The size stays within these multiples of the first one. Reference: the authors' MATLAB code.
LEAST, MOST = 0.2, 5.0


def is_siamfc(config: TrackingConfig) -> bool:
    """Whether the network gives one response and no boxes."""
    return config.model.correlation == "plain"


def init(
    variables: dict,
    frame: Array,
    frame_size: Array,
    box_xywh: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
) -> TrackerState:
    """The state of a new target; arguments as those of `step.init`."""
    size = box_xywh[2:]
    center = box_xywh[:2] + (size - 1.0) / 2.0
    pad_color = mean_color(frame, frame_size)
    side = context_side(size[0], size[1], config.tracker.context_amount)
    template_size = config.model.template_size
    side *= template_size / config.model.context_pixels
    crop = subwindow(frame, frame_size, center, side, pad_color, template_size, "siamfc")
    template: Any = network.apply(variables, crop[None], method=network.encode_template)
    return TrackerState(center, size, pad_color, template, memory=size)


def scale_factors(config: TrackingConfig) -> np.ndarray:
    """The side of each search window relative to the last frame's: `[n]` float32."""
    count = config.tracker.scale_count
    return (config.tracker.scale_step ** (np.arange(count) - count // 2)).astype(np.float32)


def search_crops(
    state: TrackerState, frame: Array, frame_size: Array, *, config: TrackingConfig
) -> tuple[Array, Array]:
    """The middle crop's pixels for one of the frame's, and all search images `[n, s, s, 3]`."""
    context_pixels, search_size = config.model.context_pixels, config.tracker.search_size
    side = context_side(state.size[0], state.size[1], config.tracker.context_amount)

    def cut(factor):
        return subwindow(
            frame,
            frame_size,
            state.center,
            side * (search_size / context_pixels) * factor,
            state.pad_color,
            search_size,
            "siamfc",
        )

    return context_pixels / side, jax.vmap(cut)(jnp.asarray(scale_factors(config)))


def follow(
    state: TrackerState, prediction: Prediction, scale: Array, *, config: TrackingConfig
) -> tuple[TrackerState, TrackOutput]:
    """From the responses of all scales to the new state and box.

    The score is the sigmoid of the upsampled response where the target is found, before
    penalty and window.
    """
    rules = config.tracker
    factors = jnp.asarray(scale_factors(config))
    responses = prediction.cls_logits[..., 0, 0]
    side = responses.shape[1] * rules.response_up
    upsampling = jnp.asarray(bicubic(responses.shape[1], side))
    fine = jnp.einsum("ih,nhw,jw->nij", upsampling, responses, upsampling)

    middle = rules.scale_count // 2
    penalties = np.full(rules.scale_count, rules.scale_penalty, np.float32)
    penalties[middle] = 1.0
    best = jnp.argmax((fine * penalties[:, None, None]).max(axis=(1, 2)))
    response = fine[best] * jnp.asarray(penalties)[best]
    response = response - response.min()
    response = response / (response.sum() + 1e-16)
    window = cosine_window(side)
    share = rules.window_influence
    ranked = (1.0 - share) * response + share * jnp.asarray(window / window.sum())
    row, column = jnp.unravel_index(jnp.argmax(ranked), ranked.shape)

    cells = jnp.stack([column, row]).astype(jnp.float32) - (side - 1) / 2
    step = config.model.anchors.stride / rules.response_up
    center = state.center + cells * step * factors[best] / scale
    size = state.size * ((1.0 - rules.size_lr) + rules.size_lr * factors[best])
    size = jnp.clip(size, LEAST * state.memory, MOST * state.memory)
    # Where the response overflowed, the target stays.
    usable = jnp.isfinite(ranked).all()
    center, size = jnp.where(usable, center, state.center), jnp.where(usable, size, state.size)
    box_xywh = jnp.concatenate([center - (size - 1.0) / 2.0, size])
    score = jax.nn.sigmoid(fine[best, row, column])
    return state._replace(center=center, size=size), TrackOutput(box_xywh, score)


def bicubic(coarse: int, fine: int) -> np.ndarray:
    """Cubic interpolation of a line of `coarse` cells at `fine` positions: `[fine, coarse]`.

    The kernel with a = -0.75, cell centres at half coordinates, the ends repeated: OpenCV's
    INTER_CUBIC, which siamfc-pytorch calls.
    """
    a = -0.75
    position = (np.arange(fine) + 0.5) * (coarse / fine) - 0.5
    low = np.floor(position)
    matrix = np.zeros((fine, coarse))
    for offset in (-1, 0, 1, 2):
        x = np.abs(position - (low + offset))
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        weight = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
        cell = np.clip(low + offset, 0, coarse - 1).astype(int)
        np.add.at(matrix, (np.arange(fine), cell), weight)
    return matrix.astype(np.float32)
