"""Heads: from template features to kernels, and from their correlation to cls and loc.

Every head has two methods: `encode(template, train)` returns the kernels, a pytree, and
`__call__(kernels, search, train)` returns `(cls, loc)`, channels in PyTorch's order: cls is
background of every anchor, then foreground; loc is dx of every anchor, then dy, dw, dh.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.models.layers import Conv, ConvNorm, conv_norm, uniform_bias, uniform_fan_in
from siamjax.models.xcorr import Implementation, xcorr_depthwise, xcorr_up_channel


class Output(nn.Module):
    """A 1x1 convolution with batch norm and ReLU, then one to the outputs.

    Attributes:
        outputs: output channels.
        folded, dtype: see `conv_norm`.
    """

    outputs: int
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[b, h, w, c]` to `[b, h, w, outputs]` float32."""
        channels = x.shape[-1]
        x = conv_norm(
            x,
            channels,
            1,
            names=("conv0", "bn0"),
            train=train,
            folded=self.folded,
            dtype=self.dtype,
            kernel_init=uniform_fan_in,
        )
        x = Conv(
            self.outputs,
            1,
            use_bias=True,
            dtype=self.dtype,
            kernel_init=uniform_fan_in,
            bias_init=uniform_bias(channels),
            name="conv1",
        )(nn.relu(x))
        return x.astype(jnp.float32)


class DepthwiseBranch(nn.Module):
    """A 3x3 convolution of template and search, depthwise correlation, then the outputs.

    Attributes:
        channels: width of the branch.
        outputs: output channels.
        xcorr: implementation of the correlation.
        folded, dtype: see `conv_norm`.
    """

    channels: int
    outputs: int
    xcorr: Implementation = "auto"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """Creates the submodules; attribute names are those of the parameter tree."""
        self.kernel = ConvNorm(self.channels, 3, self.folded, self.dtype, relu=True)
        self.search = ConvNorm(self.channels, 3, self.folded, self.dtype, relu=True)
        self.output = Output(self.outputs, self.folded, self.dtype)

    def encode(self, template: Array, train: bool) -> Array:
        """`[b, k, k, i]` to the kernel `[b, k - 2, k - 2, c]`."""
        return self.kernel(template, train)

    def correlate(self, kernel: Array, search: Array, train: bool) -> Array:
        """The correlation map before the output layers, `[b, h, w, c]` float32."""
        return xcorr_depthwise(self.search(search, train), kernel, implementation=self.xcorr)

    def __call__(self, kernel: Array, search: Array, train: bool) -> Array:
        """The branch's outputs `[b, h, w, outputs]`."""
        return self.output(self.correlate(kernel, search, train), train)


class DepthwiseRPN(nn.Module):
    """Two depthwise branches that share nothing. (SiamRPN++, section 3.5)

    Attributes:
        channels: width of each branch.
        anchors: at each cell.
        xcorr, folded, dtype: see `DepthwiseBranch`.
    """

    channels: int
    anchors: int
    xcorr: Implementation = "auto"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """Creates the submodules; attribute names are those of the parameter tree."""
        rest = (self.xcorr, self.folded, self.dtype)
        self.cls = DepthwiseBranch(self.channels, 2 * self.anchors, *rest)
        self.loc = DepthwiseBranch(self.channels, 4 * self.anchors, *rest)

    def encode(self, template: Array, train: bool) -> dict[str, Array]:
        """The kernels of both branches."""
        return {
            "cls": self.cls.encode(template, train),
            "loc": self.loc.encode(template, train),
        }

    def __call__(
        self, kernels: dict[str, Array], search: Array, train: bool
    ) -> tuple[Array, Array]:
        """`(cls, loc)`, `[b, h, w, 2a]` and `[b, h, w, 4a]`."""
        return (
            self.cls(kernels["cls"], search, train),
            self.loc(kernels["loc"], search, train),
        )


