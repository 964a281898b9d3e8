"""Functions that run forward only: options of their own, none within another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxlib.version import __version__ as jaxlib_version

from siamjax.models.forward import forward_jit

A, B = np.arange(12.0, dtype=np.float32).reshape(3, 4), np.ones((4, 5), np.float32)


@forward_jit("times")
def product(a, b, *, times=1):
    """`times` the matrix product."""
    return times * (a @ b)


def test_it_computes_alone_and_within_another():
    expected = 2 * A @ B
    np.testing.assert_allclose(product(A, B, times=2), expected)
    within = jax.jit(lambda a, b: product(a, b, times=2) + 1)
    np.testing.assert_allclose(within(A, B), expected + 1)
    np.testing.assert_allclose(jax.vmap(product, (0, None))(A[:, None], B)[:, 0], A @ B)
    np.testing.assert_allclose(jax.grad(lambda a: product(a, B).sum())(jnp.asarray(A)), 5.0)


def test_its_name_and_docstring_are_the_functions():
    assert product.__name__ == "product" and "matrix product" in product.__doc__


@pytest.mark.skipif(jaxlib_version[:5] != "0.10.", reason="other versions have other options")
def test_on_a_cpu_it_has_no_fusions_of_ynnpack():
    a, b = (jax.ShapeDtypeStruct((256, 256), jnp.float32),) * 2
    usual = jax.jit(lambda a, b: a @ b).lower(a, b).compile().as_text()
    assert "__ynn_fusion" in usual
    assert "__ynn_fusion" not in product.trace(a, b).lower().compile().as_text()
