"""Phases: the backbone is frozen, then some stages are trained; held against PyTorch."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from siamjax.config import BACKBONES, ConfigError, OptimConfig
from siamjax.config_files import load_config
from siamjax.models.build import build_network, init_variables
from siamjax.training import loop, parallel, step
from siamjax.training.loop import train
from siamjax.training.optimizer import build_optimizer
from siamjax.training.phases import Phase, phase_at, phases, rate_scales
from siamjax.training.state import create_state
from siamjax.training.step import make_step
from tests.conftest import ROOT
from tests.models.networks import MODELS, quick_jit
from tests.training.test_loop import at, feed
from tests.training.tiny import STAGED, Batches, StagedNet, init_tiny, make_batch

NETWORK = StagedNet()
FROZEN, JOINED = phases(STAGED)


def published(name):
    return load_config(ROOT / "configs" / f"{name}.py")


def with_optim(config, **values):
    return dataclasses.replace(config, optim=dataclasses.replace(config.optim, **values))


@pytest.mark.parametrize(
    ("name", "joins_at", "frozen"),
    [
        ("siamrpnpp_r50", 10 * 2678, ("stem", "layer1")),
        ("siamrpnpp_r50_otb", 10 * 4687, ("stem",)),
        ("siamrpnpp_alexnet", 10 * 292, ("layer1", "layer2", "layer3")),
    ],
)
def test_phases_of_the_published_recipes(name, joins_at, frozen):
    config = published(name)
    stages = BACKBONES[config.model.backbone.name].stages
    first, second = phases(config)
    assert first == Phase(0, stages)
    assert second == Phase(joins_at, frozen)
    assert phase_at(joins_at - 1, config) == first
    assert phase_at(joins_at, config) == second == phase_at(config.train.steps - 1, config)


def test_phases_at_the_edges():
    stages = BACKBONES["alexnet"].stages
    assert phases(published("quickstart")) == (Phase(0, ()),)
    never = with_optim(STAGED, backbone_train_stages=())
    assert phases(never) == (Phase(0, stages),)
    too_late = with_optim(STAGED, backbone_train_epoch=3)
    assert phases(too_late) == (Phase(0, stages),)
    at_once = with_optim(STAGED, backbone_train_epoch=0)
    assert phases(at_once) == (Phase(0, ("layer1", "layer3", "layer4", "layer5")),)
    everything = with_optim(STAGED, backbone_train_stages=None)
    assert phases(everything) == (Phase(0, stages), Phase(4, ()))


def test_stages_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match="names 'layer3', which the network does not have"):
        with_optim(STAGED, backbone_train_stages=("layer2", "layer3")).check_training()
    with pytest.raises(ConfigError, match=r"let `optim.backbone_train_stages` be empty"):
        OptimConfig(backbone_lr_scale=0.0)


def test_rates_of_the_parts_of_a_resnet():
    config = published("siamrpnpp_r50")
    network = build_network(config.model)
    init = functools.partial(init_variables, network, config=config.model)
    params = jax.eval_shape(init, jax.random.key(0))["params"]
    scales = rate_scales(params, config, ("stem", "layer1"))
    found = {
        room: set(jax.tree.leaves(tree)) for room, tree in scales.items() if room != "backbone"
    }
    assert found == {"neck": {1.0}, "head": {1.0}, "fusion": {1.0}}
    stages = {name: set(jax.tree.leaves(tree)) for name, tree in scales["backbone"].items()}
    assert stages == {
        **{name: {0.0} for name in ("conv1", "bn1", "layer1")},
        **{name: {0.1} for name in ("layer2", "layer3", "layer4")},
    }


@pytest.mark.parametrize(
    "name, heads",
    [
        *((name, ()) for name in ("resnet18", "mobilenetv2", "alexnet up_channel", "siamfc")),
        ("resnet18", ("head",)),
    ],
)
def test_frozen_stages_of_every_backbone_keep_their_statistics(name, heads, rng):
    config = MODELS[name]
    network = build_network(config)
    variables = quick_jit(lambda key: init_variables(network, key, config))(jax.random.key(0))
    stages = [s for s in BACKBONES[config.backbone.name].stages if s != "stem"]
    built = [s for s in stages if s in variables["batch_stats"]["backbone"]]
    frozen = ("stem", *built[:2], *heads)
    sides = config.template_size, config.search_size
    images = [rng.uniform(0, 255, (2, n, n, 3)).astype(np.float32) for n in sides]

    @quick_jit
    def statistics(variables, template, search):
        settings = {"train": True, "frozen": frozen, "mutable": ["batch_stats"]}
        return network.apply(variables, template, search, **settings)[1]["batch_stats"]

    before, after = variables["batch_stats"], statistics(variables, *images)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    moved = {
        key[1].key if key[0].key == "backbone" else key[0].key
        for key, leaf in jax.tree_util.tree_leaves_with_path(
            jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
        )
        if leaf
    }
    assert moved == (set(built) - set(frozen)) | (set(before) - {"backbone", *heads})


@functools.cache
def history():
    """States before and after each of six steps; the backbone joins at the fifth."""
    mesh = parallel.make_mesh(jax.devices()[:1])
    init = functools.partial(init_tiny, NETWORK, config=STAGED.model)
    create = functools.partial(create_state, init, build_optimizer(STAGED), 0)
    state = parallel.create_on(mesh, create)
    states = [jax.device_get(state)]
    compiled = {
        phase: parallel.jit_step(make_step(STAGED, NETWORK, phase.frozen), mesh)
        for phase in phases(STAGED)
    }
    for number in range(6):
        batch = parallel.put_batch(make_batch(number), mesh)
        state, _ = compiled[phase_at(number, STAGED)](state, batch)
        states.append(jax.device_get(state))
    assert [step._cache_size() for step in compiled.values()] == [1, 1]
    return states


def bits(tree):
    return jax.tree.map(lambda leaf: leaf.tobytes(), tree)


def test_what_is_frozen_stays_bit_by_bit_and_the_tree_is_one():
    states = history()
    assert len({jax.tree.structure(state) for state in states}) == 1
    first, joined, last = states[0], states[4], states[6]
    for kind in ("params", "batch_stats"):
        before, then, after = (getattr(s, kind)["backbone"] for s in (first, joined, last))
        assert bits(before) == bits(then)
        assert bits(before["layer1"]) == bits(after["layer1"])
        for old, new in zip(*map(jax.tree.leaves, (then, after)), strict=True):
            assert old.shape == new.shape
        assert not np.array_equal(
            *(jax.tree.leaves(tree["layer2"])[0] for tree in (then, after))
        )
        assert bits(first.variables[kind]["neck"]) != bits(joined.variables[kind]["neck"])
    for state in states[:5]:
        assert not any(
            leaf.any() for leaf in jax.tree.leaves(state.opt_state.trace["backbone"])
        )
    assert not last.opt_state.trace["backbone"]["layer1"]["conv"]["kernel"].any()
    assert last.opt_state.trace["backbone"]["layer2"]["conv"]["kernel"].any()


def test_nothing_is_backpropagated_to_what_is_frozen():
    state, batch = history()[0], make_batch(0)._replace(records=None)

    def flops(frozen):
        lowered = jax.jit(make_step(STAGED, NETWORK, frozen)).lower(state, batch)
        return lowered.compile().cost_analysis()["flops"]

    every = BACKBONES["alexnet"].stages
    assert flops(every) < flops(every[:1]) < 0.9 * flops(())


def test_what_is_frozen_is_only_computed_forwards():
    """On an accelerator, a frozen backbone is two convolutions an image without gradients."""
    state, batch = history()[0], make_batch(0)._replace(records=None)
    config = dataclasses.replace(
        STAGED, train=dataclasses.replace(STAGED.train, micro_batches=2)
    )

    def backbone_convolutions(frozen):
        step = jax.jit(make_step(config, NETWORK, frozen)).trace(state, batch)
        text = step.lower(lowering_platforms=("cuda",)).as_text()
        return text.count("stablehlo.convolution")

    every = BACKBONES["alexnet"].stages
    # correlation and two convolutions, each with the gradients of its input and its kernel
    heads = 3 * 3
    assert backbone_convolutions(every) == 2 * 2 + heads
    # kernels of both stages for both images, and the second stage's gradient of its input
    assert backbone_convolutions(()) == 2 * 2 + heads + 2 * 3


@pytest.mark.parametrize("fixed", ["backbone", "head"])
def test_norms_that_are_fixed_keep_their_statistics_and_train_their_scale(fixed):
    config = dataclasses.replace(
        STAGED, optim=OptimConfig(warmup_epochs=1, **{f"{fixed}_norm": "fixed"})
    )
    state, batch = history()[0], make_batch(0)._replace(records=None)
    after, _ = jax.device_get(jax.jit(make_step(config, NETWORK))(state, batch))
    kept, moved = ("backbone", "neck") if fixed == "backbone" else ("neck", "backbone")
    assert bits(after.batch_stats[kept]) == bits(state.batch_stats[kept])
    assert bits(after.batch_stats[moved]) != bits(state.batch_stats[moved])
    for part in (after.params["neck"], after.params["backbone"]["layer2"]["bn"]):
        assert (part["bias"] != 0).any()


def torch_steps(state):
    """The parameters after six steps across the phases, in PyTorch."""
    import torch

    from tests.training.torch_staged import TorchStaged

    model = TorchStaged(state)
    optimizer = torch.optim.SGD(model.heads(), lr=0.0, momentum=0.9, weight_decay=0.01)
    rates = [0.005] * 4 + [0.02] * 2
    for number, rate in enumerate(rates):
        if number == JOINED.first_step:
            model.join("layer2")
            groups = [{"params": model.heads(), "scale": 1.0}]
            groups.append({"params": model.stage("layer2"), "scale": 0.1})
            optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, weight_decay=0.01)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        optimizer.zero_grad()
        # Two GPUs' worth of pairs in one batch: twice the mean gradient.
        (2 * model.loss(make_batch(number))).backward()
        trained = [p for group in optimizer.param_groups for p in group["params"]]
        assert torch.nn.utils.clip_grad_norm_(trained, 1.0) > 1.0
        optimizer.step()
    return model.params()


def test_steps_equal_pytorch_across_the_phases(against):
    """Losses, summed gradients, clip, decay, momentum, rates of groups, a new optimiser."""
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    before, after = history()[0], history()[6].params
    for ours, theirs in against("torch", after, lambda: torch_steps(before)):
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        jax.tree.map(close, ours, theirs)


def test_momentum_starts_again_even_if_the_step_of_the_joining_is_skipped():
    mesh = parallel.make_mesh(jax.devices()[:1])
    step = jax.jit(make_step(STAGED, NETWORK, JOINED.frozen))
    before = jax.device_put(history()[JOINED.first_step], jax.devices()[0])
    assert any(leaf.any() for leaf in jax.tree.leaves(before.opt_state.trace))
    batch = parallel.put_batch(make_batch(4), mesh)
    skipped, metrics = step(before, batch._replace(search=batch.search * np.nan))
    assert metrics["skipped"] == 1 and bits(skipped.params) == bits(before.params)
    after, _ = step(skipped, batch)
    # As if there had been no momentum, one step later
    cold = before.replace(
        step=skipped.step, opt_state=jax.tree.map(np.zeros_like, before.opt_state)
    )
    expected, _ = step(jax.device_put(cold, jax.devices()[0]), batch)
    assert bits(after.params) == bits(expected.params)
    assert bits(after.opt_state) == bits(expected.opt_state)


def test_both_norms_are_reported_where_gradients_are_summed():
    state, batch = history()[0], make_batch(0)._replace(records=None)
    _, metrics = jax.jit(make_step(STAGED, NETWORK, FROZEN.frozen))(state, batch)
    # batches of 4 pairs, as the sum of two GPUs' means over 2
    np.testing.assert_allclose(metrics["summed_grad_norm"], 2 * metrics["grad_norm"])
    plain = with_optim(STAGED, summed_batch=None)
    _, metrics = jax.jit(make_step(plain, NETWORK, FROZEN.frozen))(state, batch)
    assert "summed_grad_norm" not in metrics


@pytest.mark.parametrize("cut_at", [3, 4, 5])
def test_a_run_resumes_across_the_phases(tmp_path, monkeypatch, cut_at):
    class Cut(BaseException):
        pass

    def cut():
        raise Cut

    traces, original = [], step.train_step
    monkeypatch.setattr(loop, "build_network", lambda model: NETWORK)
    monkeypatch.setattr(loop, "init_variables", init_tiny)
    monkeypatch.setattr(loop, "make_batches", Batches)
    monkeypatch.setattr(
        step, "train_step", lambda *a, **k: traces.append(1) or original(*a, **k)
    )
    config = dataclasses.replace(
        STAGED, train=dataclasses.replace(STAGED.train, checkpoint_every=1, log_every=100)
    )
    whole = jax.device_get(train(config, tmp_path / "whole"))
    assert len(traces) == 2  # one compilation for each phase
    with monkeypatch.context() as patch:
        feed(patch, at(cut_at, cut))
        with pytest.raises(Cut):
            train(config, tmp_path / "cut")
    again = jax.device_get(train(config, tmp_path / "cut"))
    assert len(traces) == 4 + (2 if cut_at < 4 else 1)
    assert bits(again) == bits(whole)
