"""Cross-correlation of search features with template features: plain, up-channel, depthwise.

Each kind is written twice. "conv" is the mathematics as one grouped convolution, and what
accelerators run; "shift" is the same sum over the template's cells written as shifted
products, which CPUs run many times faster. Both accumulate in float32 and are compared,
forward and gradient, in the tests.
No padding, stride 1, no normalisation: the map has h - kh + 1 by w - kw + 1 cells.
"""

from typing import Literal, cast

import jax.numpy as jnp
from jax import Array, lax

from siamjax.errors import InputError
from siamjax.models.cpu.depthwise import shifted_products
from siamjax.models.operations import Form, by_platform
from siamjax.models.plain import convolve

Implementation = Literal["auto", "shift", "conv"]


def _forms(shift: Form, conv: Form) -> dict[str, Form]:
    """By implementation. The choice is measured on CPUs (benchmarks/correlation.py)."""
    return {"auto": by_platform(shift, conv), "shift": shift, "conv": conv}


def _as_conv(search: Array, kernel: Array, outputs: int) -> Array:
    """The batch as one image; `kernel` `[kh, kw, i, b * outputs]`, for groups of `i`."""
    b, h, w = search.shape[:3]
    out = convolve(search.transpose(1, 2, 0, 3).reshape(1, h, w, -1), kernel)
    return out.reshape(*out.shape[1:3], b, outputs).transpose(2, 0, 1, 3)


def _depthwise_conv(search: Array, kernel: Array) -> Array:
    _, kh, kw, c = kernel.shape
    return _as_conv(search, kernel.transpose(1, 2, 0, 3).reshape(kh, kw, 1, -1), c)


def _up_channel_conv(search: Array, kernel: Array) -> Array:
    _, kh, kw, c, o = kernel.shape
    return _as_conv(search, kernel.transpose(1, 2, 3, 0, 4).reshape(kh, kw, c, -1), o)


def _up_channel_shift(search: Array, kernel: Array) -> Array:
    """One matrix product for all cells of the kernel, then a sum of shifted maps."""
    b, kh, kw, c, o = kernel.shape
    h, w = search.shape[1] - kh + 1, search.shape[2] - kw + 1
    # `split` and not indexing: its gradient joins the maps' gradients instead of adding them.
    taps = kernel.reshape(b, kh * kw, c, o).swapaxes(1, 2).reshape(b, c, kh * kw * o)
    products = lax.split(search.reshape(b, -1, c) @ taps, [o] * (kh * kw), axis=2)
    maps = [x.reshape(*search.shape[:3], o) for x in products]
    moved = (maps[i * kw + j][:, i : i + h, j : j + w] for i in range(kh) for j in range(kw))
    return cast(Array, sum(moved))


_DEPTHWISE = _forms(shifted_products, _depthwise_conv)
_UP_CHANNEL = _forms(_up_channel_shift, _up_channel_conv)


def _correlate(
    forms: dict[str, Form], search: Array, kernel: Array, implementation: str
) -> Array:
    """Checks the arguments and runs the form in float32."""
    if implementation not in forms:
        raise InputError(
            f"`implementation` (={implementation!r}) must be 'auto', 'shift' or 'conv'"
        )
    for axis, name in ((1, "height"), (2, "width")):
        if kernel.shape[axis] > search.shape[axis]:
            raise InputError(
                f"the score map is empty: the kernel's {name} (={kernel.shape[axis]}) must "
                f"not exceed the search features' (={search.shape[axis]}); use a larger "
                "search image or a smaller template"
            )
    if kernel.shape[0] != search.shape[0] or kernel.shape[3] != search.shape[3]:
        raise InputError(
            f"search features {search.shape} and kernel {kernel.shape} must agree in batch "
            "and channels (first and last axis)"
        )
    return forms[implementation](search.astype(jnp.float32), kernel.astype(jnp.float32))


def xcorr_depthwise(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """Channel by channel: `[b, h, w, c]` with `[b, kh, kw, c]` to `[b, h', w', c]` float32.

    (SiamRPN++, section 3.5)
    """
    return _correlate(_DEPTHWISE, search, kernel, implementation)


def xcorr_up_channel(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """`[b, h, w, c]` with `[b, kh, kw, c, o]` to `[b, h', w', o]` float32.

    Every output channel has a kernel over all channels. (SiamRPN, section 3.2)
    """
    return _correlate(_UP_CHANNEL, search, kernel, implementation)


def xcorr_plain(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """One response: `[b, h, w, c]` with `[b, kh, kw, c]` to `[b, h', w', 1]` float32.

    (SiamFC, section 2.1)
    """
    return xcorr_up_channel(search, kernel[..., None], implementation=implementation)
