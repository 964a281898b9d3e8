"""The forms of two-dimensional convolution that CPUs run fastest.

XLA's gradient of a kernel takes CPUs two to three times as long as the convolution itself, so
there it is written out as matrix products (benchmarks/convolution.py --gradient).
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.models.cpu.depthwise import shifted_products
from siamjax.models.cpu.winograd import winograd_conv, winograd_kernel_gradient
from siamjax.models.plain import convolve

# Input times output channels from which one matrix product for each tap beats XLA's
# convolution on CPU.
_WIDE = 1024 * 2048
# Input times output channels, by the kernel's taps on a side, and output cells of the batch,
# from which fewer products are worth the additions and the compilation that they cost
# (`winograd.py`), in the convolution and in its kernel's gradient.
_MANY_CHANNELS = {3: 256 * 256, 5: 192 * 512}
_MANY_CELLS = 512
# Output cells from which a kernel's gradient is faster in tiles of 4 x 4; the convolution
# itself is not, and rounds more in them.
_LARGE_TILES = 2048
# Narrower maps lose more by the additional column than they win (see `_dense_on_cpu`).
_NARROW = 8
# Input times output channels from which matrix products beat XLA's gradient of the kernel; with
# fewer input channels than the second, the taps of a row share one product.
_PRODUCTS = 64 * 64
_FEW_INPUTS = 128


def conv2d_on_cpu(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    """The fastest form for the groups, each measured on two cores (benchmarks/forward.py)."""
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
        maps = [conv2d_on_cpu(*part, stride, padding, dilation) for part in parts]
        return jnp.concatenate(maps, -1)
    return _dense_on_cpu(x, kernel, stride, padding, dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _dense_on_cpu(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    """One group, in the fastest form for the shapes; its gradient is written out below."""
    height, width = (
        (side + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
        for side, taps in zip(x.shape[1:3], kernel.shape, strict=False)
    )
    output_shape = (x.shape[0], height, width, kernel.shape[3])
    if _fewer_products(x, kernel.shape[:2], stride, output_shape):
        return winograd_conv(x, kernel, padding=padding, dilation=dilation)
    if kernel.shape[2] * kernel.shape[3] >= _WIDE:
        return _sum_over_taps(x, kernel, stride, padding, dilation)
    if padding > 0 or width < _NARROW:
        return convolve(x, kernel, stride, padding, dilation)
    # Without any padding XLA's convolution takes a path that is up to five times slower, so
    # it gets one column of zeros, and what that adds to the output is cut off.
    return convolve(x, kernel, stride, 0, dilation, right=1)[:, :, :width]


def _fewer_products(x, taps, stride, output_shape) -> bool:
    """Whether `winograd.py` is faster; in less than float32 it would round too much."""
    *cells, outputs = output_shape
    return (
        (stride, x.dtype, taps[0]) == (1, jnp.float32, taps[1])
        and x.shape[-1] * outputs >= _MANY_CHANNELS.get(taps[0], math.inf)
        and math.prod(cells) >= _MANY_CELLS
    )


def _dense_forward(x, kernel, stride, padding, dilation):
    y = _dense_on_cpu(x.value, kernel.value, stride, padding, dilation)
    # Nobody asks for the gradient of what enters the first trained layer. A flag would be
    # traced like an array; an empty tuple is part of the structure.
    wanted = () if x.perturbed else None
    return y, (x.value, kernel.value, wanted)


def _dense_backward(stride, padding, dilation, saved, gradient):
    x, kernel, wanted = saved
    of_input = None
    if wanted is not None:
        of_input = _of_input(gradient, x, kernel, stride, padding, dilation)
    return of_input, _of_kernel(gradient, x, kernel.shape[:2], stride, padding, dilation)


_dense_on_cpu.defvjp(_dense_forward, _dense_backward, symbolic_zeros=True)


def _of_input(gradient, x, kernel, stride, padding, dilation):
    """The output's gradient, convolved with the kernel turned by half a turn."""
    reach = {dilation * (taps - 1) - padding for taps in kernel.shape[:2]}
    if stride == 1 and len(reach) == 1 and min(reach) >= 0:
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return _dense_on_cpu(gradient, turned, 1, reach.pop(), dilation)
    (of_input,) = jax.linear_transpose(
        lambda x: convolve(x, kernel, stride, padding, dilation), x
    )(gradient)
    return of_input


def _of_kernel(gradient, x, taps, stride, padding, dilation):
    """Matrix products of the map with the output's gradient, in the fastest form."""
    if _fewer_products(x, taps, stride, gradient.shape):
        outputs = 4 if taps[0] == 3 and math.prod(gradient.shape[:3]) >= _LARGE_TILES else 2
        return winograd_kernel_gradient(
            x, gradient, taps=taps[0], padding=padding, dilation=dilation, outputs=outputs
        )
    if x.shape[-1] * gradient.shape[-1] < _PRODUCTS:
        shape = (*taps, x.shape[-1], gradient.shape[-1])
        (of_kernel,) = jax.linear_transpose(
            lambda k: convolve(x, k, stride, padding, dilation),
            jax.ShapeDtypeStruct(shape, x.dtype),
        )(gradient)
        return of_kernel
    rows = _shifted(x, taps, stride, padding, dilation)
    if x.shape[-1] < _FEW_INPUTS:
        rows = [[jnp.concatenate(row, -1)] for row in rows]
    flat = gradient.reshape(-1, gradient.shape[-1])
    products = [
        jnp.matmul(part.reshape(-1, part.shape[-1]).T, flat, preferred_element_type=jnp.float32)
        for row in rows
        for part in row
    ]
    of_kernel = jnp.concatenate(products)
    return of_kernel.reshape(*taps, x.shape[-1], -1).astype(x.dtype)


def _sum_over_taps(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    """The sum over the kernel's taps of a matrix product with the shifted map."""
    rows = _shifted(x, kernel.shape[:2], stride, padding, dilation)
    return sum(
        part @ tap
        for row, row_of_taps in zip(rows, kernel, strict=True)
        for part, tap in zip(row, row_of_taps, strict=True)
    )


def _shifted(x, taps, stride, padding, dilation) -> list[list[Array]]:
    """What each tap of a kernel sees of `x`, row by row: `[b, h', w', i]` each."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height, width = (
        (side - dilation * (count - 1) - 1) // stride + 1
        for side, count in zip(x.shape[1:3], taps, strict=True)
    )

    def seen(i: int, j: int) -> Array:
        top, left = i * dilation, j * dilation
        bottom, right = top + (height - 1) * stride + 1, left + (width - 1) * stride + 1
        return x[:, top:bottom:stride, left:right:stride]

    return [[seen(i, j) for j in range(taps[1])] for i in range(taps[0])]
