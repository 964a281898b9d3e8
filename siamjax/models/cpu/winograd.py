"""Convolution at a stride of 1, and the gradient of its kernel, with fewer products.

Outputs of a tile are a linear map of the products of its transformed inputs with the
transformed kernel: along each axis `outputs + taps - 1` products instead of `outputs * taps`.
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the maps are
those of Cook and Toom) With a dilation of d the map is d x d interleaved ones, each convolved
so. Larger tiles need fewer products and round more.

Lines of tiles are stacked and columns are not: half of the compile time of a sum for each, and
a tenth of the time of the convolution.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

# Where the polynomials of inputs and kernel are evaluated, besides at infinity; the first few.
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)


class _Maps(NamedTuple):
    """Linear maps along one axis, `y = outputs @ ((inputs @ x) * (kernel @ k))`."""

    inputs: np.ndarray  # [n, n], where n = outputs + taps - 1
    kernel: np.ndarray  # [n, taps]
    outputs: np.ndarray  # [outputs, n]


def winograd_conv(
    x: Array, kernel: Array, *, padding: int, dilation: int, outputs: int = 2
) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[k, k, i, o]` at a stride of 1.

    `padding` zeros on every side; tiles of `outputs` on a side.
    """
    taps = kernel.shape[0]
    maps = _maps(outputs, taps)
    height, width = (side + 2 * padding - dilation * (taps - 1) for side in x.shape[1:3])
    tiles = _input_tiles(x, padding, dilation, maps)
    lines = jnp.stack(_mapped(maps.kernel, kernel))
    columns = _mapped(maps.kernel, [lines[:, tap] for tap in range(taps)])
    products = [
        jnp.einsum("u...i,uio->u...o", tile, column)
        for tile, column in zip(tiles, columns, strict=True)
    ]
    # [b, rows, dilation, columns, dilation, o] for each row of each column of a tile
    parts = [_mapped(maps.outputs, line) for line in _mapped(maps.outputs, products)]
    y = jnp.stack([jnp.stack(rows, axis=2) for rows in parts], axis=5)
    b, rows, _, _, columns, _, _, o = y.shape
    y = y.reshape(b, outputs * dilation * rows, outputs * dilation * columns, o)
    return y[:, :height, :width]


def winograd_kernel_gradient(
    x: Array, gradient: Array, *, taps: int, padding: int, dilation: int, outputs: int = 2
) -> Array:
    """Gradient `[k, k, i, o]` of the kernel, given that of the output, `[b, h', w', o]`."""
    maps = _maps(outputs, taps)
    tiles = _input_tiles(x, padding, dilation, maps)
    _, b, rows, _, columns, _, _ = tiles[0].shape
    below, beyond = (
        outputs * dilation * count - side
        for count, side in zip((rows, columns), gradient.shape[1:3], strict=True)
    )
    gradient = jnp.pad(gradient, ((0, 0), (0, below), (0, beyond), (0, 0)))
    gradient = gradient.reshape(b, rows, outputs, dilation, columns, outputs, dilation, -1)
    lines = jnp.stack(_mapped(maps.outputs.T, [gradient[:, :, r] for r in range(outputs)]))
    of_tiles = _mapped(maps.outputs.T, [lines[:, :, :, :, :, s] for s in range(outputs)])
    products = [
        jnp.einsum("umi,umo->uio", _flat(tile), _flat(of_tile))
        for tile, of_tile in zip(tiles, of_tiles, strict=True)
    ]
    columns = _mapped(maps.kernel.T, products)
    return jnp.stack([jnp.stack(_mapped(maps.kernel.T, column)) for column in columns], axis=1)


@functools.cache
def _maps(outputs: int, taps: int) -> _Maps:
    points = _POINTS[: outputs + taps - 2]
    n = len(points) + 1
    others = [[b for b in points if b != a] for a in points]
    inputs = np.zeros((n, n))
    for row, roots in enumerate([*others, points]):
        coefficients = np.poly(roots)[::-1]  # of the polynomial that is zero at the others
        inputs[row, : len(coefficients)] = coefficients
    at_points = np.vander(points, n, increasing=True)
    scales = [np.prod([a - b for b in rest]) for a, rest in zip(points, others, strict=True)]
    kernel, result = np.zeros((n, taps)), np.zeros((n, outputs))
    kernel[:-1] = at_points[:, :taps] / np.array(scales)[:, None]
    result[:-1] = at_points[:, :outputs]
    kernel[-1, -1] = result[-1, -1] = 1.0
    return _Maps(inputs, kernel, result.T)


def _mapped(matrix: np.ndarray, parts: Sequence[Array] | Array) -> list[Array]:
    """The matrix times a vector of arrays."""
    return [  # ty: ignore[invalid-explicit-return] every row has a factor: no sum is 0
        sum(
            (part if factor == 1.0 else factor * part)
            for factor, part in zip(row.tolist(), parts, strict=True)
            if factor
        )
        for row in matrix
    ]


def _input_tiles(x: Array, padding: int, dilation: int, maps: _Maps) -> list[Array]:
    """Transformed inputs by column of a tile: `[n, b, rows, d, columns, d, i]` each, n lines.

    Tiles reach beyond the map where it is no multiple of theirs.
    """
    outputs, n = maps.outputs.shape
    b, h, w, i = x.shape
    valid = (side + 2 * padding - dilation * (n - outputs) for side in (h, w))
    rows, columns = (-(-side // (outputs * dilation)) for side in valid)
    # The inputs of a tile are its own and the first of the next ones.
    ahead = -(-(n - outputs) // outputs)
    below, beyond = (
        outputs * dilation * (tiles + ahead) - side - padding
        for tiles, side in ((rows, h), (columns, w))
    )
    x = jnp.pad(x, ((0, 0), (padding, below), (padding, beyond), (0, 0)))
    x = x.reshape(b, rows + ahead, outputs, dilation, -1, i)
    places = [divmod(q, outputs) for q in range(n)]
    lines = jnp.stack(_mapped(maps.inputs, [x[:, tile : tile + rows, q] for tile, q in places]))
    lines = lines.reshape(n, b, rows, dilation, columns + ahead, outputs, dilation, i)
    parts = [lines[:, :, :, :, tile : tile + columns, q] for tile, q in places]
    return _mapped(maps.inputs, parts)


def _flat(tiles: Array) -> Array:
    return tiles.reshape(tiles.shape[0], -1, tiles.shape[-1])
