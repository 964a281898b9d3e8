"""What a run starts from: all or some parts, checked, reported, and read once."""

import dataclasses
import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import BackboneConfig, Config, ConfigError, InitConfig, ModelConfig
from siamjax.models.build import build_network, init_variables
from siamjax.training import loop, parallel
from siamjax.training.batch_norm import calibrate_norms
from siamjax.training.checkpoints import CheckpointError, save_variables
from siamjax.training.loop import train
from siamjax.training.start import begin_from, read_start
from siamjax.training.state import TrainState
from tests.training.test_loop import at, feed, uninterrupted, use_tiny  # noqa: F401
from tests.training.tiny import CONFIG, make_batch

SHAPES = {
    "params": {
        "backbone": {"conv1": {"kernel": (3, 3, 3, 8)}, "layer1": {"kernel": (1, 1, 8, 8)}},
        "head": {"bias": (10,)},
    },
    "batch_stats": {"backbone": {"bn1": {"mean": (8,)}}},
}


def variables_of(seed, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32),
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )


def shapes_of(variables):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)


def starting(path, *parts):
    return dataclasses.replace(CONFIG, init=InitConfig(path=str(path), parts=parts))


def assert_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.fixture
def saved(tmp_path):
    save_variables(tmp_path / "earlier", variables_of(1), CONFIG)
    return tmp_path / "earlier"


def test_nothing_is_read_without_a_path():
    assert read_start(CONFIG, shapes_of(variables_of(0))) is None


def test_a_checkpoint_is_taken_whole(saved):
    start = read_start(starting(saved), shapes_of(variables_of(0)))
    assert_equal(start.variables, variables_of(1))
    assert start.summary.splitlines()[1:] == [
        "  backbone: 3 arrays, loaded",
        "  head: 1 arrays, loaded",
    ]


def test_a_part_is_taken_from_another_network(saved):
    shapes = {**SHAPES, "params": {**SHAPES["params"], "head": {"other": (4, 4)}}}
    start = read_start(starting(saved, "backbone"), shapes_of(variables_of(0, shapes)))
    assert start.variables["params"].keys() == start.variables["batch_stats"].keys()
    assert_equal(start.variables["params"]["backbone"], variables_of(1)["params"]["backbone"])
    assert start.summary.splitlines()[1:] == [
        "  backbone: 3 arrays, loaded",
        "  head: 1 arrays, random",
        "  head: not used",
    ]
    with pytest.raises(
        CheckpointError, match="belongs to another network: it has params/head/bias,"
    ):
        read_start(starting(saved), shapes_of(variables_of(0, shapes)))


def test_what_is_not_there_is_named(saved, tmp_path):
    shapes = shapes_of(variables_of(0))
    for config, message in [
        (starting(tmp_path / "nothing.pth"), r"`init.path` \(=.*nothing.pth'\) does not exist"),
        (starting(saved, "neck"), r"`init.parts` names 'neck', but it has \['backbone', 'head"),
    ]:
        with pytest.raises(ConfigError, match=message):
            read_start(config, shapes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        read_start(starting(tmp_path / "empty"), shapes)
    (tmp_path / "noise.pth").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"noise\.pth"):
        read_start(starting(tmp_path / "noise.pth"), shapes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "x", "parts": ("bakbone",)}, "did you mean 'backbone'"),
        ({"parts": ("backbone",)}, "need `init.path`"),
    ],
)
def test_a_broken_rule_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        InitConfig(**values)


def test_a_state_is_begun_on_its_devices_and_may_be_donated(saved):
    mesh = parallel.make_mesh()

    def create():
        variables = jax.tree.map(jnp.asarray, variables_of(0))
        return TrainState(
            step=jnp.int32(0), skipped=jnp.int32(0), **variables, opt_state=jnp.ones(3)
        )

    start = read_start(starting(saved, "backbone"), shapes_of(variables_of(0)))
    state = begin_from(start, parallel.create_on(mesh, create))
    expected = {
        kind: variables_of(0)[kind] | {"backbone": variables_of(1)[kind]["backbone"]}
        for kind in ("params", "batch_stats")
    }
    assert_equal(jax.device_get(state.variables), expected)
    assert {leaf.sharding for leaf in jax.tree.leaves(state)} == {parallel.replicated(mesh)}
    add = jax.jit(lambda s: jax.tree.map(lambda x: x + x.dtype.type(1), s), donate_argnums=0)
    add(state)
    assert_equal(start.variables["params"]["backbone"], variables_of(1)["params"]["backbone"])


