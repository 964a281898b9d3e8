"""Tracking as two pure functions: `init` encodes the target once, `update` follows it.

Everything about a frame happens inside one jitted call: crop, network, penalty, window,
selection, smoothing. Neither function transfers anything to the host. The parts of `update` are
public, so that many targets can share one call of the network, see `batch.py`.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.stages import Traced

from siamjax.config import Config, LongTermConfig, TrackingConfig
from siamjax.errors import InputError
from siamjax.geometry.anchors import anchor_grid, anchor_sizes
from siamjax.geometry.boxes import cxcywh_to_xywh
from siamjax.geometry.crops import context_side
from siamjax.models.forward import forward_jit
from siamjax.models.siamese import Prediction, SiameseRPN, SiamFC, TemplateFeatures
from siamjax.tracking import distractors, siamfc
from siamjax.tracking.crop import mean_color, subwindow
from siamjax.tracking.frames import Frame
from siamjax.tracking.masks import Refine, mask_at
from siamjax.tracking.select import Hyperparameters, Selection, correction_of, hold, select
from siamjax.tracking.served import Programs
from siamjax.tracking.state import TrackerState, TrackOutput


@forward_jit("network", "config")
def init(
    variables: dict,
    frame: Array,
    frame_size: Array,
    box_xywh: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
) -> TrackerState:
    """The state of a new target in `box_xywh` `[4]` of `frame`.

    `frame` `[H, W, 3]` uint8 BGR holds the image in its top-left `frame_size` `[2]` (width,
    height), float32, see `frames.pad_frame`. The box is 0-based, pixels of the frame,
    float32. Reference: PySOT, whose centre is x + (w - 1) / 2, and DaSiamRPN, whose centre is
    x + w / 2.
    """
    if isinstance(network, Programs):
        return network.init(variables, frame, frame_size, box_xywh)
    if siamfc.is_siamfc(config):
        return siamfc.init(
            variables, frame, frame_size, box_xywh, network=network, config=config
        )
    size = box_xywh[2:]
    inset = 1.0 if config.tracker.arithmetic == "pysot" else 0.0
    center = box_xywh[:2] + (size - inset) / 2.0
    pad_color = mean_color(frame, frame_size)
    side = context_side(size[0], size[1], config.tracker.context_amount)
    crop = subwindow(
        frame,
        frame_size,
        center,
        side * (config.model.template_size / config.model.context_pixels),
        pad_color,
        config.model.template_size,
        config.tracker.arithmetic,
    )
    template: Any = network.apply(variables, crop[None], method=network.encode_template)
    steps_lost = None if config.tracker.long_term is None else jnp.int32(0)
    rules = config.tracker.distractors
    memory = None if rules is None else distractors.forget(template, rules)
    state = TrackerState(center, size, pad_color, template, steps_lost, memory=memory)
    if config.tracker.calibration:
        scale, search = search_crops(state, frame, frame_size, config=config)
        seen: Any = network.apply(variables, template, search, method=network.predict)
        correction = correction_of(
            seen.cls_logits[0], seen.loc[0], size, scale, anchors=anchors_of(config, seen, None)
        )
        state = state._replace(correction=config.tracker.calibration * correction)
    return state


@forward_jit("network", "config", "search_size")
def update(
    variables: dict,
    state: TrackerState,
    frame: Array,
    frame_size: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
    search_size: int | None = None,
) -> tuple[TrackerState, TrackOutput]:
    """Finds the target of `state` in the next frame; frames as in `init`.

    `search_size` is that of this frame, see `search_size_of`; by default the
    configuration's. The score is the foreground probability of the chosen anchor, before
    penalty and window.
    """
    if isinstance(network, Programs):
        size = search_size or config.tracker.search_size
        return network.update(variables, state, frame, frame_size, size)
    options: dict = {"config": config, "search_size": search_size}
    scale, search = search_crops(state, frame, frame_size, **options)
    if config.tracker.distractors is not None:
        prediction = distractors.predict(variables, state, search, network=network)
        after, output = follow(state, prediction, scale, frame_size, **options)
        after = distractors.remember(
            variables,
            state,
            after,
            output,
            prediction,
            scale,
            frame,
            frame_size,
            anchors=anchors_of(config, prediction, search_size),
            network=network,
            config=config,
        )
        return after, output
    template = repeat_template(state.template, search.shape[0])
    prediction: Any = network.apply(variables, template, search, method=network.predict)
    refine = refiner(variables, network=network, config=config)
    return follow(state, prediction, scale, frame_size, refine=refine, **options)


def first_search_size(config: TrackingConfig, box_xywh, width: int, height: int) -> int:
    """The search size for a target that begins as `box_xywh` in a frame of that size, pixels.

    Another than the configuration's for a small target, where it asks for that. Reference:
    DaSiamRPN's entry to VOT2018.
    """
    small = config.tracker.small_target_search_size
    area = float(box_xywh[2]) * float(box_xywh[3])
    if small is not None and area < config.tracker.small_target * width * height:
        return small
    return config.tracker.search_size


def search_size_of(config: TrackingConfig, first: int, steps_lost: int) -> int:
    """The search size of the next frame: `first` of `first_search_size`, larger while lost."""
    sizes = config.tracker.search_sizes(first)
    return sizes[min(steps_lost, len(sizes) - 1)]


def with_long_term(config: Config | TrackingConfig) -> TrackingConfig:
    """The configuration with a long-term tracker: its own, or else its reference's.

    PySOT's search image grows from 255 to 831 pixels, DaSiamRPN's from 271 to 767 in steps of
    128, with a lower threshold for a target found again; scaled to other search sizes. Raises
    `ConfigError` for SiamFC, whose response does not show a loss.
    """
    if config.tracker.long_term is not None:
        return TrackingConfig(config.model, config.tracker)
    stride, template_size = config.model.anchors.stride, config.model.template_size

    def scaled(pixels: float) -> int:
        return stride * round(pixels / stride)

    usual = config.tracker.search_size
    if config.tracker.arithmetic == "dasiamrpn":
        rules = LongTermConfig(
            search_size=template_size + scaled(usual * 767 / 271 - template_size),
            search_step=scaled(usual * 128 / 271),
            confidence_high=0.95,
        )
    else:
        size = template_size + scaled(usual * 831 / 255 - template_size)
        rules = LongTermConfig(search_size=size)
    return TrackingConfig(config.model, dataclasses.replace(config.tracker, long_term=rules))


def search_crops(
    state: TrackerState,
    frame: Array,
    frame_size: Array,
    *,
    config: TrackingConfig,
    search_size: int | None = None,
) -> tuple[Array, Array]:
    """First part of `update`: the crop's pixels for one of the frame's, and search images.

    They are `[n, s, s, 3]` float32; n is 1, but for SiamFC's scales. The scale is that of the
    side before it is rounded to whole pixels, as in the reference.
    """
    search_size = search_size or config.tracker.search_size
    if siamfc.is_siamfc(config):
        return siamfc.search_crops(state, frame, frame_size, config=config)
    context_pixels = config.model.context_pixels
    side = context_side(state.size[0], state.size[1], config.tracker.context_amount)
    crop = subwindow(
        frame,
        frame_size,
        state.center,
        side * (search_size / context_pixels),
        state.pad_color,
        search_size,
        config.tracker.arithmetic,
    )
    return context_pixels / side, crop[None]


def refiner(
    variables: dict, *, network: SiameseRPN | SiamFC, config: TrackingConfig
) -> Refine | None:
    """The function that `follow` makes masks with; None for a network without masks."""
    if not config.model.mask:
        return None
    apply: Any = network.apply  # Flax annotates what `mutable` makes of its result
    return partial(apply, variables, method=network.predict_mask)


def repeat_template(template: TemplateFeatures, count: int) -> TemplateFeatures:
    """A template of one image (b = 1) for `count` search images."""
    if count == 1:
        return template
    return jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), template)


def follow(
    state: TrackerState,
    prediction: Prediction,
    scale: Array,
    frame_size: Array,
    *,
    config: TrackingConfig,
    search_size: int | None = None,
    hyper: Hyperparameters | None = None,
    refine: Refine | None = None,
) -> tuple[TrackerState, TrackOutput]:
    """Last part of `update`: from the score maps to the new state and box.

    The maps have a row per search image, or per target and distractor, see `distractors`.
    `hyper` overrides the configuration's numbers, and may be traced. The output has
    a mask where `refine` is given, see `refiner`; the state does not depend on it.
    """
    if prediction.loc is None:
        return siamfc.follow(state, prediction, scale, config=config)
    rules = config.tracker.distractors
    chosen = select(
        prediction.cls_logits[0],
        prediction.loc[0],
        state.center,
        state.size,
        scale,
        anchors=anchors_of(config, prediction, search_size),
        hyper=hyper or hyperparameters(state, config),
        rivals=None if rules is None else distractors.rivals(prediction, state.memory, rules),
        correction=state.correction,
    )
    after, output = settle(state, chosen, frame_size, config=config)
    if refine is not None and prediction.mask is not None:
        mask = mask_at(
            refine,
            prediction.mask,
            chosen.cell,
            state,
            scale,
            config=config,
            search_size=search_size,
        )
        output = output._replace(mask=mask)
    return after, output


def anchors_of(config: TrackingConfig, prediction: Prediction, search_size: int | None):
    """The anchors `[h, w, a, 4]` of a search image; raises `ValueError` if they do not fit."""
    anchors = config.model.anchors
    grid = anchor_grid(
        anchor_sizes(anchors.stride, anchors.ratios, anchors.scales),
        anchors.stride,
        config.model.score_size_for(search_size or config.tracker.search_size),
    )
    if prediction.cls_logits.shape[1:4] != grid.shape[:3]:
        raise InputError(
            f"the network's score map of (h, w, anchors) {prediction.cls_logits.shape[1:4]} "
            f"does not fit the configuration's anchors {grid.shape[:3]}; are `network` and "
            "`config` the same model's?"
        )
    return grid


def hyperparameters(state: TrackerState, config: TrackingConfig) -> Hyperparameters:
    """The configuration's; while the target is lost, with hardly any window."""
    hyper = Hyperparameters(
        config.tracker.penalty_k, config.tracker.window_influence, config.tracker.size_lr
    )
    if config.tracker.long_term is None or state.steps_lost is None:
        return hyper
    lost = state.steps_lost > 0
    influence = jnp.where(lost, config.tracker.long_term.window_influence, hyper[1])
    return hyper._replace(window_influence=influence)


