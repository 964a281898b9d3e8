"""From score maps to one box: penalty, window, choice, smoothing. Pure functions of arrays.

Reference: PySOT's SiamRPN tracker; Li et al., SiamRPN (CVPR 2018), section 4.3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.geometry.anchors import decode
from siamjax.geometry.crops import context_side

MIN_SIZE = 10.0  # pixels: a target never shrinks below this


class Hyperparameters(NamedTuple):
    """The weights of `TrackerConfig`, which change no shape and may be traced: `[]` each."""

    penalty_k: Array | float
    window_influence: Array | float
    size_lr: Array | float


class Selection(NamedTuple):
    """The chosen box, float32, pixels of the frame, and what its anchor scored."""

    center: Array  # [2] x, y
    size: Array  # [2] width, height
    score: Array  # []
    cell: Array  # [2] int32 row and column in the score map


def cosine_window(score_size: int) -> np.ndarray:
    """Outer product of two symmetric Hann windows, zero at the ends: `[h, w]` float32."""
    line = np.hanning(score_size)
    return np.outer(line, line).astype(np.float32)


def size_penalty(box_size: Array, target_size: Array, penalty_k: Array | float) -> Array:
    """The penalty for a change of scale and aspect: `[...]` in (0, 1], 1 for no change.

    `box_size` `[..., 2]` and `target_size` `[2]` are (width, height) in the same pixels.
    exp(-penalty_k (r s - 1)), r the larger of the change of aspect and its inverse, s the
    same of the side of the box with its context. (SiamRPN, equation 13)
    """
    width, height = box_size[..., 0], box_size[..., 1]
    scale = _change(context_side(width, height) / context_side(*target_size))
    aspect = _change((target_size[0] / target_size[1]) / (width / height))
    return jnp.exp(-penalty_k * (aspect * scale - 1.0))


def _change(ratio: Array) -> Array:
    return jnp.maximum(ratio, 1.0 / ratio)


def select(
    cls_logits: Array,
    loc: Array,
    center: Array,
    size: Array,
    scale: Array,
    *,
    anchors: np.ndarray,
    hyper: Hyperparameters,
    rivals: Array | None = None,
    correction: Array | None = None,
) -> Selection:
    """Chooses an anchor and moves the target there, which may lie outside of the frame.

    `cls_logits` `[h, w, a, 2]`, `loc` `[h, w, a, 4]` and `anchors` `[h, w, a, 4]` (cxcywh,
    pixels of the crop, relative to its centre) describe the crop; `center` `[2]` and `size`
    `[2]` are pixels of the frame, `scale` is the crop's pixels for one of the frame's. The
    position jumps, the size follows by `size_lr` times the anchor's penalised score.
    `rivals` `[h, w, a]`, in [0, 1], is subtracted from the scores; `correction` `[4]` is that
    of `correction_of`.
    """
    # Anchor by anchor, as the reference goes through them: of equals, the first wins.
    scores = _anchor_major(jax.nn.softmax(cls_logits, axis=-1)[..., 1])
    boxes = _anchor_major(decode(loc, jnp.asarray(anchors)))
    if correction is not None:
        moved = boxes[:, :2] + correction[:2] * boxes[:, 2:]
        boxes = jnp.concatenate([moved, boxes[:, 2:] * jnp.exp(correction[2:])], axis=1)
    window = jnp.tile(jnp.asarray(cosine_window(loc.shape[0])).ravel(), loc.shape[2])

    penalties = size_penalty(boxes[:, 2:], size * scale, hyper.penalty_k)
    similar = scores if rivals is None else scores - _anchor_major(rivals)
    share = hyper.window_influence
    ranked = penalties * similar * (1.0 - share) + window * share
    # A box that overflowed must not win, and argmax takes NaN for the largest number.
    moves = boxes / scale
    usable = jnp.isfinite(ranked) & jnp.isfinite(moves).all(axis=-1)
    best = jnp.argmax(jnp.where(usable, ranked, -jnp.inf))
    move, score = moves[best], scores[best]

    rate = penalties[best] * score * hyper.size_lr
    # Where no box is finite (an untrained network overflows), the target stays.
    rows, columns = loc.shape[:2]
    cell = jnp.stack(jnp.divmod(best % (rows * columns), columns))
    return Selection(
        jnp.where(usable[best], center + move[:2], center),
        jnp.where(usable[best], size * (1.0 - rate) + move[2:] * rate, size),
        score,
        cell,
    )


def correction_of(
    cls_logits: Array, loc: Array, size: Array, scale: Array, *, anchors: np.ndarray
) -> Array:
    """The correction that maps the predicted box of the first frame to the given one, `[4]`.

    The arrays are those of `select`, for a search image with the target of `size` at its
    centre. A network may see another extent than the given box, such as a whole animal
    instead of its body, and then does so in later frames, too. Centre offsets are fractions
    of the sides, sides are log ratios; all are clipped to [-0.5, 0.5].
    """
    scores = _anchor_major(jax.nn.softmax(cls_logits, axis=-1)[..., 1])
    boxes = _anchor_major(decode(loc, jnp.asarray(anchors)))
    window = jnp.tile(jnp.asarray(cosine_window(loc.shape[0])).ravel(), loc.shape[2])
    ranked = jnp.where(jnp.isfinite(boxes).all(axis=-1), scores * window, -jnp.inf)
    box = boxes[jnp.argmax(ranked)]
    off = jnp.concatenate([-box[:2] / box[2:], jnp.log(size * scale / box[2:])])
    return jnp.clip(jnp.nan_to_num(off), -0.5, 0.5)


def hold(center: Array, size: Array, frame_size: Array) -> tuple[Array, Array]:
    """Clips the centre `[2]` to the frame, sides `[2]` to `MIN_SIZE` and the frame's."""
    size = jnp.maximum(jnp.minimum(size, frame_size), MIN_SIZE)
    return jnp.clip(center, 0.0, frame_size), size


def _anchor_major(x: Array) -> Array:
    """`[h, w, a, ...]` to `[a * h * w, ...]`."""
    return jnp.moveaxis(x, 2, 0).reshape(-1, *x.shape[3:])