def test_a_run_begins_with_it_and_a_resumed_one_does_not_need_it(
    tmp_path,
    monkeypatch,
    capsys,
    uninterrupted,  # noqa: F811
):
    use_tiny(monkeypatch)
    train(CONFIG, tmp_path / "earlier")
    config = starting(tmp_path / "earlier")
    with monkeypatch.context() as patch:
        begun = []
        patch.setattr(
            loop, "begin_from", lambda *args: begun.append(begin_from(*args)) or begun[0]
        )
        feed(patch, at(0, lambda: begun.append(jax.device_get(begun[0]))))
        train(config, tmp_path / "whole")
    assert begun[1].step == 0
    assert_equal(begun[1].variables, uninterrupted.variables)
    assert "starting from checkpoint" in capsys.readouterr().out
    assert "loaded" in (tmp_path / "whole" / "start.txt").read_text()

    def stop():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        feed(patch, at(7, stop))
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "cut")
    shutil.rmtree(tmp_path / "earlier")
    resumed = jax.device_get(train(config, tmp_path / "cut"))
    assert_equal(resumed, jax.device_get(train(config, tmp_path / "whole")))
    with pytest.raises(ConfigError, match="does not exist"):
        train(config, tmp_path / "new")
    assert not (tmp_path / "new" / "config.json").exists()


def test_batch_norms_that_came_folded_are_measured_before_the_first_step(tmp_path, monkeypatch):
    use_tiny(monkeypatch)
    train(CONFIG, tmp_path / "earlier")
    begun = []

    def read(*arguments):
        return dataclasses.replace(read_start(*arguments), folded=("bn",))

    def measure(*arguments, **settings):
        begun.append(jax.device_get(calibrate_norms(*arguments, **settings)))
        return begun[0]

    monkeypatch.setattr(loop, "read_start", read)
    monkeypatch.setattr(loop, "calibrate_norms", measure)
    state = train(starting(tmp_path / "earlier"), tmp_path / "run")
    assert int(state.step) == 12 and int(state.skipped) == 0
    kernel = begun[0]["params"]["conv"]["kernel"].reshape(-1, 8)
    batch = make_batch(0)
    means = []
    for images, cells in ((batch.template, 2), (batch.search, 6)):
        patches = (images / 64).reshape(4, cells, 8, cells, 8, 3).swapaxes(2, 3)
        means.append((patches.reshape(-1, 8 * 8 * 3) @ kernel).mean(0) * 4 * cells**2)
    expected = sum(means) / (4 * (2**2 + 6**2))
    np.testing.assert_allclose(begun[0]["batch_stats"]["bn"]["mean"], expected, rtol=1e-4)


def test_imagenet_weights_fill_the_backbone(shared):
    path = shared / "weights" / "mobilenetv2_1.0_imagenet.npz"
    if not path.is_file():
        pytest.skip("the shared ImageNet weights are not here")
    config = Config(
        name="light",
        model=ModelConfig(
            backbone=BackboneConfig(name="mobilenetv2"), levels=("layer3", "layer5", "layer7")
        ),
        init=InitConfig(path=str(path)),
    )
    network = build_network(config.model)
    init = functools.partial(init_variables, network, config=config.model)
    start = read_start(config, jax.eval_shape(init, jax.random.key(0)))
    assert list(start.variables["params"]) == ["backbone"]
    with np.load(path) as arrays:
        np.testing.assert_array_equal(
            start.variables["params"]["backbone"]["layer7"]["block0"]["project"]["kernel"],
            arrays["50_CONV_2D_w"].transpose(1, 2, 3, 0),
        )
    assert "  backbone: 260 arrays, loaded\n  fusion: 2 arrays, random" in start.summary
    assert "50_CONV_2D_w" in start.account
    assert len(start.folded) == 52 and "backbone/layer3/block1/expand_bn" in start.folded
