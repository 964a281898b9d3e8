"""Distractors: found, remembered, and subtracted from the scores of boxes like them.

DaSiamRPN, section 3.4: a box p is ranked by f(z, p) - alpha sum_i w_i f(d_i, p) / sum_i w_i, f
the network's foreground score, z the template, d_i the distractors of earlier frames, w_i
their weights, which grow with time. The authors' release has none of this; what counts as a
distractor (`min_score`, `max_iou`) and how many are kept is ours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import DistractorConfig, TrackingConfig
from siamjax.geometry.anchors import decode
from siamjax.geometry.boxes import cxcywh_to_xyxy, iou_xyxy
from siamjax.geometry.crops import context_side
from siamjax.models.siamese import Prediction, SiameseRPN, SiamFC, TemplateFeatures
from siamjax.tracking.crop import subwindow
from siamjax.tracking.state import TrackerState, TrackOutput


class Distractors(NamedTuple):
    """The last `count` distractors."""

    templates: TemplateFeatures  # [count, 1, ...] as the target's own
    seen: Array  # [count] number of the frame each was seen in; 0 where there is none
    frame: Array  # [] number of the last frame, float32


def forget(template: TemplateFeatures, rules: DistractorConfig) -> Distractors:
    """An empty memory for a target with this template."""
    templates = jax.tree.map(lambda x: jnp.zeros((rules.count, *x.shape), x.dtype), template)
    return Distractors(templates, jnp.zeros(rules.count), jnp.float32(0))


def predict(
    variables: dict, state: TrackerState, search: Array, *, network: SiameseRPN | SiamFC
) -> Prediction:
    """Score maps of one search image `[1, s, s, 3]`: the template's, then each distractor's.

    `[1 + count, h, w, a, ...]`. The backbone sees the image once.
    """
    templates = jax.tree.map(
        lambda z, d: jnp.concatenate([z[None], d]), state.template, state.memory.templates
    )
    maps = jax.vmap(
        lambda template: network.apply(variables, template, search, method=network.predict)
    )(templates)
    return jax.tree.map(lambda x: x[:, 0], maps)


def rivals(prediction: Prediction, memory: Distractors, rules: DistractorConfig) -> Array:
    """What is subtracted from each anchor's score: `[h, w, a]`, in [0, `weight`]."""
    weights = time_weights(memory.seen, rules.rate)
    scores = jax.nn.softmax(prediction.cls_logits[1:], axis=-1)[..., 1]
    total = weights.sum()
    mean = jnp.tensordot(weights, scores, axes=1) / jnp.where(total > 0, total, 1.0)
    return rules.weight * mean


def time_weights(frame: Array, rate: float) -> Array:
    """sum over i < t of (rate / (1 - rate))^i for frame number t: 0 for 0, then from 1 up."""
    ratio = rate / (1.0 - rate)
    return (1.0 - ratio**frame) / (1.0 - ratio)


def remember(
    variables: dict,
    before: TrackerState,
    after: TrackerState,
    output: TrackOutput,
    prediction: Prediction,
    scale: Array,
    frame: Array,
    frame_size: Array,
    *,
    anchors,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
) -> TrackerState:
    """The state `after` a frame with that frame's distractors added, the oldest dropped.

    Distractors are the best boxes that score at least `min_score` and overlap neither the
    target nor each other by more than `max_iou`. While a long-term tracker has lost its
    target, none are added.
    """
    rules = config.tracker.distractors
    memory = before.memory._replace(frame=before.memory.frame + 1.0)
    found, centers, sizes = _find(before, after, prediction, scale, anchors, rules)
    if config.tracker.long_term is not None:
        found &= output.score >= config.tracker.long_term.confidence_low

    def add(memory: Distractors) -> Distractors:
        def crop(center, size):
            side = context_side(size[0], size[1], config.tracker.context_amount)
            return subwindow(
                frame,
                frame_size,
                center,
                side * (config.model.template_size / config.model.context_pixels),
                before.pad_color,
                config.model.template_size,
                config.tracker.arithmetic,
            )

        new = network.apply(
            variables, jax.vmap(crop)(centers, sizes), method=network.encode_template
        )
        seen = jnp.concatenate([jnp.where(found, memory.frame, -1.0), memory.seen])
        latest = jnp.argsort(-seen, stable=True)[: memory.seen.shape[0]]
        templates = jax.tree.map(
            lambda new, old: jnp.concatenate([new[:, None], old])[latest], new, memory.templates
        )
        return memory._replace(templates=templates, seen=jnp.maximum(seen[latest], 0.0))

    return after._replace(memory=jax.lax.cond(found.any(), add, lambda same: same, memory))


def _find(before, after, prediction, scale, anchors, rules) -> tuple[Array, Array, Array]:
    """Which of `count` boxes are distractors `[count]`; their centres, sizes `[count, 2]`."""
    boxes = decode(prediction.loc[0], jnp.asarray(anchors)).reshape(-1, 4) / scale
    boxes = boxes.at[:, :2].add(before.center)
    scores = jax.nn.softmax(prediction.cls_logits[0], axis=-1)[..., 1].reshape(-1)
    scores = jnp.where(jnp.isfinite(boxes).all(axis=-1), scores, 0.0)
    corners = cxcywh_to_xyxy(boxes)
    taken = jnp.concatenate([after.center, after.size])
    found, picks = [], []
    for _ in range(rules.count):
        scores = jnp.where(
            iou_xyxy(corners, cxcywh_to_xyxy(taken)) > rules.max_iou, 0.0, scores
        )
        best = jnp.argmax(scores)
        found.append(scores[best] >= rules.min_score)
        picks.append(boxes[best])
        taken = boxes[best]
    picks = jnp.where(jnp.stack(found)[:, None], jnp.stack(picks), 1.0)
    return jnp.stack(found), picks[:, :2], picks[:, 2:]
