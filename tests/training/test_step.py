"""The training step: what it returns, what it changes, and that devices do not matter."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.training.optimizer import build_optimizer
from siamjax.training.parallel import (
    abstract_batch,
    abstract_state,
    create_on,
    jit_step,
    make_mesh,
    put_batch,
)
from siamjax.training.state import create_state
from siamjax.training.step import train_step
from tests.training.tiny import CONFIG, TinyNet, init_tiny, make_batch, with_train

NETWORK = TinyNet()
OPTIMIZER = build_optimizer(CONFIG)
STEP = partial(train_step, network=NETWORK, optimizer=OPTIMIZER, config=CONFIG)

CREATE = partial(
    create_state,
    partial(init_tiny, NETWORK, config=CONFIG.model),
    OPTIMIZER,
    CONFIG.train.seed,
)


def fresh_state(mesh):
    return create_on(mesh, CREATE)


def run(devices, steps):
    mesh = make_mesh(jax.devices()[:devices])
    state, step = fresh_state(mesh), jit_step(STEP, mesh)
    history = []
    with jax.transfer_guard("disallow"):
        for number in range(steps):
            state, metrics = step(state, put_batch(make_batch(number), mesh))
            history.append(jax.device_get(metrics))
    assert step._cache_size() == 1
    return jax.device_get(state), history


def test_two_devices_equal_one():
    one, one_history = run(1, 3)
    two, two_history = run(2, 3)
    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), one, two)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), one_history, two_history)


def test_state_starts_equal_on_any_number_of_devices():
    one, two = (fresh_state(make_mesh(jax.devices()[:n])) for n in (1, 2))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(one), jax.device_get(two))
    assert two.params["conv"]["kernel"].sharding.is_fully_replicated
    assert len(two.params["conv"]["kernel"].devices()) == 2


def test_the_batch_is_divided_and_keeps_people_s_part_at_home():
    batch = put_batch(make_batch(0), make_mesh())
    assert {shard.data.shape[0] for shard in batch.search.addressable_shards} == {2}
    assert batch.records is batch.box_xyxy is batch.is_negative_pair is None


def test_abstract_batch_is_what_put_batch_returns():
    mesh = make_mesh()
    expected = jax.tree.map(
        lambda x: (x.shape, x.dtype, x.sharding), put_batch(make_batch(0), mesh)
    )
    abstract = jax.tree.map(
        lambda x: (x.shape, x.dtype, x.sharding), abstract_batch(CONFIG, mesh)
    )
    assert abstract == expected


def test_the_old_state_is_donated():
    mesh = make_mesh(jax.devices()[:1])
    old = fresh_state(mesh)
    new, _ = jit_step(STEP, mesh)(old, put_batch(make_batch(0), mesh))
    assert old.params["conv"]["kernel"].is_deleted()
    assert int(new.step) == 1


def test_a_step_descends_and_moves_batch_statistics():
    state = fresh_state(make_mesh(jax.devices()[:1]))
    batch = make_batch(0)._replace(records=None)
    after, metrics = jax.jit(STEP)(state, batch)
    _, later = jax.jit(STEP)(after, batch)
    assert later["loss"] < metrics["loss"]
    assert metrics["grad_norm"] > 0
    np.testing.assert_allclose(
        metrics["loss"], metrics["cls_loss"] + 1.2 * metrics["loc_loss"], rtol=1e-6
    )
    assert not np.allclose(after.batch_stats["bn"]["mean"], state.batch_stats["bn"]["mean"])


class Steep(nn.Module):
    """A network whose loss is finite and whose gradient is not: the root of a zero."""

    @nn.compact
    def __call__(self, template, search, *, train=False, frozen=()):
        prediction = TinyNet(name="net")(template, search, train=train)
        root = jnp.sqrt(self.param("steep", nn.initializers.zeros, ()))
        return prediction._replace(cls_logits=prediction.cls_logits * (1 + root))


def without_numbers(batch):
    return batch._replace(search=np.full_like(batch.search, np.nan))


@pytest.mark.parametrize(
    ("network", "change", "max_loss"),
    [
        (NETWORK, without_numbers, 1e4),
        (Steep(), lambda batch: batch, 1e4),
        (NETWORK, lambda batch: batch, 0.1),
    ],
)
def test_a_step_that_is_not_sound_changes_nothing_and_counts(network, change, max_loss):
    config = with_train(max_loss=max_loss)
    init = partial(init_tiny, network, config=CONFIG.model)
    state = create_on(make_mesh(jax.devices()[:1]), partial(create_state, init, OPTIMIZER, 0))
    momentum = jax.tree.map(jnp.ones_like, state.opt_state)
    state = state.replace(step=jnp.int32(5), opt_state=momentum)
    step = jax.jit(partial(STEP, network=network, config=config))
    after, metrics = step(state, change(make_batch(0)._replace(records=None)))
    assert metrics["skipped"] == 1 and after.skipped == 1 and after.step == 6
    assert np.isfinite(metrics["loss"]) == (change is not without_numbers)
    for kind in ("params", "batch_stats", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, kind), getattr(state, kind))


def test_abstract_state_is_what_create_on_returns():
    def describe(leaf):
        return leaf.shape, leaf.dtype, leaf.sharding

    mesh = make_mesh()
    concrete, abstract = create_on(mesh, CREATE), abstract_state(mesh, CREATE)
    assert jax.tree.map(describe, abstract) == jax.tree.map(describe, concrete)


def test_the_whole_step_has_float32_outputs():
    state = jax.eval_shape(CREATE)
    new, metrics = jax.eval_shape(STEP, state, make_batch(0)._replace(records=None))
    assert {leaf.dtype for leaf in jax.tree.leaves((new.params, new.batch_stats, metrics))} == {
        jnp.dtype("float32")
    }
    assert jax.tree.map(lambda x: (x.shape, x.dtype), new) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
