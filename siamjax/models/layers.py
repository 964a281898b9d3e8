"""The layers of every network: a convolution, one with a batch norm, and a centre crop."""

import contextlib
import contextvars
from collections.abc import Callable, Generator

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from siamjax.errors import InputError
from siamjax.models.operations import conv2d

# The backbones' initialisation, N(0, sqrt(2 / (kh * kw * out))). Reference: PySOT's ResNet.
normal_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# PyTorch's default, U(+-1 / sqrt(fan_in)), which PySOT's neck and heads keep.
uniform_fan_in = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


_batch_axis: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "batch_axis", default=None
)


@contextlib.contextmanager
def batch_divided_over(axis_name: str | None) -> Generator[None]:
    """Inside it, batch norm also averages its statistics over this axis of `pmap`.

    Read when a network is traced, not when it runs. `jit` over a mesh needs no axis: its
    arrays are the global batch already.
    """
    token = _batch_axis.set(axis_name)
    try:
        yield
    finally:
        _batch_axis.reset(token)


def batch_axis() -> str | None:
    """The axis of `batch_divided_over`, or None."""
    return _batch_axis.get()


def uniform_bias(fan_in: int) -> Callable[..., Array]:
    """PyTorch's default initialiser of a bias, U(+-1 / sqrt(fan_in))."""

    def init(key, shape, dtype=jnp.float32):
        bound = fan_in**-0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


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
        """Convolves; raises `InputError` when the channels do not suit the groups."""
        if self.features < 1 or self.features % self.groups or x.shape[-1] % self.groups:
            raise InputError(
                f"a convolution of {self.groups} groups cannot turn {x.shape[-1]} channels "
                f"into {self.features}; choose another `model.backbone.width`"
            )
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self._array("kernel", self.kernel_init, shape)
        y = conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        if self.use_bias:
            bias = self._array("bias", self.bias_init, (self.features,))
            y = y + bias.astype(self.dtype)
        return y

    def _array(self, name: str, init: Callable[..., Array], shape: tuple[int, ...]) -> Array:
        # `self.param` traces the initialiser even of a parameter that exists, to compare
        # shapes: a quarter of the time until a tracker's first frame.
        if self.has_variable("params", name):
            return self.get_variable("params", name)
        return self.param(name, init, shape)


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
            raise InputError("a network with folded batch norms cannot run with train=True")
        return x
    norm = nn.BatchNorm(
        use_running_average=not train,
        momentum=momentum,
        epsilon=epsilon,
        axis_name=batch_axis(),
        # E[x^2] - E[x]^2 cancels catastrophically in a nearly constant channel.
        use_fast_variance=False,
        name=names[1],
    )
    return norm(x.astype(jnp.float32)).astype(dtype)


class ConvNorm(nn.Module):
    """`conv_norm` as a module of its own, with the children `conv` and `bn`.

    Attributes:
        features, size: of the convolution.
        folded, dtype: as in `conv_norm`.
        relu: whether a ReLU follows.
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


def center_crop(x: Array, height: int, width: int) -> Array:
    """The middle `height x width` cells of `[b, h, w, c]`.

    Raises `InputError` when the map is smaller, or when the rest cannot be shared evenly
    between both sides: an uneven crop would move every prediction by half a cell.
    """
    for name, have, want in (("height", x.shape[1], height), ("width", x.shape[2], width)):
        if want < 1 or want > have:
            raise InputError(
                f"cannot crop `{name}` (={have}) of a feature map to {want} cells; choose a "
                f"crop of 1 to {have} cells, or a larger image"
            )
        if (have - want) % 2:
            raise InputError(
                f"cannot crop `{name}` (={have}) of a feature map to its middle {want} cells: "
                f"the difference must be even; choose {want - 1 or want + 1} or {want + 1}"
            )
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]
