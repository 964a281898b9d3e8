"""The precision of float32 on accelerators, and the benchmark that weighs it."""

import re

import jax
import jax.numpy as jnp
import pytest

from siamjax.models.operations import conv2d
from siamjax.models.xcorr import xcorr_depthwise, xcorr_up_channel

SHAPES = {
    conv2d: ((1, 9, 9, 64), (3, 3, 64, 64)),
    xcorr_depthwise: ((2, 9, 9, 8), (2, 5, 5, 8)),
    xcorr_up_channel: ((2, 9, 9, 8), (2, 5, 5, 8, 4)),
}


def precisions(function, platform, setting):
    """Of every convolution in the function and its gradient, as exported for the platform."""
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in SHAPES[function]]
    both = jax.value_and_grad(lambda *x: jnp.square(function(*x)).sum(), (0, 1))
    with jax.default_matmul_precision(setting):
        exported = jax.export.export(jax.jit(both), platforms=[platform])(*shapes)
    lines = [x for x in exported.mlir_module().splitlines() if "stablehlo.convolution" in x]
    assert len(lines) == 3
    return {tuple(re.findall(r"precision (\w+)>", line)) for line in lines}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("function", SHAPES)
def test_float32_is_float32_on_accelerators_unless_jax_is_told_otherwise(function, platform):
    """JAX's own default there is TF32 on a GPU and bfloat16 on a TPU."""
    assert precisions(function, platform, None) == {("HIGHEST", "HIGHEST")}
    assert precisions(function, platform, "tensorfloat32") == {("HIGH", "HIGH")}
    assert precisions(function, platform, "bfloat16") <= {(), ("DEFAULT", "DEFAULT")}
