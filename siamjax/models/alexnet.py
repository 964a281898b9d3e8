"""AlexNet without padding: PySOT's, and SiamFC's with groups.

Both give 6 x 6 cells for a template of 127 pixels, with a stride of 8.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.models.layers import Conv, conv_norm, normal_fan_out
from siamjax.models.operations import max_pool

SIAMFC_EPSILON = 1e-6  # of its batch norms


class AlexNetStage(nn.Module):
    """A convolution with bias and a batch norm.

    Attributes:
        features, size, stride, groups: of the convolution.
        norm: whether there is a batch norm.
        epsilon, momentum: of the batch norm.
        folded, dtype: see `conv_norm`.
    """

    features: int
    size: int
    stride: int = 1
    groups: int = 1
    norm: bool = True
    epsilon: float = 1e-5
    momentum: float = 0.9
    kernel_init: nn.initializers.Initializer = normal_fan_out
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, i]` to `[b, h', w', features]`."""
        spatial: dict = {
            "stride": self.stride,
            "groups": self.groups,
            "kernel_init": self.kernel_init,
            "use_bias": True,
            "dtype": self.dtype,
        }
        if not self.norm:
            return Conv(self.features, self.size, name="conv", **spatial)(x)
        return conv_norm(
            x,
            self.features,
            self.size,
            train=train,
            folded=self.folded,
            epsilon=self.epsilon,
            momentum=self.momentum,
            **spatial,
        )


class AlexNet(nn.Module):
    """The stages `layer1` to `layer5`; pooling comes before the ReLU.

    Reference: PySOT's AlexNet (DaSiamRPN has the same).

    Attributes:
        width: multiplies every channel count but the image's.
        last_stage: the deepest stage to build.
        folded, dtype: see `conv_norm`.
    """

    width: float = 1.0
    last_stage: str = "layer5"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """`[b, h, w, 3]` to the stages' features `[b, h', w', c]`, shallow ones first."""
        shapes = ((96, 11, 2), (256, 5, 1), (384, 3, 1), (384, 3, 1), (256, 3, 1))
        stages = {}
        for i, (features, size, stride) in enumerate(shapes, start=1):
            x = AlexNetStage(
                int(features * self.width),
                size,
                stride,
                folded=self.folded,
                dtype=self.dtype,
                name=f"layer{i}",
            )(x, train and f"layer{i}" not in frozen)
            x = max_pool(x) if i <= 2 else x
            x = nn.relu(x) if i <= 4 else x
            stages[f"layer{i}"] = x
            if self.last_stage in stages:
                break
        return stages


class SiamFCAlexNet(nn.Module):
    """The stages `conv1` to `conv5`; two groups in the second, fourth and fifth.

    The ReLU comes before the pooling, and the last stage has no batch norm.
    Reference: siamfc-pytorch's AlexNetV1.

    Attributes: as those of `AlexNet`.
    """

    width: float = 1.0
    last_stage: str = "conv5"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """`[b, h, w, 3]` to the stages' features `[b, h', w', c]`, shallow ones first."""
        shapes = (
            (96, 11, 2, 1),
            (256, 5, 1, 2),
            (384, 3, 1, 1),
            (384, 3, 1, 2),
            (256, 3, 1, 2),
        )
        stages = {}
        for i, (features, size, stride, groups) in enumerate(shapes, start=1):
            x = AlexNetStage(
                int(features * self.width),
                size,
                stride,
                groups,
                norm=i < 5,
                epsilon=SIAMFC_EPSILON,
                momentum=0.95,
                kernel_init=nn.initializers.xavier_uniform(),
                folded=self.folded,
                dtype=self.dtype,
                name=f"conv{i}",
            )(x, train and f"conv{i}" not in frozen)
            x = nn.relu(x) if i < 5 else x
            x = max_pool(x) if i <= 2 else x
            stages[f"conv{i}"] = x
            if self.last_stage in stages:
                break
        return stages
