"""Convolution and pooling, in the form that is fastest where they run.

Which form that is, the platform decides for which a function is compiled or exported, not the
machine on which it is traced.
"""

import functools
from collections.abc import Callable

import jax
from jax import Array, lax

from siamjax.errors import InputError
from siamjax.models import plain
from siamjax.models.cpu.conv import conv2d_on_cpu
from siamjax.models.cpu.pool import max_pool_on_cpu

Form = Callable[..., Array]


@functools.cache
def by_platform(cpu: Form, default: Form) -> Form:
    """`cpu(*arrays)` where it is compiled for a CPU, `default(*arrays)` elsewhere.

    Its gradient is that of the form that runs. JAX's own gradient of a conditional would save
    from the forward pass what either form needs. Cached, as JAX caches traces by function.
    """

    @jax.custom_vjp
    def chosen(*arrays):
        return lax.platform_dependent(*arrays, cpu=cpu, default=default)

    def forward(*arrays):
        values = tuple(x.value for x in arrays)
        # A flag would be traced like an array; an empty tuple is part of the structure.
        return chosen(*values), (values, tuple(() if x.perturbed else None for x in arrays))

    def backward(saved, gradient):
        values, perturbed = saved
        wanted = tuple(i for i, flag in enumerate(perturbed) if flag is not None)
        pulled = lax.platform_dependent(
            gradient,
            *values,
            cpu=_pull_back(cpu, wanted),
            default=_pull_back(default, wanted),
        )
        found = dict(zip(wanted, pulled, strict=True))
        return tuple(found.get(i) for i in range(len(values)))

    chosen.defvjp(forward, backward, symbolic_zeros=True)
    return chosen


@functools.cache
def _pull_back(form: Form, wanted: tuple[int, ...]) -> Callable[..., tuple[Array, ...]]:
    """The gradients of the arguments `wanted`, given that of the output and all arguments."""

    def pull_back(gradient, *values):
        def of_wanted(*some):
            given = dict(zip(wanted, some, strict=True))
            return form(*(given.get(i, x) for i, x in enumerate(values)))

        return jax.vjp(of_wanted, *(values[i] for i in wanted))[1](gradient)

    return pull_back


@functools.cache
def _convolution(stride: int, padding: int, dilation: int) -> Form:
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    return by_platform(
        functools.partial(conv2d_on_cpu, **spatial),
        functools.partial(plain.convolve, **spatial),
    )


def conv2d(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[kh, kw, i / groups, o]`.

    `padding` zeros on every side; the number of groups follows from the shapes. Raises
    `InputError` when the kernel does not fit into the padded map.
    """
    for name, side, taps in zip(("height", "width"), x.shape[1:3], kernel.shape, strict=False):
        if side + 2 * padding < dilation * (taps - 1) + 1:
            raise InputError(
                f"a feature map of `{name}` (={side}) is too small for a kernel of {taps} "
                f"taps with dilation {dilation} and padding {padding}; use a larger image"
            )
    return _convolution(stride, padding, dilation)(x, kernel)


@functools.cache
def _pooling(padding: int) -> Form:
    return by_platform(
        functools.partial(max_pool_on_cpu, padding=padding),
        functools.partial(plain.max_pool, padding=padding),
    )


def max_pool(x: Array, padding: int = 0) -> Array:
    """The largest of every 3 x 3 cells at a stride of 2, `[b, h, w, c]`.

    What is padded never wins, as in PyTorch.
    """
    return _pooling(padding)(x)
