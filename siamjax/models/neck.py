"""The neck: every level to the head's width, and the centre of the template."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.models.layers import ConvNorm


class Neck(nn.Module):
    """A 1x1 convolution and batch norm on each level, no activation.

    Reference: PySOT's AdjustAllLayer. The template's centre crop, which PySOT applies to
    every map narrower than 20 cells, belongs to the template alone here, see `siamese.py`.

    Attributes:
        levels: their names.
        channels: output channels of each.
        folded, dtype: see `conv_norm`.
    """

    levels: tuple[str, ...]
    channels: tuple[int, ...]
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, features: dict[str, Array], train: bool) -> dict[str, Array]:
        """`[b, h, w, i]` to `[b, h, w, channels]`, level by level."""
        return {
            level: ConvNorm(channels, 1, self.folded, self.dtype, name=level)(
                features[level], train
            )
            for level, channels in zip(self.levels, self.channels, strict=True)
        }