def settle(
    state: TrackerState, chosen: Selection, frame_size: Array, *, config: TrackingConfig
) -> tuple[TrackerState, TrackOutput]:
    """Applies a selection to the state, clipped to the frame.

    Long-term, only the box is clipped, the target stays where it is when the score is below
    `confidence_low`, and the next search is larger then; above `confidence_high` it is the
    usual one again. Reference: PySOT's long-term tracker.
    """
    rules = config.tracker.long_term
    center, size = chosen.center, chosen.size
    if rules is None or state.steps_lost is None:
        center, size = hold(center, size, frame_size)
        state = state._replace(center=center, size=size)
    else:
        lost, found = chosen.score < rules.confidence_low, chosen.score > rules.confidence_high
        center = jnp.where(lost, state.center, center)
        size = jnp.where(lost, state.size, size)
        firsts = (config.tracker.search_size, config.tracker.small_target_search_size)
        most = max(len(config.tracker.search_sizes(first)) for first in firsts if first) - 1
        steps = jnp.minimum(state.steps_lost + 1, most)
        steps = jnp.where(lost, steps, jnp.where(found, 0, state.steps_lost))
        state = state._replace(center=center, size=size, steps_lost=steps)
        center, size = hold(center, size, frame_size)
    box_xywh = cxcywh_to_xywh(jnp.concatenate([center, size]))
    return state, TrackOutput(box_xywh, chosen.score)


def compile_ahead(
    frame: Frame, begin: Traced, follow: Callable[[TrackerState], Traced]
) -> None:
    """Compiles `begin` and, concurrently, what `follow` traces of the shapes it returns.

    JAX caches both for the calls that follow; on a cache hit this costs a millisecond or two.
    A `frame` on a device may commit its results to that device, which shapes do not show:
    then nothing is done.
    """
    if isinstance(frame, jax.Array):
        return
    with ThreadPoolExecutor(1, "siamjax-compile") as pool:
        # Traced here, in turn: tracing holds the GIL anyway.
        compiling = pool.submit(begin.lower().compile)
        with contextlib.suppress(Exception):  # the call itself raises it again
            follow(begin.out_info).lower().compile()
        compiling.result()
