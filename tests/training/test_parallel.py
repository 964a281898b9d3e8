"""Training is the same however a batch is divided: devices, processes, micro-batches."""

import dataclasses
import functools
import subprocess
import sys

import jax
import numpy as np
import pytest

from siamjax.config import ConfigError, TrainConfig
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.losses import count, pair_losses
from siamjax.training.optimizer import build_optimizer
from siamjax.training.state import create_state
from siamjax.training.step import make_step
from tests.conftest import ROOT
from tests.training.test_end_to_end import SMALL
from tests.training.tiny import TinyNet, init_tiny, make_batch, with_train

STEPS = 10


def run(devices, steps=STEPS, network=None, **train):
    """State and metrics after some steps on so many devices, and every step's metrics."""
    config = with_train(batch_size=16, pairs_per_epoch=48, **train)
    network = network or TinyNet()
    mesh = parallel.make_mesh(jax.devices()[:devices])
    init = functools.partial(init_tiny, network, config=config.model)
    create = functools.partial(create_state, init, build_optimizer(config), 7)
    step = make_step(config, network)
    step = parallel.compile_step(step, mesh, config, parallel.abstract_state(mesh, create))
    state, history = parallel.create_on(mesh, create), []
    stacked = config.train.parallel == "pmap"
    for number in range(steps):
        batch = make_batch(number, config)
        with jax.transfer_guard("disallow"):
            state, metrics = step(state, parallel.put_batch(batch, mesh, stacked=stacked))
        history.append(jax.device_get(metrics))
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))
    return jax.device_get(state), history


def assert_close(ours, theirs, atol=1e-5):
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=atol)
    jax.tree.map(equal, ours, theirs)


@functools.cache
def one_device(**train):
    return run(1, **train)


@pytest.mark.parametrize(("how", "devices"), [("jit", 2), ("pmap", 1), ("pmap", 2)])
def test_devices_and_programs_do_not_matter(how, devices):
    assert_close(run(devices, parallel=how), one_device())


@pytest.mark.slow
def test_eight_devices_equal_one_in_a_process_of_their_own():
    program = (
        "from tests.training.test_parallel import *\n"
        "jax.config.update('jax_num_cpu_devices', 8)\n"
        "for how in 'jit', 'pmap':\n"
        "    for devices in 4, 8:\n"
        "        assert_close(run(devices, parallel=how), one_device())\n"
        "assert_close(run(8, batch_stats='device'), run(8, parallel='pmap', "
        "batch_stats='device'))\n"
        "assert_close(run(8, micro_batches=2), run(4, parallel='pmap', micro_batches=2))\n"
        "print('equal')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", ["jit", "pmap"])
def test_devices_do_not_matter_to_a_whole_network(how):
    config = dataclasses.replace(
        SMALL, train=dataclasses.replace(SMALL.train, batch_size=2, parallel=how)
    )
    network = build_network(config.model)
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(create_state, init, build_optimizer(config), 7)
    after = []
    for devices in (1, 2):
        mesh = parallel.make_mesh(jax.devices()[:devices])
        step = make_step(config, network)
        step = parallel.compile_step(step, mesh, config, parallel.abstract_state(mesh, create))
        batch = parallel.put_batch(make_batch(0, config), mesh, stacked=how == "pmap")
        state, metrics = step(parallel.create_on(mesh, create), batch)
        after.append(jax.device_get((state.opt_state, state.batch_stats, metrics)))
    # two pairs leave a batch norm little to average over: what rounding does is amplified
    equal = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-4)
    jax.tree.map(equal, *after)


def test_statistics_of_each_device_are_the_same_under_jit_and_pmap_and_not_global():
    jitted = run(2, batch_stats="device")
    assert_close(run(2, parallel="pmap", batch_stats="device"), jitted)
    assert_close(run(1, batch_stats="device"), one_device())  # one device has all there is
    difference = jitted[0].params["conv"]["kernel"] - one_device()[0].params["conv"]["kernel"]
    assert np.abs(difference).max() > 1e-4


def test_statistics_of_each_device_are_those_of_its_own_pairs():
    config = with_train(batch_size=16, pairs_per_epoch=48)
    network, batch = TinyNet(), make_batch(0, config)
    state, _ = run(2, steps=0)
    halves = [jax.tree.map(lambda x, i=i: x[8 * i : 8 * i + 8], batch) for i in range(2)]
    updated = [
        network.apply(
            state.variables, half.template, half.search, train=True, mutable=["batch_stats"]
        )[1]["batch_stats"]
        for half in halves
    ]
    expected = jax.tree.map(lambda a, b: (a + b) / 2, *updated)
    after, _ = run(2, steps=1, batch_stats="device")
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5), after.batch_stats, expected
    )


class WithoutStatistics(TinyNet):
    """Its batch norm never looks at the batch."""

    def __call__(self, template, search, *, train=False, frozen=()):
        return super().__call__(template, search, train=False)


@pytest.mark.parametrize(
    ("how", "devices", "parts"), [("jit", 1, 4), ("jit", 2, 2), ("pmap", 2, 4)]
)
def test_micro_batches_equal_one_batch_but_for_batch_statistics(how, devices, parts):
    network = WithoutStatistics()
    ours = run(devices, network=network, parallel=how, micro_batches=parts)
    assert_close(ours, run(1, network=network))
    with_statistics = run(devices, parallel=how, micro_batches=parts)[0]
    difference = (
        with_statistics.params["conv"]["kernel"] - (one_device()[0].params["conv"]["kernel"])
    )
    assert 1e-5 < np.abs(difference).max() < 0.1


def test_micro_batches_do_not_depend_on_the_number_of_devices():
    assert_close(run(2, micro_batches=2), run(1, micro_batches=2))


def test_losses_of_parts_add_up_where_a_part_has_no_positive():
    config = with_train(batch_size=4)
    batch = make_batch(0, config)
    batch.label_cls[:2][batch.label_cls[:2] == 1] = -1
    prediction = TinyNet().apply(
        init_tiny(TinyNet(), jax.random.key(0), None), batch.template, batch.search
    )
    whole = pair_losses(prediction, batch, config.loss)
    counts = count(batch)
    parts = [
        pair_losses(
            *jax.tree.map(lambda x, i=i: x[2 * i : 2 * i + 2], (prediction, batch)),
            config.loss,
            counts,
        )
        for i in range(2)
    ]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "devices", "hosts", "parts", "told"),
    [
        (30, 8, 1, 1, "the 8 devices that share it; use 24 or 32"),
        (3, 8, 1, 1, "use 8"),
        (7, 2, 1, 1, "use 6 or 8"),
        (28, 8, 2, 1, "the 8 devices that share it on 2 hosts; use 24 or 32"),
        (24, 8, 1, 2, r"the 8 devices .* times `train\.micro_batches` \(=2\); use 16 or 32"),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(size, devices, hosts, parts, told):
    train = TrainConfig(batch_size=size, micro_batches=parts)
    with pytest.raises(ConfigError, match=rf"`train\.batch_size` \(={size}\).*{told}"):
        parallel.check_batch_size(train, devices, hosts)
    fits = TrainConfig(batch_size=devices * parts * 3, micro_batches=parts)
    parallel.check_batch_size(fits, devices, hosts)
