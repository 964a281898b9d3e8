"""Two-dimensional convolution, and the forms of it that CPUs run fastest."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from siamjax.models.depthwise import shifted_products
from siamjax.models.winograd import winograd_conv

# Input times output channels from which one matrix product for each tap beats XLA's
# convolution on CPU.
_WIDE = 1024 * 2048
# Input times output channels, and output cells of the batch, from which fewer products of a
# 3x3 convolution are worth the additions that they cost, and a second of compilation (see
# `winograd.py`). Half as many channels still gain, but too little for that second.
_MANY_CHANNELS = 512 * 512
_MANY_CELLS = 512
# Narrower maps lose more by the additional column than they win (see `_conv2d_on_cpu`).
_NARROW = 8


def conv2d(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[kh, kw, i / groups, o]`.

    `padding` zeros on every side; the number of groups follows from the shapes. On GPU and
    TPU it is XLA's convolution, until others are measured there. Raises ValueError when the
    kernel does not fit into the padded map.
    """
    for name, side, taps in zip(("height", "width"), x.shape[1:3], kernel.shape, strict=False):
        if side + 2 * padding < dilation * (taps - 1) + 1:
            raise ValueError(
                f"a feature map of `{name}` (={side}) is too small for a kernel of {taps} "
                f"taps with dilation {dilation} and padding {padding}; use a larger image"
            )
    if jax.default_backend() == "cpu":
        return _conv2d_on_cpu(x, kernel, stride, padding, dilation)
    return _xla(x, kernel, stride, padding, padding, dilation)


def _xla(
    x: Array, kernel: Array, stride: int, padding: int, right: int, dilation: int
) -> Array:
    """XLA's convolution; `right` is the padding of that side."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding), (padding, right)],
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )


def _conv2d_on_cpu(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    """The fastest form for the shapes, each measured on two cores (benchmarks/forward.py)."""
    taps_y, taps_x, group_inputs, outputs = kernel.shape
    inputs = x.shape[-1]
    if (taps_y, taps_x, group_inputs, stride, padding) == (1, 1, inputs, 1, 0):
        flat = x.reshape(-1, inputs) @ kernel[0, 0]
        return flat.reshape(*x.shape[:3], outputs)
    if group_inputs == 1 and outputs == inputs:
        return shifted_products(x, kernel[None, :, :, 0], stride, padding, dilation)
    if group_inputs < inputs:
        groups = inputs // group_inputs
        parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
        maps = [_conv2d_on_cpu(*part, stride, padding, dilation) for part in parts]
        return jnp.concatenate(maps, -1)
    width = (x.shape[2] + 2 * padding - dilation * (taps_x - 1) - 1) // stride + 1
    if (taps_y, taps_x, stride) == (3, 3, 1) and x.dtype == jnp.float32:
        height = x.shape[1] + 2 * padding - 2 * dilation
        cells = x.shape[0] * height * width
        if inputs * outputs >= _MANY_CHANNELS and cells >= _MANY_CELLS:
            return winograd_conv(x, kernel, padding=padding, dilation=dilation)
    if inputs * outputs >= _WIDE:
        return _sum_over_taps(x, kernel, stride, padding, dilation, jnp.matmul)
    if padding > 0 or width < _NARROW:
        return _xla(x, kernel, stride, padding, padding, dilation)
    # Without any padding XLA's convolution takes a path that is up to five times slower, so
    # it gets one column of zeros, and what that adds to the output is cut off.
    return _xla(x, kernel, stride, 0, 1, dilation)[:, :, :width]


def _sum_over_taps(
    x: Array,
    kernel: Array,
    stride: int,
    padding: int,
    dilation: int,
    product: Callable[[Array, Array], Array],
) -> Array:
    """The sum of `product(shifted map, kernel at that tap)` over the kernel's taps."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    taps_y, taps_x = kernel.shape[:2]
    height = (x.shape[1] - dilation * (taps_y - 1) - 1) // stride + 1
    width = (x.shape[2] - dilation * (taps_x - 1) - 1) // stride + 1

    def shifted(i: int, j: int) -> Array:
        top, left = i * dilation, j * dilation
        bottom, right = top + (height - 1) * stride + 1, left + (width - 1) * stride + 1
        return x[:, top:bottom:stride, left:right:stride]

    return sum(
        product(shifted(i, j), kernel[i, j]) for i in range(taps_y) for j in range(taps_x)
    )
