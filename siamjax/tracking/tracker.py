"""Tracking as two pure functions: `init` looks once at the target, `update` follows it.

Everything about a frame happens inside one jitted call: crop, network, penalty, window,
choice, smoothing. Neither function brings anything to the host.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import Config
from siamjax.geometry.anchors import anchor_grid, anchor_sizes
from siamjax.geometry.boxes import cxcywh_to_xywh
from siamjax.geometry.crops import context_side
from siamjax.models.siamese import Prediction, SiameseRPN
from siamjax.tracking.crop import mean_color, subwindow
from siamjax.tracking.select import select
from siamjax.tracking.state import TrackerState, TrackOutput


@partial(jax.jit, static_argnames=("network", "config"))
def init(
    variables: dict,
    frame: Array,
    frame_size: Array,
    box_xywh: Array,
    *,
    network: SiameseRPN,
    config: Config,
) -> TrackerState:
    """Remembers the target in `box_xywh` `[4]` of `frame`.

    `frame` `[H, W, 3]` uint8 BGR holds the image in its top-left `frame_size` `[2]` (width,
    height), float32, see `frames.pad_frame`. The box is 0-based, pixels of the frame,
    float32. Reference: PySOT, whose centre is x + (w - 1) / 2.
    """
    size = box_xywh[2:]
    center = box_xywh[:2] + (size - 1.0) / 2.0
    pad_color = mean_color(frame, frame_size)
    side = context_side(size[0], size[1], config.tracker.context_amount)
    crop = subwindow(frame, frame_size, center, side, pad_color, config.model.template_size)
    template = network.apply(variables, crop[None], method=network.encode_template)
    return TrackerState(center, size, pad_color, template)


@partial(jax.jit, static_argnames=("network", "config"))
def update(
    variables: dict,
    state: TrackerState,
    frame: Array,
    frame_size: Array,
    *,
    network: SiameseRPN,
    config: Config,
) -> tuple[TrackerState, TrackOutput]:
    """Finds the target of `state` in the next frame; frames as in `init`.

    The score is the foreground probability of the chosen anchor, before penalty and window.
    """
    scale, search = search_crop(state, frame, frame_size, config=config)
    prediction = network.apply(variables, state.template, search, method=network.predict)
    return follow(state, prediction, scale, frame_size, config=config)


def search_crop(
    state: TrackerState, frame: Array, frame_size: Array, *, config: Config
) -> tuple[Array, Array]:
    """First part of `update`: the crop's pixels for one of the frame's, and the search image.

    The image is `[1, s, s, 3]` float32. The scale is that of the side before it is rounded
    to whole pixels, as in the reference.
    """
    template_size, search_size = config.model.template_size, config.tracker.search_size
    side = context_side(state.size[0], state.size[1], config.tracker.context_amount)
    crop = subwindow(
        frame,
        frame_size,
        state.center,
        side * (search_size / template_size),
        state.pad_color,
        search_size,
    )
    return template_size / side, crop[None]


def follow(
    state: TrackerState,
    prediction: Prediction,
    scale: Array,
    frame_size: Array,
    *,
    config: Config,
) -> tuple[TrackerState, TrackOutput]:
    """Last part of `update`: from the score maps (b = 1) to the new state and box."""
    anchors = config.model.anchors
    grid = anchor_grid(
        anchor_sizes(anchors.stride, anchors.ratios, anchors.scales),
        anchors.stride,
        config.model.score_size_for(config.tracker.search_size),
    )
    if prediction.cls_logits.shape[1:4] != grid.shape[:3]:
        raise ValueError(
            f"the network's score map of (h, w, anchors) {prediction.cls_logits.shape[1:4]} "
            f"does not fit the configuration's anchors {grid.shape[:3]}; are `network` and "
            "`config` the same model's?"
        )
    chosen = select(
        prediction.cls_logits[0],
        prediction.loc[0],
        state.center,
        state.size,
        scale,
        frame_size,
        anchors=grid,
        config=config.tracker,
    )
    state = state._replace(center=chosen.center, size=chosen.size)
    box_xywh = cxcywh_to_xywh(jnp.concatenate([chosen.center, chosen.size]))
    return state, TrackOutput(box_xywh, chosen.score)
