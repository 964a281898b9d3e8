"""The square sub-window that the network sees, cut from a frame inside jit.

Centre, side and the frame's size are traced, so one compilation serves every target and
every frame of a bucket. The time does not depend on the frame's size: only the pixels that
the crop needs are gathered.
"""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from siamjax.geometry.crops import window_origin

# Whose rounding places a window's first pixel; they differ by at most one pixel.
Corner = Literal["pysot", "dasiamrpn", "siamfc"]


def mean_color(frame: Array, frame_size: Array) -> Array:
    """Mean of each channel, truncated to whole grey levels: `[3]` float32.

    `frame` `[H, W, 3]` uint8, of which the top-left `frame_size` `[2]` (width, height) is the
    image. Exact for frames up to four gigapixels. Reference: PySOT's channel average, which
    its sub-window casts to uint8 when it pads.
    """
    # A float32 sum of a large frame would be off by more than a grey level, and a uint32 one
    # overflows above 16 megapixels; whole quotients and remainders of the rows do neither.
    width, height = frame_size.astype(jnp.uint32)
    inside_x = jnp.arange(frame.shape[1], dtype=jnp.uint32) < width
    inside_y = jnp.arange(frame.shape[0], dtype=jnp.uint32) < height
    inside = inside_y[:, None, None] & inside_x[None, :, None]
    rows = jnp.where(inside, frame, jnp.uint8(0)).astype(jnp.uint32).sum(axis=1)
    carried = (rows % width).sum(axis=0) // width
    return (((rows // width).sum(axis=0) + carried) // height).astype(jnp.float32)


def subwindow(
    frame: Array,
    frame_size: Array,
    center: Array,
    side: Array,
    pad_color: Array,
    size: int,
    corner: Corner = "pysot",
) -> Array:
    """The square of `side` pixels around `center`, resized: `[size, size, 3]` float32.

    `frame` `[H, W, 3]` uint8, of which the top-left `frame_size` `[2]` (width, height) is the
    image; everything else has `pad_color` `[3]`. `center` `[2]` (x, y) and `side` are pixels
    of the frame, float32; `side` is rounded half to even, and is at least 1. Bilinear with
    pixel centres at half coordinates, clamped at the sub-window's edge, rounded to grey levels:
    the numbers that OpenCV gives for uint8, to one grey level. Reference: the sub-windows of
    PySOT, DaSiamRPN and siamfc-pytorch, which round the first pixel differently.
    """
    side = jnp.maximum(jnp.round(side), 1.0)
    origin = _origin(center, side, corner)
    x_low, x_high, x_weights = _taps(origin[0], side, frame_size[0], size)
    y_low, y_high, y_weights = _taps(origin[1], side, frame_size[1], size)

    rows = _blend(frame[y_low], frame[y_high], y_weights[:, :, None, None])
    crop = _blend(rows[:, x_low], rows[:, x_high], x_weights[:, None, :, None])
    # Taps outside the frame have no weight yet: what is missing is padding.
    covered = y_weights.sum(axis=0)[:, None, None] * x_weights.sum(axis=0)[None, :, None]
    return jnp.round(crop + pad_color * (1.0 - covered))


def _origin(center: Array, side: Array, corner: Corner) -> Array:
    if corner == "pysot":
        return window_origin(center, side, jnp.floor)
    # Both round half to even, as NumPy and Python do.
    return jnp.round(center - (side + (1 if corner == "dasiamrpn" else -1)) / 2)


def _blend(low: Array, high: Array, weights: Array) -> Array:
    return low.astype(jnp.float32) * weights[0] + high.astype(jnp.float32) * weights[1]


def _taps(origin: Array, side: Array, extent: Array, size: int) -> tuple[Array, Array, Array]:
    """The two frame pixels that each of `size` outputs blends along one axis.

    Returns their indices, `[size]` int32 each and always inside the frame, and their weights
    `[2, size]`, 0 for a tap outside of it.
    """
    output = jnp.arange(size, dtype=jnp.float32)
    position = jnp.clip((output + 0.5) * (side / size) - 0.5, 0.0, side - 1.0)
    low = jnp.floor(position)
    fraction = position - low
    taps = origin + jnp.stack([low, jnp.minimum(low + 1.0, side - 1.0)])
    weights = jnp.stack([1.0 - fraction, fraction])
    weights = jnp.where((taps >= 0) & (taps < extent), weights, 0.0)
    low, high = jnp.clip(taps, 0.0, extent - 1.0).astype(jnp.int32)
    return low, high, weights
