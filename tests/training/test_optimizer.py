"""The schedule against the reference's rates; the update against PyTorch's SGD."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from siamjax.config import Config, OptimConfig, TrainConfig
from siamjax.config_files import load_config
from siamjax.training.optimizer import (
    build_optimizer,
    epoch_rates,
    gradient_scale,
    learning_rate,
)
from tests.conftest import ROOT

# The head's rate in each of the 20 epochs of PySOT's siamrpn_r50_l234_dwxcorr_8gpu, computed
# with its own lr scheduler and rounded to six digits.
R50 = [0.001, 0.00138, 0.001904, 0.002627, 0.003624]
R50 += [0.005, 0.004242, 0.003598, 0.003053, 0.00259, 0.002197, 0.001864, 0.001581]
R50 += [0.001341, 0.001138, 0.000965, 0.000819, 0.000695, 0.000589, 0.0005]


# siamrpn_alex_dwxcorr_16gpu: its BASE_LR halves the rates that its schedule states.
ALEXNET_WARMUP = [0.0025, 0.002872, 0.003299, 0.003789, 0.004353]


def pysot_rates(start, end, epochs, factor=1.0):
    """The logarithmic part of PySOT's table, in its own words of NumPy."""
    return factor * np.logspace(math.log10(start), math.log10(end), epochs)


PUBLISHED = {
    "siamrpnpp_r50": R50,
    "siamrpnpp_r50_8gpu": R50,
    "siamrpnpp_r50_16gpu": R50,
    "siamrpnpp_r50_otb": [*R50[:5], *pysot_rates(0.005, 0.0025, 15)],
    "siamrpnpp_alexnet": [*ALEXNET_WARMUP, *pysot_rates(0.01, 0.0005, 45, 0.5)],
    "siamfc": np.logspace(-2, -5, 50),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_rates_of_the_published_recipes(name):
    config = load_config(ROOT / "configs" / f"{name}.py")
    rates = epoch_rates(config.optim, config.train.epochs)
    np.testing.assert_allclose(rates, PUBLISHED[name], atol=5.1e-7)


@pytest.mark.parametrize(
    ("name", "gpus", "steps"),
    [
        ("siamrpnpp_r50", 8, 2678),
        ("siamrpnpp_r50_8gpu", 8, 2678),
        ("siamrpnpp_r50_16gpu", 16, 1562),
        ("siamrpnpp_r50_otb", 8, 4687),
        ("siamrpnpp_alexnet", 16, 292),
    ],
)
def test_gradients_are_summed_over_pysot_s_gpus(name, gpus, steps):
    config = load_config(ROOT / "configs" / f"{name}.py")
    assert gradient_scale(config) == gpus
    assert config.train.steps_per_epoch == steps
    one = dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, batch_size=config.optim.summed_batch),
    )
    assert gradient_scale(one) == 1


def test_a_held_learning_rate_decays_in_the_last_tenth():
    rise = {"lr": 0.01, "warmup_lr": 0.001, "end_lr": 0.0001, "schedule": "hold"}
    rates = epoch_rates(OptimConfig(**rise, warmup_epochs=1), 20)
    np.testing.assert_allclose(rates, [0.001, *[0.01] * 17, 0.001, 0.0001], rtol=1e-6)
    # a tenth of eleven epochs is two, of three one; a warm-up leaves what it leaves
    rates = epoch_rates(OptimConfig(**rise, warmup_epochs=0), 11)
    np.testing.assert_allclose(rates, [*[0.01] * 9, 0.001, 0.0001], rtol=1e-6)
    rates = epoch_rates(OptimConfig(**rise, warmup_epochs=2), 3)
    np.testing.assert_allclose(rates[-1], 0.0001, rtol=1e-6)
    assert len(rates) == 3


