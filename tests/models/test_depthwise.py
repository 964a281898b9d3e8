"""Shifted products and their own gradient, held to XLA's grouped convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from siamjax.models.cpu.depthwise import shifted_products


def grouped(x, kernel, stride, padding, dilation):
    """The same by XLA, for one kernel."""
    return lax.conv_general_dilated(
        x,
        kernel[0, :, :, None],
        (stride, stride),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1), (1, 3, 2)]
)
def test_value_and_gradient_are_the_grouped_convolution_s(rng, stride, padding, dilation):
    x = rng.standard_normal((2, 8, 9, 3)).astype(np.float32)
    kernel = rng.standard_normal((1, 3, 3, 3)).astype(np.float32)
    results = []
    for function in (shifted_products, grouped):
        out, backward = jax.vjp(
            lambda x, k, function=function: function(x, k, stride, padding, dilation), x, kernel
        )
        weights = jnp.sin(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape)
        results.append((out, *backward(weights)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
