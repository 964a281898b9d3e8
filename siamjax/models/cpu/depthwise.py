"""Channel by channel convolution as a sum of shifted products, and its gradient as another.

JAX would derive the gradient of each shifted product by itself: a map padded back for every
tap, and for the kernel a copy of the map for every tap before it is summed. Here the output's
gradient is padded once, and the kernel's is summed row by row, which CPUs do faster.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def shifted_products(
    x: Array, kernel: Array, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """`x` `[b, h, w, c]` with `kernel` `[1 or b, kh, kw, c]`, to `[b, h', w', c]`."""
    size = tuple(
        (side + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
        for side, taps in zip(x.shape[1:3], kernel.shape[1:3], strict=True)
    )
    return _sum_of_products(_pad(x, padding, padding), kernel, size, stride, dilation)


def _sum_of_products(x: Array, kernel: Array, size, stride: int, dilation: int) -> Array:
    """The padded map, shifted to every tap, times that tap.

    Spelled in `lax`: `jnp` takes several times as long to trace, and this is most of a network.
    """
    shape = (x.shape[0], *size, x.shape[3])
    products = []
    for i in range(kernel.shape[1]):
        for j in range(kernel.shape[2]):
            tap = lax.slice(
                kernel, (0, i, j, 0), (kernel.shape[0], i + 1, j + 1, kernel.shape[3])
            )
            tap = lax.broadcast_in_dim(lax.squeeze(tap, (1, 2)), shape, (0, 3))
            shifted = _shifted(x, i * dilation, j * dilation, size, stride)
            products.append(lax.mul(shifted, tap))
    return functools.reduce(lax.add, products)


def _forward(x, kernel, stride, padding, dilation):
    return shifted_products(x, kernel, stride, padding, dilation), (x, kernel)


def _backward(stride, padding, dilation, saved, gradient):
    x, kernel = saved
    taps = kernel.shape[1:3]
    return (
        _of_input(gradient, kernel, x.shape[1:3], stride, padding, dilation).astype(x.dtype),
        _of_kernel(gradient, _pad(x, padding, padding), kernel, taps, stride, dilation),
    )


def _of_input(gradient, kernel, size, stride, padding, dilation):
    """The output's gradient, spread by the stride, with the kernel turned by half a turn."""
    edges = [(0, 0, 0)]
    for side, out, taps in zip(size, gradient.shape[1:3], kernel.shape[1:3], strict=True):
        reach = dilation * (taps - 1)
        before = reach - padding
        after = side + reach - before - ((out - 1) * stride + 1)
        edges.append((before, after, stride - 1))
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [*edges, (0, 0, 0)])
    turned = kernel[:, ::-1, ::-1]
    return _sum_of_products(spread, turned, size, 1, dilation)


def _of_kernel(gradient, x, kernel, taps, stride, dilation):
    """Row by row of the output, so that what is multiplied and added stays in the cache.

    Columns are summed after the last row: a sum within the loop would be a call of its own
    for every row and tap, which takes several times as long as the products.
    """
    samples, height, width, channels = gradient.shape

    def add_row(sample, y, totals):
        row = lax.dynamic_slice(gradient, (sample, y, 0, 0), (1, 1, width, channels))
        sums = []
        for i in range(taps[0]):
            start = (sample, y * stride + i * dilation, 0, 0)
            line = lax.dynamic_slice(x, start, (1, 1, x.shape[2], channels))
            for j in range(taps[1]):
                shifted = _shifted(line, 0, j * dilation, (1, width), stride)
                total = totals[i * taps[1] + j]
                sums.append(total + (shifted * row).astype(jnp.float32)[0, 0])
        return sums

    def sum_of(first, rows):
        def add(i, totals):
            return add_row(first + i // height, i % height, totals)

        zeros = [jnp.zeros((width, channels), jnp.float32)] * (taps[0] * taps[1])
        return jnp.stack([total.sum(0) for total in lax.fori_loop(0, rows, add, zeros)])

    if kernel.shape[0] == 1:
        total = sum_of(0, samples * height)
    else:
        total = lax.map(lambda sample: sum_of(sample, height), jnp.arange(samples))
    return total.reshape(kernel.shape).astype(kernel.dtype)


def _pad(x: Array, before: int, after: int) -> Array:
    return jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))


def _shifted(x: Array, top: int, left: int, size, stride: int) -> Array:
    bottom = top + (size[0] - 1) * stride + 1
    right = left + (size[1] - 1) * stride + 1
    start, limit = (0, top, left, 0), (x.shape[0], bottom, right, x.shape[3])
    return lax.slice(x, start, limit, (1, stride, stride, 1))


shifted_products.defvjp(_forward, _backward)