class UpChannelRPN(nn.Module):
    """The template becomes one kernel for each output channel. (SiamRPN, section 3.2)

    Attributes: as those of `DepthwiseRPN`; `folded` has no effect, there is no batch norm.
    """

    channels: int
    anchors: int
    xcorr: Implementation = "auto"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.nowrap
    def _conv(self, features: int, size: int, fan_in: int) -> Conv:
        return Conv(
            features,
            size,
            use_bias=True,
            dtype=self.dtype,
            kernel_init=uniform_fan_in,
            bias_init=uniform_bias(fan_in),
        )

    def setup(self):
        """Creates the submodules; attribute names are those of the parameter tree."""
        width = self.channels
        self.template_cls = self._conv(width * 2 * self.anchors, 3, width * 9)
        self.template_loc = self._conv(width * 4 * self.anchors, 3, width * 9)
        self.search_cls = self._conv(width, 3, width * 9)
        self.search_loc = self._conv(width, 3, width * 9)
        self.loc_adjust = self._conv(4 * self.anchors, 1, 4 * self.anchors)

    def encode(self, template: Array, train: bool) -> dict[str, Array]:
        """Kernels `[b, k - 2, k - 2, c, outputs]` for cls and loc."""
        del train

        def kernel(x: Array) -> Array:
            # The output index is the slow one of the convolution's channels.
            return x.reshape(*x.shape[:3], -1, self.channels).swapaxes(-1, -2)

        return {
            "cls": kernel(self.template_cls(template)),
            "loc": kernel(self.template_loc(template)),
        }

    def __call__(
        self, kernels: dict[str, Array], search: Array, train: bool
    ) -> tuple[Array, Array]:
        """`(cls, loc)`, `[b, h, w, 2a]` and `[b, h, w, 4a]`."""
        del train
        cls = xcorr_up_channel(
            self.search_cls(search), kernels["cls"], implementation=self.xcorr
        )
        loc = xcorr_up_channel(
            self.search_loc(search), kernels["loc"], implementation=self.xcorr
        )
        return cls, self.loc_adjust(loc).astype(jnp.float32)


HEADS = {"depthwise": DepthwiseRPN, "up_channel": UpChannelRPN}


class LevelHeads(nn.Module):
    """One head for each level.

    Attributes:
        kind: one of `HEADS`.
        levels: their names.
        channels: width of each.
        anchors, xcorr, folded, dtype: see the heads.
    """

    kind: str
    levels: tuple[str, ...]
    channels: tuple[int, ...]
    anchors: int
    xcorr: Implementation = "auto"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """Creates one head for each level, under the level's name."""
        for level, channels in zip(self.levels, self.channels, strict=True):
            head = HEADS[self.kind](channels, self.anchors, self.xcorr, self.folded, self.dtype)
            setattr(self, level, head)

    def encode(self, features: dict[str, Array], train: bool) -> tuple[Any, ...]:
        """The kernels of every level, in the order of `levels`."""
        return tuple(
            getattr(self, level).encode(features[level], train) for level in self.levels
        )

    def __call__(
        self, kernels: tuple[Any, ...], features: dict[str, Array], train: bool
    ) -> list[tuple[Array, Array]]:
        """`(cls, loc)` of every level."""
        return [
            getattr(self, level)(kernel, features[level], train)
            for level, kernel in zip(self.levels, kernels, strict=True)
        ]


class WeightedFusion(nn.Module):
    """Sums over the levels with learned weights, softmaxed. (SiamRPN++, section 3.4)"""

    @nn.compact
    def __call__(self, outputs: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """The weighted sums of cls and of loc."""
        fused = []
        for name, maps in zip(("cls", "loc"), zip(*outputs, strict=True), strict=True):
            raw = self.param(f"{name}_weight", nn.initializers.ones, (len(maps),))
            weights = nn.softmax(raw)
            fused.append(sum(weights[i] * x for i, x in enumerate(maps)))
        return fused[0], fused[1]


def mean_fusion(outputs: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The means of cls and of loc over the levels."""
    cls, loc = (sum(maps) / len(maps) for maps in zip(*outputs, strict=True))
    return cls, loc


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
