"""Correlations against loops in NumPy, both implementations, forward and gradient."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.models.xcorr import xcorr_depthwise, xcorr_plain, xcorr_up_channel
from tests.models.networks import quick_jit

IMPLEMENTATIONS = ("auto", "shift", "conv")
# batch, channels, outputs, search height and width, kernel height and width
CASES = [
    (1, 4, 3, 9, 9, 5, 5),
    (3, 5, 2, 7, 10, 4, 3),
    (2, 3, 4, 4, 4, 4, 4),
    (2, 1, 1, 5, 8, 1, 2),
]


def brute_force(search, kernel):
    """`[b, h', w', o]` in float64 of `[b, h, w, c]` and `[b, kh, kw, c, o]`, by definition."""
    b, h, w, _ = search.shape
    _, kh, kw, _, o = kernel.shape
    out = np.zeros((b, h - kh + 1, w - kw + 1, o))
    for n, y, x in np.ndindex(*out.shape[:3]):
        window = search[n, y : y + kh, x : x + kw].astype(np.float64)
        out[n, y, x] = np.einsum("ijc,ijco->o", window, kernel[n].astype(np.float64))
    return out


def brute_force_gradient(search, kernel, weight):
    """Gradients of sum(weight * brute_force(search, kernel)) by definition."""
    d_search, d_kernel = np.zeros(search.shape), np.zeros(kernel.shape)
    _, kh, kw = kernel.shape[:3]
    for n, y, x in np.ndindex(*weight.shape[:3]):
        here = np.s_[n, y : y + kh, x : x + kw]
        d_search[here] += kernel[n].astype(np.float64) @ weight[n, y, x]
        d_kernel[n] += search[here][..., None] * weight[n, y, x].astype(np.float64)
    return d_search, d_kernel


def diagonal(kernel):
    """A depthwise kernel `[b, kh, kw, c]` as one over all channels, `[b, kh, kw, c, c]`."""
    return kernel[..., None] * np.eye(kernel.shape[-1], dtype=kernel.dtype)


def draw(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@partial(quick_jit, static_argnums=0)
def forward_and_gradient(function, search, kernel, weight):
    out, pull = jax.vjp(function, search, kernel)
    return out, *pull(weight)


def check(function, search, kernel, weight, full, project):
    """Forward and gradient of `function` against the loops.

    `full` makes a kernel over all channels of `kernel`, `project` undoes it for gradients.
    """
    out, d_search, d_kernel = forward_and_gradient(function, search, kernel, weight)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, brute_force(search, full(kernel)), rtol=1e-4, atol=1e-5)
    want_search, want_kernel = brute_force_gradient(search, full(kernel), weight)
    np.testing.assert_allclose(d_search, want_search, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_kernel, project(want_kernel), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_depthwise(rng, case, implementation):
    b, c, _, h, w, kh, kw = case
    check(
        lambda s, k: xcorr_depthwise(s, k, implementation=implementation),
        draw(rng, b, h, w, c),
        draw(rng, b, kh, kw, c),
        draw(rng, b, h - kh + 1, w - kw + 1, c),
        diagonal,
        lambda g: np.einsum("nijcc->nijc", g),
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_up_channel(rng, case, implementation):
    b, c, o, h, w, kh, kw = case
    check(
        lambda s, k: xcorr_up_channel(s, k, implementation=implementation),
        draw(rng, b, h, w, c),
        draw(rng, b, kh, kw, c, o),
        draw(rng, b, h - kh + 1, w - kw + 1, o),
        lambda k: k,
        lambda g: g,
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_plain(rng, case, implementation):
    b, c, _, h, w, kh, kw = case
    check(
        lambda s, k: xcorr_plain(s, k, implementation=implementation),
        draw(rng, b, h, w, c),
        draw(rng, b, kh, kw, c),
        draw(rng, b, h - kh + 1, w - kw + 1, 1),
        lambda k: k[..., None],
        lambda g: g[..., 0],
    )


@pytest.mark.parametrize("implementation", ["shift", "conv"])
@pytest.mark.parametrize("function", [xcorr_depthwise, xcorr_up_channel, xcorr_plain])
def test_bfloat16_accumulates_in_float32(function, implementation):
    """256 + 1 + 1 + ... stays at 256 when the sum itself is bfloat16."""
    search = jnp.ones((1, 16, 16, 1), jnp.bfloat16).at[0, 0, 0, 0].set(256)
    kernel = jnp.ones((1, 16, 16, 1), jnp.bfloat16)
    if function is xcorr_up_channel:
        kernel = kernel[..., None]
    out = function(search, kernel, implementation=implementation)
    assert out.dtype == jnp.float32
    assert out.item() == 256 + 255


@pytest.mark.parametrize("function", [xcorr_depthwise, xcorr_up_channel, xcorr_plain])
def test_a_kernel_larger_than_the_search_is_refused(function):
    search, kernel = jnp.ones((1, 5, 5, 2)), jnp.ones((1, 5, 6, 2))
    if function is xcorr_up_channel:
        kernel = kernel[..., None]
    with pytest.raises(ValueError, match=r"score map is empty: .*width \(=6\).*\(=5\)"):
        function(search, kernel)


@pytest.mark.parametrize("function", [xcorr_depthwise, xcorr_plain])
def test_disagreeing_shapes_are_refused(function):
    with pytest.raises(ValueError, match="agree in batch and channels"):
        function(jnp.ones((2, 5, 5, 3)), jnp.ones((1, 3, 3, 3)))
    with pytest.raises(ValueError, match="agree in batch and channels"):
        function(jnp.ones((2, 5, 5, 3)), jnp.ones((2, 3, 3, 1)))


def test_an_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match=r"`implementation` \(='fast'\)"):
        xcorr_depthwise(jnp.ones((1, 5, 5, 1)), jnp.ones((1, 3, 3, 1)), implementation="fast")
