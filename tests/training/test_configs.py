"""Every network's whole training step, as shapes: wiring mistakes show in seconds."""

import functools

import jax
import pytest

from siamjax.config_files import load_config
from siamjax.models.build import build_network, init_variables
from siamjax.models.cpu import conv
from siamjax.training import parallel
from siamjax.training.optimizer import build_optimizer
from siamjax.training.phases import phases
from siamjax.training.state import create_state
from siamjax.training.step import make_step
from tests.conftest import ROOT


def configs():
    """One configuration for each network there is."""
    known = {}
    for path in sorted((ROOT / "configs").glob("*.py")):
        config = load_config(path)
        known.setdefault(config.model, config)
    return known.values()


@pytest.mark.parametrize("config", configs(), ids=lambda config: config.name)
def test_a_step_changes_values_only(config, monkeypatch):
    # Tracing takes most of its time in the CPU's convolutions of Winograd: they are the same in
    # every network, and one has them here.
    if config.name != "siamrpnpp_r50":
        monkeypatch.setattr(conv, "_MANY_CHANNELS", {})
    network = build_network(config.model)
    optimizer = build_optimizer(config)
    init = functools.partial(init_variables, network, config=config.model)
    mesh = parallel.make_mesh(jax.devices()[:1])
    state = parallel.abstract_state(mesh, functools.partial(create_state, init, optimizer, 0))
    for phase in phases(config):
        step = make_step(config, network, phase.frozen)
        new, metrics = jax.eval_shape(step, state, parallel.abstract_batch(config, mesh))
        assert jax.tree.map(describe, new) == jax.tree.map(describe, state)
        assert {describe(leaf) for leaf in metrics.values()} == {((), "float32")}


def describe(leaf):
    return leaf.shape, str(leaf.dtype)