def test_the_sum_is_clipped_and_decay_is_not_scaled():
    optim = OptimConfig(
        lr=1.0, warmup_epochs=0, summed_batch=2, clip_norm=10.0, weight_decay=0.5
    )
    train = TrainConfig(batch_size=8, pairs_per_epoch=8)
    optimizer = build_optimizer(Config(name="x", optim=optim, train=train))
    params = {"a": jnp.array([2.0, 4.0])}
    for gradient, moved in [
        ([0.3, 0.4], [-1.2 - 1, -1.6 - 2]),  # times 4; norm 2, below the clip
        ([3.0, 4.0], [-6.0 - 1, -8.0 - 2]),  # times 4; norm 20, halved
    ]:
        updates, _ = optimizer.update(
            {"a": jnp.array(gradient)}, optimizer.init(params), params, step=jnp.int32(0)
        )
        np.testing.assert_allclose(updates["a"], moved, rtol=1e-6)
    unclipped = dataclasses.replace(optim, clip_norm=None)
    optimizer = build_optimizer(Config(name="x", optim=unclipped, train=train))
    updates, _ = optimizer.update(
        {"a": jnp.array([3.0, 4.0])}, optimizer.init(params), params, step=jnp.int32(0)
    )
    np.testing.assert_allclose(updates["a"], [-12.0 - 1, -16.0 - 2], rtol=1e-6)


def test_rates_at_the_edges():
    no_warmup = OptimConfig(lr=0.1, end_lr=0.001, warmup_epochs=0)
    np.testing.assert_allclose(epoch_rates(no_warmup, 3), [0.1, 0.01, 0.001], rtol=1e-6)
    np.testing.assert_allclose(epoch_rates(no_warmup, 1), [0.1], rtol=1e-6)
    one_left = OptimConfig(lr=0.1, end_lr=0.001, warmup_lr=0.025, warmup_epochs=2)
    np.testing.assert_allclose(epoch_rates(one_left, 3), [0.025, 0.05, 0.1], rtol=1e-6)


def test_rate_is_constant_within_an_epoch_and_the_same_on_host_and_device():
    optim, train = OptimConfig(), TrainConfig(batch_size=10, pairs_per_epoch=35, epochs=20)
    assert train.steps_per_epoch == 3
    on_device = jax.jit(lambda step: learning_rate(step, optim, train))
    for step in (0, 2, 3, 14, 15, 59, 60, 1000):
        expected = R50[min(step // 3, 19)]
        assert learning_rate(step, optim, train) == pytest.approx(expected, abs=5.1e-7)
        assert on_device(jnp.int32(step)) == learning_rate(step, optim, train)


def torch_sgd(start, gradients, rates):
    """Where SGD with PySOT's momentum and clip ends, with this decay and these rates."""
    import torch

    params = {k: torch.nn.Parameter(torch.from_numpy(v.copy())) for k, v in start.items()}
    sgd = torch.optim.SGD(params.values(), lr=1.0, momentum=0.9, weight_decay=0.05)
    for gradient, rate in zip(gradients, rates, strict=True):
        for key, parameter in params.items():
            parameter.grad = torch.from_numpy(gradient[key].copy())
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        sgd.param_groups[0]["lr"] = float(rate)
        sgd.step()
    return {key: parameter.detach().numpy() for key, parameter in params.items()}


def test_updates_equal_pytorch_sgd(rng, against):
    optim = OptimConfig(warmup_epochs=2, clip_norm=1.0, weight_decay=0.05, lr=0.3, end_lr=0.01)
    train = TrainConfig(batch_size=1, pairs_per_epoch=3, epochs=5)
    start = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    start = {k: v.astype(np.float32) for k, v in start.items()}
    # Norms on both sides of the clip.
    scales = [0.01, 0.1, 5.0, 0.2, 30.0, 0.1, 1.0, 0.05, 2.0, 0.3, 0.1, 0.1]
    gradients = [
        {k: (scale * rng.normal(size=v.shape)).astype(np.float32) for k, v in start.items()}
        for scale in scales
    ]

    optimizer = build_optimizer(Config(name="x", optim=optim, train=train))

    @jax.jit
    def update(params, state, gradient, step):
        updates, state = optimizer.update(gradient, state, params, step=step)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.asarray, start)
    state = optimizer.init(params)
    for step, gradient in enumerate(gradients):
        params, state = update(params, state, gradient, jnp.int32(step))
    rates = [epoch_rates(optim, 5)[step // 3] for step in range(len(gradients))]
    for ours, theirs in against("torch", params, lambda: torch_sgd(start, gradients, rates)):
        for key in start:
            np.testing.assert_allclose(ours[key], theirs[key], atol=2e-6)


def test_optimizer_state_mirrors_the_parameters():
    params = {"a": {"kernel": jnp.ones((2, 3))}, "b": {"bias": jnp.ones(4)}}
    state = build_optimizer(Config(name="x")).init(params)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(state)) == [(2, 3), (4,)]
