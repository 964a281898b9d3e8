"""From one cell of SiamMask's correlation to a mask with the outlines of the image.

The cell's vector is unfolded into a coarse map of the template's size, which grows in three
steps; each adds the features of a shallower stage of the backbone at that place. (Wang et al.,
CVPR 2019; reference: PySOT's Refine)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from siamjax.models.layers import Conv, uniform_bias, uniform_fan_in

# Whose features a mask is refined with, and cells on a side of each for one cell of the
# score map.
REFINING_STAGES = {"stem": 4, "layer1": 2, "layer2": 1}


class Refine(nn.Module):
    """The mask at one cell of the score map.

    Attributes:
        cells: on a side of the template's layer2.
        margin: of those, how many the template's centre crop takes off on each side.
        dtype: of the computation.
    """

    cells: int
    margin: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, vector: Array, stages: tuple[Array, ...], cell: Array) -> Array:
        """Logits `[b, s, s]` float32, s the template's side in pixels, 8 * cells + 7.

        `vector` `[b, c]` is the correlation at `cell` `[b, 2]` int32, row and column;
        `stages` are the search image's features, in the order of `REFINING_STAGES`.
        """
        steps = tuple(REFINING_STAGES.values())
        widths = [stage.shape[-1] // 16 for stage in stages]
        x = Unfold(widths[-1], self.cells, self.dtype, name="deconv")(vector)
        for i in reversed(range(len(steps))):
            side = _side(self.cells, steps[i])
            patch = patches(stages[i], cell * steps[i], side, self.margin * steps[i])
            near = TwoConvs(patch.shape[-1] // 4, widths[i], self.dtype, name=f"v{i}")(patch)
            far = TwoConvs(widths[i], widths[i], self.dtype, name=f"h{i}")(x)
            grown = _side(self.cells, 2 * steps[i]) if i else 8 * self.cells + 7
            width = widths[i - 1] if i else 1
            name = f"post{len(steps) - 1 - i}"
            x = _conv(width, 9 * widths[i], self.dtype, name)(enlarge(near + far, grown))
        return x[..., 0].astype(jnp.float32)


def _side(cells: int, step: int) -> int:
    """Cells on a side of a stage with `step` cells for one of layer2."""
    return cells if step == 1 else step * cells + 1


def _conv(features: int, fan_in: int, dtype: DTypeLike, name: str) -> Conv:
    return Conv(
        features,
        3,
        padding=1,
        use_bias=True,
        dtype=dtype,
        kernel_init=uniform_fan_in,
        bias_init=uniform_bias(fan_in),
        name=name,
    )


class TwoConvs(nn.Module):
    """Two 3x3 convolutions, each with a ReLU.

    Attributes:
        inner, outer: output channels of the first and of the second.
        dtype: of the computation.
    """

    inner: int
    outer: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[b, h, w, i]` to `[b, h, w, outer]`."""
        x = nn.relu(_conv(self.inner, 9 * x.shape[-1], self.dtype, "conv0")(x))
        return nn.relu(_conv(self.outer, 9 * self.inner, self.dtype, "conv1")(x))


class Unfold(nn.Module):
    """A transposed convolution of a single cell: every vector becomes a map.

    The kernel is `[side, side, features, c]`, as Flax's transposed kernels and, axes turned,
    PyTorch's are.

    Attributes:
        features: output channels.
        side: of the map, and of the kernel.
        dtype: of the computation.
    """

    features: int
    side: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, vector: Array) -> Array:
        """`[b, c]` to `[b, side, side, features]`."""
        shape = (self.side, self.side, self.features, vector.shape[-1])
        kernel = self.param("kernel", uniform_fan_in, shape).astype(self.dtype)
        bias_init = uniform_bias(self.side**2 * self.features)
        bias = self.param("bias", bias_init, (self.features,)).astype(self.dtype)
        return jnp.einsum("bc,hwoc->bhwo", vector.astype(self.dtype), kernel) + bias


def patches(x: Array, start: Array, side: int, margin: int) -> Array:
    """`[b, side, side, c]` of `x` `[b, h, w, c]` with `margin` zeros around it.

    `start` `[b, 2]` int32 is the first row and column of each, counted with the margin.
    """
    border = (margin, margin)
    x = jnp.pad(x, ((0, 0), border, border, (0, 0)))

    def cut(x: Array, start: Array) -> Array:
        first = (*start, jnp.zeros_like(start[0]))
        return lax.dynamic_slice(x, first, (side, side, x.shape[-1]))

    return jax.vmap(cut)(x, start)


def enlarge(x: Array, side: int) -> Array:
    """`[b, h, h, c]` to `[b, side, side, c]`, nearest neighbour, as PyTorch's."""
    nearest = np.arange(side) * x.shape[1] // side
    return x[:, nearest][:, :, nearest]
