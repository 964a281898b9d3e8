"""The losses of SiamRPN, classification and location of anchors, and of SiamFC.

All are computed in float32, whatever the network computes in.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from siamjax.config import LossConfig
from siamjax.data.schema import Batch
from siamjax.errors import InputError
from siamjax.geometry.boxes import cxcywh_to_xyxy, giou_xyxy, iou_xyxy
from siamjax.models.siamese import Prediction

# Bounds the size of a box relative to its anchor: far beyond any positive, and far from
# overflow in float32.
_LARGEST = math.log(16)


class Losses(NamedTuple):
    """Scalars, float32: `total = cls_weight * cls + loc_weight * loc + iou_weight * iou`.

    `loc` is 0 for SiamFC; `iou` is 0 without a weight.
    """

    total: Array
    cls: Array
    loc: Array
    iou: Array


class Counts(NamedTuple):
    """What the losses of a batch are divided by, float32 scalars.

    The losses of micro-batches add up to those of the whole batch when all are divided by the
    counts of the whole.
    """

    positives: Array
    negatives: Array
    pairs: Array


def count(batch: Batch) -> Counts:
    """The counts of a batch; those of two parts of a batch add up."""
    labels = batch.label_cls
    return Counts(
        (labels == 1).sum().astype(jnp.float32),
        (labels == 0).sum().astype(jnp.float32),
        jnp.float32(labels.shape[0]),
    )


def classification_loss(
    cls_logits: Array,
    label_cls: Array,
    counts: Counts | None = None,
    *,
    foreground: Array | None = None,
) -> Array:
    """Cross entropy, half of it from the batch's positives and half from its negatives.

    `cls_logits` `[b, h, w, a, 2]` holds (background, foreground), `label_cls`
    `[b, h, w, a]` holds 1, 0, or -1 for ignored. Positives are pooled over the whole batch
    and averaged, and so are negatives; a kind that the batch lacks adds 0.

    Reference: PySOT's `select_cross_entropy_loss`, except that there a batch with exactly one
    positive counts as having none.

    `foreground` `[b, h, w, a]` in [0, 1] is the target score of positives, by default 1.
    """
    _check_shape("label_cls", label_cls, cls_logits.shape[:-1])
    log_scores = jax.nn.log_softmax(cls_logits.astype(jnp.float32))
    if_negative, if_positive = -log_scores[..., 0], -log_scores[..., 1]
    if foreground is not None:
        if_positive = foreground * if_positive + (1 - foreground) * if_negative
    return _balanced(if_positive, if_negative, label_cls, counts)


def response_loss(response: Array, label_cls: Array, counts: Counts | None = None) -> Array:
    """Logistic loss of a response, half of it from positives and half from negatives.

    `response` `[b, h, w, 1, 1]` is the logit of the target being at a cell, `label_cls`
    `[b, h, w, 1]` holds 1, 0, or -1 for ignored. Each kind is pooled over the whole batch and
    averaged, which for SiamFC's labels is the paper's balanced weight of every cell.
    (Bertinetto et al., section 2.2; reference: siamfc-pytorch's balanced loss)
    """
    _check_shape("label_cls", label_cls, response.shape[:-1])
    logit = response[..., 0].astype(jnp.float32)
    return _balanced(jax.nn.softplus(-logit), jax.nn.softplus(logit), label_cls, counts)


def location_loss(
    loc: Array,
    label_loc: Array,
    label_loc_weight: Array,
    counts: Counts | None = None,
    *,
    smooth: bool = False,
) -> Array:
    """Weighted L1 distance of (dx, dy, dw, dh), summed, over the batch size.

    `loc` and `label_loc` are `[b, h, w, a, 4]`, `label_loc_weight` is `[b, h, w, a]`: the
    data give every positive of a pair 1 / positives, so that each pair weighs the same.

    With `smooth`, a difference d below 1 counts d^2 / 2 and a larger one |d| - 1/2: smooth
    L1, as the paper's text says. Reference: PySOT's `weight_l1_loss`, which is plain L1.
    """
    _check_shape("label_loc", label_loc, loc.shape)
    _check_shape("label_loc_weight", label_loc_weight, loc.shape[:-1])
    difference = loc.astype(jnp.float32) - label_loc
    each = optax.losses.huber_loss(difference) if smooth else jnp.abs(difference)
    pairs = loc.shape[0] if counts is None else counts.pairs
    return jnp.sum(each.sum(-1) * label_loc_weight) / pairs


def boxes_of(loc: Array) -> Array:
    """Boxes `_xyxy` of (dx, dy, dw, dh), `[..., 4]` float32, in units of their anchor.

    x counts anchor widths and y anchor heights, from the anchor's centre. IoU is the same in
    these units as in pixels, so that anchors need not be known. Sizes are clipped to 1/16 to 16
    times the anchor's.
    """
    loc = loc.astype(jnp.float32)
    size = jnp.exp(jnp.clip(loc[..., 2:], -_LARGEST, _LARGEST))
    return cxcywh_to_xyxy(jnp.concatenate([loc[..., :2], size], axis=-1))


def iou_loss(
    loc: Array, label_loc: Array, label_loc_weight: Array, counts: Counts | None = None
) -> Array:
    """1 - GIoU of predicted boxes and targets, weighted and summed as in `location_loss`.

    (Rezatofighi et al., CVPR 2019)
    """
    _check_shape("label_loc", label_loc, loc.shape)
    _check_shape("label_loc_weight", label_loc_weight, loc.shape[:-1])
    each = 1 - giou_xyxy(boxes_of(loc), boxes_of(jnp.asarray(label_loc)))
    pairs = loc.shape[0] if counts is None else counts.pairs
    return jnp.sum(each * label_loc_weight) / pairs


def pair_losses(
    prediction: Prediction, batch: Batch, config: LossConfig, counts: Counts | None = None
) -> Losses:
    """The losses of a batch of pairs and their weighted sum.

    `counts` are those of the whole batch if this is a micro-batch; by default its own.
    """
    if prediction.loc is None:
        cls = response_loss(prediction.cls_logits, batch.label_cls, counts)
        return Losses(config.cls_weight * cls, cls, jnp.zeros_like(cls), jnp.zeros_like(cls))
    foreground = None
    if config.iou_aware:
        boxes, targets = boxes_of(prediction.loc), boxes_of(jnp.asarray(batch.label_loc))
        overlap = jax.lax.stop_gradient(iou_xyxy(boxes, targets))
        foreground = overlap**config.iou_aware
    cls = classification_loss(
        prediction.cls_logits, batch.label_cls, counts, foreground=foreground
    )
    loc = location_loss(
        prediction.loc,
        batch.label_loc,
        batch.label_loc_weight,
        counts,
        smooth=config.loc_distance == "smooth_l1",
    )
    total = config.cls_weight * cls + config.loc_weight * loc
    if not config.iou_weight:
        return Losses(total, cls, loc, jnp.zeros_like(loc))
    iou = iou_loss(prediction.loc, batch.label_loc, batch.label_loc_weight, counts)
    return Losses(total + config.iou_weight * iou, cls, loc, iou)


def _balanced(
    if_positive: Array, if_negative: Array, label_cls: Array, counts: Counts | None
) -> Array:
    is_positive, is_negative = label_cls == 1, label_cls == 0
    positives = is_positive.sum() if counts is None else counts.positives
    negatives = is_negative.sum() if counts is None else counts.negatives
    positive = jnp.sum(if_positive, where=is_positive) / _at_least_one(positives)
    negative = jnp.sum(if_negative, where=is_negative) / _at_least_one(negatives)
    return 0.5 * positive + 0.5 * negative


def _at_least_one(count: Array) -> Array:
    return jnp.maximum(count.astype(jnp.float32), 1)


def _check_shape(name: str, array: Array, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise InputError(
            f"`{name}` has shape {array.shape}, but the network's prediction asks for "
            f"{expected}: the data and the network have different score maps"
        )
