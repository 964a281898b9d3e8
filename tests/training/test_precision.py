"""What saves memory changes a step little (bfloat16) or not at all (rematerialisation)."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from siamjax.models.build import build_network, init_variables
from siamjax.training.optimizer import build_optimizer
from siamjax.training.state import create_state
from siamjax.training.step import make_step
from tests.training.test_end_to_end import SMALL
from tests.training.tiny import make_batch

# Each step runs once, and optimising it would take longer.
JIT = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def after_a_step(**model):
    config = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, **model))
    network = build_network(config.model)
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(create_state, init, build_optimizer(config), 3)
    batch = make_batch(0, config)._replace(records=None)
    return jax.device_get(JIT(make_step(config, network))(JIT(create)(), batch))


@pytest.mark.slow
def test_a_step_with_less_memory_is_about_the_same():
    state, metrics = after_a_step()
    same_state, same_metrics = after_a_step(remat=True)
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(equal, (same_state, same_metrics), (state, metrics))

    low_state, low_metrics = after_a_step(dtype="bfloat16")
    assert low_metrics["skipped"] == 0
    for name in ("loss", "cls_loss", "loc_loss"):
        np.testing.assert_allclose(low_metrics[name], metrics[name], rtol=0.03)
    np.testing.assert_allclose(low_metrics["grad_norm"], metrics["grad_norm"], rtol=0.2)
    kinds = [jax.tree.map(lambda leaf: leaf.dtype, tree) for tree in (low_state, state)]
    assert kinds[0] == kinds[1]  # parameters, momentum and statistics stay float32
