"""MobileNetV2 as trackers use it: dilated, to keep a stride of 8.

Against the ImageNet network: no padding in strided convolutions, an expanding convolution
in the first group too, and no last 1x1 convolution. (SiamRPN++, section 4.5; reference:
PySOT's MobileNetV2)
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.models.layers import center_crop, conv_norm

# expansion, channels, blocks, stride and dilation of layer1 to layer7 when dilated, and the
# stride when not
GROUPS = (
    (1, 16, 1, 1, 1, 1),
    (6, 24, 2, 2, 1, 2),
    (6, 32, 3, 2, 1, 2),
    (6, 64, 4, 1, 2, 2),
    (6, 96, 3, 1, 2, 1),
    (6, 160, 3, 1, 4, 2),
    (6, 320, 1, 1, 4, 1),
)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise 3x3, 1x1 to fewer, beside an identity where it fits.

    Attributes:
        features: output channels.
        expansion: how many times more channels there are inside.
        stride, dilation: of the depthwise convolution.
        cropped: drop every output that padding would have touched, and the same cells of
            the identity, instead of padding with zeros.
        folded, dtype: see `conv_norm`.
    """

    features: int
    expansion: int
    stride: int = 1
    dilation: int = 1
    cropped: bool = False
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', features]`."""
        layer = partial(conv_norm, train=train, folded=self.folded, dtype=self.dtype)
        hidden = x.shape[-1] * self.expansion
        padded = self.stride == 1 and not self.cropped
        y = nn.relu6(layer(x, hidden, 1, names=("expand", "expand_bn")))
        y = layer(
            y,
            hidden,
            3,
            names=("depthwise", "depthwise_bn"),
            groups=hidden,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.dilation if padded else 0,
        )
        y = layer(nn.relu6(y), self.features, 1, names=("project", "project_bn"))
        if self.stride > 1 or x.shape[-1] != self.features:
            return y
        return y + center_crop(x, *y.shape[1:3])


class Group(nn.Module):
    """Blocks `block0`, `block1`, ...; stride and first dilation belong to the first one."""

    blocks: int
    block: partial
    stride: int
    dilation: int
    first_dilation: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', o]`."""
        for i in range(self.blocks):
            x = self.block(
                stride=1 if i else self.stride,
                dilation=self.dilation if i else self.first_dilation,
                name=f"block{i}",
            )(x, train)
        return x


class Stem(nn.Module):
    """A strided 3x3 convolution without padding.

    Attributes:
        features: output channels.
        folded, dtype: see `conv_norm`.
    """

    features: int
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, 3]` to `[b, h', w', features]`."""
        x = conv_norm(
            x,
            self.features,
            3,
            stride=2,
            train=train,
            folded=self.folded,
            dtype=self.dtype,
        )
        return nn.relu6(x)


class MobileNetV2(nn.Module):
    """The stages `layer0` (the stem) to `layer7`.

    Attributes:
        width: multiplies every channel count but the image's.
        last_stage: the deepest stage to build.
        dilated: stride 8 from layer3 on, with dilations 2 and 4; otherwise strides 8, 16 and
            32 in layer3, 4 and 6. Strided convolutions are unpadded in both.
        cropped: no output that padding has touched.
        folded, dtype: see `conv_norm`.
    """

    width: float = 1.0
    last_stage: str = "layer7"
    dilated: bool = True
    cropped: bool = False
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """`[b, h, w, 3]` to the stages' features `[b, h', w', c]`, shallow ones first."""
        shared: dict = {"folded": self.folded, "dtype": self.dtype}
        x = Stem(int(32 * self.width), **shared, name="layer0")(
            x, train and "layer0" not in frozen
        )
        stages, previous = {"layer0": x}, 1
        for i, (expansion, features, blocks, stride, dilation, full) in enumerate(GROUPS, 1):
            if self.last_stage in stages:
                break
            if not self.dilated:
                stride, dilation = full, 1
            block = partial(
                InvertedResidual,
                int(features * self.width),
                expansion,
                cropped=self.cropped,
                **shared,
            )
            # A group that starts to dilate does so by half in its first block.
            first = dilation if dilation == previous else max(dilation // 2, 1)
            name = f"layer{i}"
            group = Group(blocks, block, stride, dilation, first, name=name)
            stages[name] = x = group(x, train and name not in frozen)
            previous = dilation
        return stages
