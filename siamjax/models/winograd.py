"""3x3 convolution with 16 products where the definition takes 36.

Four outputs, two by two, are a linear map of 4 x 4 inputs times a transformed kernel. (Lavin
and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016: F(2 x 2, 3 x 3)) With
a dilation of d the map is d x d interleaved ones, each convolved so.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array


def winograd_conv(x: Array, kernel: Array, *, padding: int, dilation: int) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[3, 3, i, o]` at a stride of 1.

    `padding` zeros on every side. As exact as the definition in float32, and not in less.
    """
    b, h, w, i = x.shape
    height, width = (side + 2 * padding - 2 * dilation for side in (h, w))
    # Tiles of two outputs on a side, each `dilation` times; a last tile may reach beyond.
    rows, columns = (-(-side // (2 * dilation)) for side in (height, width))
    below, beyond = (
        2 * dilation * (tiles + 1) - side - padding for tiles, side in ((rows, h), (columns, w))
    )
    x = jnp.pad(x, ((0, 0), (padding, below), (padding, beyond), (0, 0)))

    # The four inputs of a tile are two of its own and the next one's two.
    x = x.reshape(b, rows + 1, 2, dilation, -1, i)
    lines = _inputs([x[:, q // 2 : q // 2 + rows, q % 2] for q in range(4)])
    lines = [line.reshape(b, rows, dilation, columns + 1, 2, dilation, i) for line in lines]
    products = []
    for line, taps in zip(lines, _kernel(kernel), strict=True):
        tiles = _inputs([line[:, :, :, q // 2 : q // 2 + columns, q % 2] for q in range(4)])
        pairs = zip(tiles, _kernel(taps), strict=True)
        products.append(_outputs([tile @ tap for tile, tap in pairs]))
    # [b, rows, dilation, columns, dilation, o] for each of two rows and columns of a tile
    left, right = (_outputs([line[s] for line in products]) for s in range(2))
    y = jnp.stack([jnp.stack([left[r], right[r]], axis=4) for r in range(2)], axis=2)
    y = y.reshape(b, 2 * dilation * rows, 2 * dilation * columns, -1)
    return y[:, :height, :width]


def _inputs(x: Sequence[Array]) -> tuple[Array, ...]:
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]


def _kernel(taps: Array) -> tuple[Array, ...]:
    """Along the first axis, of three taps."""
    outer, inner = (taps[0] + taps[2]) * 0.5, taps[1] * 0.5
    return taps[0], outer + inner, outer - inner, taps[2]


def _outputs(products: Sequence[Array]) -> tuple[Array, ...]:
    return (
        products[0] + products[1] + products[2],
        products[1] - products[2] - products[3],
    )
