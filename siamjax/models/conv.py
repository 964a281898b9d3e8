"""Convolution, and convolution with batch norm: the layers that every network is made of."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

# The backbones' initialisation, N(0, sqrt(2 / (kh * kw * out))). Reference: PySOT's ResNet.
normal_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# PyTorch's default, U(+-1 / sqrt(fan_in)), which PySOT's neck and heads keep.
uniform_fan_in = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


# Input times output channels from which a matrix product beats XLA's convolution on CPU.
_WIDE = 96 * 256


def uniform_bias(fan_in: int) -> Callable[..., Array]:
    """PyTorch's default initialiser of a bias, U(+-1 / sqrt(fan_in))."""

    def init(key, shape, dtype=jnp.float32):
        bound = fan_in**-0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def conv2d(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[kh, kw, i / groups, o]`.

    `padding` zeros on every side; the number of groups follows from the shapes. Raises
    ValueError when the kernel does not fit into the padded map.

    On CPU, 1x1 convolutions run as matrix products, depthwise ones as shifted sums, and wide
    ones as a matrix product for each row of the kernel, all faster than XLA's convolution
    there (benchmarks/forward.py); elsewhere everything is XLA's convolution, until it is
    measured.
    """
    for name, side, taps in zip(("height", "width"), x.shape[1:3], kernel.shape, strict=False):
        if side + 2 * padding < dilation * (taps - 1) + 1:
            raise ValueError(
                f"a feature map of `{name}` (={side}) is too small for a kernel of {taps} "
                f"taps with dilation {dilation} and padding {padding}; use a larger image"
            )
    if jax.default_backend() == "cpu":
        if kernel.shape[:3] == (1, 1, x.shape[-1]) and stride == 1 and padding == 0:
            flat = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
            return flat.reshape(*x.shape[:3], -1)
        if kernel.shape[2] == 1 and kernel.shape[3] == x.shape[-1]:
            return _depthwise(x, kernel, stride, padding, dilation)
        if kernel.shape[2] == x.shape[-1] and stride == 1 and kernel[0, 0].size >= _WIDE:
            return _by_rows(x, kernel, padding, dilation)
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2],
    )


def _depthwise(x: Array, kernel: Array, stride: int, padding: int, dilation: int) -> Array:
    """A depthwise convolution as a sum of shifted products."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    taps_y, taps_x = kernel.shape[:2]
    height = (x.shape[1] - dilation * (taps_y - 1) - 1) // stride + 1
    width = (x.shape[2] - dilation * (taps_x - 1) - 1) // stride + 1

    def shifted(i: int, j: int) -> Array:
        top, left = i * dilation, j * dilation
        bottom, right = top + (height - 1) * stride + 1, left + (width - 1) * stride + 1
        return x[:, top:bottom:stride, left:right:stride]

    return sum(shifted(i, j) * kernel[i, j, 0] for i in range(taps_y) for j in range(taps_x))


def _by_rows(x: Array, kernel: Array, padding: int, dilation: int) -> Array:
    """A convolution of stride 1 as one matrix product for each row of the kernel."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    taps_y, taps_x, inputs, outputs = kernel.shape
    height = x.shape[1] - dilation * (taps_y - 1)
    width = x.shape[2] - dilation * (taps_x - 1)
    # The kernel's columns side by side as channels, so that the products are large.
    columns = [x[:, :, j * dilation : j * dilation + width] for j in range(taps_x)]
    wide = jnp.concatenate(columns, axis=-1)
    rows = [wide[:, i * dilation : i * dilation + height] for i in range(taps_y)]
    return sum(
        jnp.einsum("bhwi,io->bhwo", row, kernel[i].reshape(taps_x * inputs, outputs))
        for i, row in enumerate(rows)
    )


class Conv(nn.Module):
    """A convolution with a square kernel, `[b, h, w, i]` to `[b, h', w', features]`.

    Attributes:
        features: output channels.
        size: taps on a side of the kernel.
        stride, padding, dilation, groups: as in `conv2d`.
        use_bias: whether a bias is added.
        dtype: of the computation; parameters are float32.
        kernel_init, bias_init: initialisers.
    """

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    use_bias: bool = False
    dtype: DTypeLike = jnp.float32
    kernel_init: Callable[..., Array] = normal_fan_out
    bias_init: Callable[..., Array] = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolves; raises ValueError when the channels do not suit the groups."""
        if self.features < 1 or self.features % self.groups or x.shape[-1] % self.groups:
            raise ValueError(
                f"a convolution of {self.groups} groups cannot turn {x.shape[-1]} channels "
                f"into {self.features}; choose another `model.backbone.width`"
            )
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            y = y + bias.astype(self.dtype)
        return y


def conv_norm(
    x: Array,
    features: int,
    size: int,
    *,
    train: bool,
    folded: bool,
    dtype: DTypeLike,
    names: tuple[str, str] = ("conv", "bn"),
    use_bias: bool = False,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    **conv,
) -> Array:
    """A convolution and its batch norm, created in the calling module under `names`.

    Statistics and normalisation are float32 whatever `dtype` is. With `folded` there is no
    batch norm: the convolution carries it in its kernel and bias, see `folding.py`.
    """
    x = Conv(features, size, use_bias=use_bias or folded, dtype=dtype, name=names[0], **conv)(x)
    if folded:
        if train:
            raise ValueError("a network with folded batch norms cannot run with train=True")
        return x
    norm = nn.BatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=epsilon, name=names[1]
    )
    return norm(x.astype(jnp.float32)).astype(dtype)


class ConvNorm(nn.Module):
    """`conv_norm` as a module of its own, with the children `conv` and `bn`.

    Attributes:
        features, size: of the convolution.
        folded, dtype: as in `conv_norm`.
        relu: whether a rectifier follows.
    """

    features: int
    size: int
    folded: bool = False
    dtype: DTypeLike = jnp.float32
    relu: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Convolves without padding and normalises."""
        x = conv_norm(
            x,
            self.features,
            self.size,
            train=train,
            folded=self.folded,
            dtype=self.dtype,
            kernel_init=uniform_fan_in,
        )
        return nn.relu(x) if self.relu else x
