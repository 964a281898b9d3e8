"""ResNet-18, -34 and -50 as trackers use them: dilated, to keep a stride of 8.

Against the ImageNet networks: no padding in the stem and in strided 3x3 convolutions, 3x3
instead of 1x1 shortcuts from layer2 on, and dilation instead of the last two strides.
(SiamRPN++, section 3.3; reference: PySOT's ResNet)
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.models.layers import center_crop, conv_norm
from siamjax.models.operations import max_pool

# blocks of layer1 to layer4, and whether a block is a bottleneck
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1, beside a shortcut.

    Attributes:
        planes: channels inside; a bottleneck outputs four times as many.
        bottleneck: which of the two kinds.
        stride: of the first 3x3 convolution and of the shortcut.
        dilation: of the stage.
        downsample: whether the shortcut is a convolution. If so and the stage is dilated,
            the first 3x3 convolution and the shortcut have half the dilation.
        cropped: drop every output that padding would have touched, and the same cells of
            the shortcut, instead of padding with zeros.
    """

    planes: int
    bottleneck: bool
    stride: int = 1
    dilation: int = 1
    downsample: bool = False
    cropped: bool = False
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', o]`."""
        layer = partial(conv_norm, train=train, folded=self.folded, dtype=self.dtype)
        dilation = self.dilation
        if self.downsample and dilation > 1:
            dilation //= 2
        # A strided convolution is never padded: 2 - stride.
        padding = dilation if self.stride == 1 else 0
        spatial: dict = {
            "stride": self.stride,
            "dilation": dilation,
            "padding": 0 if self.cropped else padding,
        }
        features = self.planes * (4 if self.bottleneck else 1)
        if self.bottleneck:
            y = nn.relu(layer(x, self.planes, 1, names=("conv1", "bn1")))
            y = nn.relu(layer(y, self.planes, 3, names=("conv2", "bn2"), **spatial))
            y = layer(y, features, 1, names=("conv3", "bn3"))
        else:
            y = nn.relu(layer(x, self.planes, 3, names=("conv1", "bn1"), **spatial))
            y = layer(
                y,
                features,
                3,
                names=("conv2", "bn2"),
                dilation=self.dilation,
                padding=0 if self.cropped else self.dilation,
            )
        if self.downsample:
            plain = self.stride == 1 and self.dilation == 1
            x = Shortcut(
                features,
                1 if plain else 3,
                {} if plain else spatial,
                self.folded,
                self.dtype,
                name="downsample",
            )(x, train)
        if self.cropped:
            x = center_crop(x, *y.shape[1:3])
        return nn.relu(x + y)


class Shortcut(nn.Module):
    """A convolution and batch norm that bring the shortcut to the block's shape.

    Attributes:
        features, size: of the convolution.
        spatial: its stride, dilation and padding.
    """

    features: int
    size: int
    spatial: dict
    folded: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', features]`."""
        return conv_norm(
            x,
            self.features,
            self.size,
            train=train,
            folded=self.folded,
            dtype=self.dtype,
            **self.spatial,
        )


class Stage(nn.Module):
    """Blocks `block0`, `block1`, ...; the first one changes stride and channels."""

    blocks: int
    block: partial
    stride: int
    dilation: int
    downsample: bool

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', o]`."""
        for i in range(self.blocks):
            first = i == 0
            x = self.block(
                stride=self.stride if first else 1,
                dilation=self.dilation,
                downsample=self.downsample and first,
                name=f"block{i}",
            )(x, train)
        return x


class ResNet(nn.Module):
    """The stages `stem` (before the pooling) and `layer1` to `layer4`.

    Attributes:
        variant: one of `RESNETS`.
        width: multiplies every channel count but the image's.
        last_stage: the deepest stage to build.
        dilated: strides 8, 8, 8 in layer2 to layer4, with dilations 1, 2, 4; otherwise
            strides 8, 16, 32. Strided convolutions are unpadded in both.
        cropped: no output that padding has touched, in the pooling too.
        folded, dtype: see `conv_norm`.
    """

    variant: str = "resnet50"
    width: float = 1.0
    last_stage: str = "layer4"
    dilated: bool = True
    cropped: bool = False
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """`[b, h, w, 3]` to the stages' features `[b, h', w', c]`, shallow ones first."""
        blocks, bottleneck = RESNETS[self.variant]
        x = conv_norm(
            x,
            int(64 * self.width),
            7,
            stride=2,
            names=("conv1", "bn1"),
            train=train and "stem" not in frozen,
            folded=self.folded,
            dtype=self.dtype,
        )
        stages = {"stem": nn.relu(x)}
        x = stages["stem"]
        # Cropped: without the cells whose windows would reach into the padding.
        x = max_pool(x[:, 1:-1, 1:-1]) if self.cropped else max_pool(x, padding=1)
        for i, count in enumerate(blocks):
            if self.last_stage in stages:
                break
            strided = i == 1 or (i > 1 and not self.dilated)
            x = Stage(
                count,
                partial(
                    ResidualBlock,
                    int(64 * self.width) * 2**i,
                    bottleneck,
                    cropped=self.cropped,
                    folded=self.folded,
                    dtype=self.dtype,
                ),
                stride=2 if strided else 1,
                dilation=2 ** (i - 1) if self.dilated and i > 1 else 1,
                downsample=i > 0 or bottleneck,
                name=f"layer{i + 1}",
            )(x, train and f"layer{i + 1}" not in frozen)
            stages[f"layer{i + 1}"] = x
        return stages
