"""Each platform gets its own form of an operation, whatever machine exports it."""

import jax
import jax.numpy as jnp
import pytest

from siamjax.models.operations import conv2d, max_pool
from siamjax.models.xcorr import xcorr_depthwise, xcorr_up_channel


def float32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def wide(x, k):
    """The 3x3 convolution of ResNet-50's last stage, for which CPUs have fewer products."""
    return conv2d(x, k, padding=4, dilation=4)


MAP, WIDE = float32(2, 31, 31, 512), float32(3, 3, 512, 512)
CASES = {
    "wide": (wide, MAP, WIDE),
    "1x1": (conv2d, MAP, float32(1, 1, 512, 64)),
    "depthwise": (conv2d, MAP, float32(3, 3, 1, 512)),
    "depthwise correlation": (xcorr_depthwise, float32(2, 29, 29, 96), float32(2, 5, 5, 96)),
    "up-channel correlation": (xcorr_up_channel, float32(2, 9, 9, 8), float32(2, 5, 5, 8, 4)),
    "pooling": (max_pool, MAP),
}


def operations(case, platform, *, gradient=False):
    """How many of each there are in what is exported for the platform."""
    function, *shapes = CASES[case]
    if gradient:
        forward = function
        function = jax.grad(lambda *x: forward(*x).sum(), argnums=tuple(range(len(shapes))))
    text = jax.export.export(jax.jit(function), platforms=[platform])(*shapes).mlir_module()
    names = ("convolution", "dot_general", "multiply", "maximum", "reduce_window")
    return {name: n for name in names if (n := text.count(f"stablehlo.{name}"))}, text


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(
    "case, groups",
    [
        ("wide", 1),
        ("1x1", 1),
        ("depthwise", 512),
        ("depthwise correlation", 2 * 96),
        ("up-channel correlation", 2),
    ],
)
def test_an_accelerator_convolves(case, groups, platform):
    found, text = operations(case, platform)
    assert found == {"convolution": 1}
    assert f"feature_group_count = {groups} : i64" in text
    found, _ = operations(case, platform, gradient=True)
    assert found["convolution"] >= 2  # of each input one, besides the forward's
    assert "dot_general" not in found


@pytest.mark.parametrize(
    "case, expected",
    [
        ("wide", {"dot_general": 4}),  # each of four products
        ("1x1", {"dot_general": 1}),
        ("depthwise", {"multiply": 9}),
        ("depthwise correlation", {"multiply": 25}),
        ("up-channel correlation", {"dot_general": 1}),
        ("pooling", {"maximum": 4}),
    ],
)
def test_a_cpu_has_its_own_forms(case, expected):
    found, _ = operations(case, "cpu")
    assert {name: found.get(name, 0) for name in expected} == expected
    assert "convolution" not in found and "reduce_window" not in found


def test_an_accelerator_pools_in_one_operation():
    found, _ = operations("pooling", "cuda")
    assert found["reduce_window"] == 1 and found["maximum"] == 1  # the window's own


def test_the_gradients_of_a_wide_convolution_have_fewer_products_on_a_cpu():
    """Of input and kernel; the gradient of a sum needs no forward pass."""
    found, _ = operations("wide", "cpu", gradient=True)
    assert "convolution" not in found and found["dot_general"] == 2 * 4


def test_one_export_for_both_holds_both():
    function, *shapes = CASES["wide"]
    both = jax.export.export(jax.jit(function), platforms=["cpu", "cuda"])(*shapes)
    assert all(
        f"stablehlo.{name}" in both.mlir_module() for name in ("convolution", "dot_general")
    )
