"""The networks' operations as XLA has them: what accelerators run."""

import jax
import jax.numpy as jnp
from jax import Array, lax


def convolve(
    x: Array, kernel: Array, stride: int = 1, padding: int = 0, dilation: int = 1, *, right=None
) -> Array:
    """Cross-correlation of `x` `[b, h, w, i]` with `kernel` `[kh, kw, i / groups, o]`.

    `padding` zeros on every side, or `right` of them on the right one. Products of float32 are
    exact to float32 unless `jax_default_matmul_precision` is set: by default, accelerators
    would round the factors to 10 (GPU) or 7 (TPU) bits.
    """
    wish = jax.config.jax_default_matmul_precision  # ty: ignore[missing-attribute] JAX adds options as it runs
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding), (padding, padding if right is None else right)],
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2],
        precision="highest" if wish is None else None,  # None: as the setting says
    )


def max_pool(x: Array, padding: int = 0) -> Array:
    """The largest of every 3 x 3 cells of `[b, h, w, c]` at a stride of 2."""
    border = (padding, padding)
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), border, border, (0, 0))
    )
