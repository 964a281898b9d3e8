"""Cross-correlation of search features with template features: plain, up-channel, depthwise.

Each kind is written twice. "conv" is the mathematics as one grouped convolution; "shift" is
the same sum over the template's cells written as shifted products, which CPUs run many times
faster. Both accumulate in float32 and are compared, forward and gradient, in the tests.
No padding, stride 1, no normalisation: the map has h - kh + 1 by w - kw + 1 cells.
"""

from typing import Literal, cast

import jax
import jax.numpy as jnp
from jax import Array, lax

from siamjax.errors import InputError
from siamjax.models.cpu.depthwise import shifted_products

Implementation = Literal["auto", "shift", "conv"]


def _choose(implementation: Implementation) -> str:
    if implementation not in ("auto", "shift", "conv"):
        raise InputError(
            f"`implementation` (={implementation!r}) must be 'auto', 'shift' or 'conv'"
        )
    if implementation == "auto":
        # Measured on CPU (benchmarks/correlation.py); on GPU and TPU not yet, so the
        # vendor's convolution is left to do its work.
        return "shift" if jax.default_backend() == "cpu" else "conv"
    return implementation


def _check(search: Array, kernel: Array) -> None:
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


def _grouped(search: Array, kernel: Array, groups: int) -> Array:
    """Batch and channels as one axis: `[1, h, w, b * c]` with `[kh, kw, i, b * o]`."""
    return lax.conv_general_dilated(
        search,
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _fold_batch(search: Array) -> Array:
    b, h, w, c = search.shape
    return search.transpose(1, 2, 0, 3).reshape(1, h, w, b * c)


def xcorr_depthwise(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """Channel by channel: `[b, h, w, c]` with `[b, kh, kw, c]` to `[b, h', w', c]` float32.

    (SiamRPN++, section 3.5)
    """
    _check(search, kernel)
    search, kernel = search.astype(jnp.float32), kernel.astype(jnp.float32)
    b, kh, kw, c = kernel.shape
    h, w = search.shape[1] - kh + 1, search.shape[2] - kw + 1
    if _choose(implementation) == "conv":
        folded = kernel.transpose(1, 2, 0, 3).reshape(kh, kw, 1, b * c)
        out = _grouped(_fold_batch(search), folded, b * c)
        return out.reshape(h, w, b, c).transpose(2, 0, 1, 3)
    return shifted_products(search, kernel)


def xcorr_up_channel(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """`[b, h, w, c]` with `[b, kh, kw, c, o]` to `[b, h', w', o]` float32.

    Every output channel has a kernel over all channels. (SiamRPN, section 3.2)
    """
    _check(search, kernel)
    search, kernel = search.astype(jnp.float32), kernel.astype(jnp.float32)
    b, kh, kw, c, o = kernel.shape
    h, w = search.shape[1] - kh + 1, search.shape[2] - kw + 1
    if _choose(implementation) == "conv":
        folded = kernel.transpose(1, 2, 3, 0, 4).reshape(kh, kw, c, b * o)
        out = _grouped(_fold_batch(search), folded, b)
        return out.reshape(h, w, b, o).transpose(2, 0, 1, 3)
    # One matrix product for all cells of the kernel, then a sum of shifted maps. `split` and
    # not indexing, since its gradient joins the maps' gradients instead of adding them up.
    taps = kernel.reshape(b, kh * kw, c, o).swapaxes(1, 2).reshape(b, c, kh * kw * o)
    products = lax.split(search.reshape(b, -1, c) @ taps, [o] * (kh * kw), axis=2)
    maps = [x.reshape(*search.shape[:3], o) for x in products]
    moved = (maps[i * kw + j][:, i : i + h, j : j + w] for i in range(kh) for j in range(kw))
    return cast(Array, sum(moved))


def xcorr_plain(
    search: Array, kernel: Array, *, implementation: Implementation = "auto"
) -> Array:
    """One response: `[b, h, w, c]` with `[b, kh, kw, c]` to `[b, h', w', 1]` float32.

    (SiamFC, section 2.1)
    """
    return xcorr_up_channel(search, kernel[..., None], implementation=implementation)
