"""The moving average of the weights: its values, its checkpoints, who uses it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import ConfigError, InitConfig, TrainConfig
from siamjax.training import loop
from siamjax.training.checkpoints import CheckpointError, Checkpoints, load_variables
from siamjax.training.loop import train
from siamjax.training.state import TrainState, moving_average
from tests.training.test_loop import at, checkpoints_of, feed, use_tiny
from tests.training.tiny import CONFIG, STAGED, StagedNet, with_train

AVERAGED = with_train(average_decay=0.5, checkpoint_every=1, keep_checkpoints=100)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    use_tiny(monkeypatch)


def assert_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def states_of(workdir, config):
    """Every checkpoint's state, by its number."""
    states = {}
    like = train(config, workdir)
    for step in checkpoints_of(workdir):
        path = workdir / "checkpoints" / str(step)
        alone = workdir / "alone" / str(step)
        alone.mkdir(parents=True)
        (alone / str(step)).symlink_to(path)
        with Checkpoints(alone, keep=1, config=config) as checkpoints:
            states[step] = jax.device_get(checkpoints.restore(like))
    return states


def test_the_average_by_hand():
    # 1/10 and 2/11 are the decays of the first two steps, 0.5 is that of the ninth.
    average = moving_average({"x": jnp.float32(1)}, {"x": jnp.float32(11)}, 0.5, jnp.int32(0))
    np.testing.assert_allclose(average["x"], 0.1 * 1 + 0.9 * 11, rtol=1e-6)
    average = moving_average(average, {"x": jnp.float32(21)}, 0.5, jnp.int32(1))
    np.testing.assert_allclose(average["x"], 2 / 11 * 10 + 9 / 11 * 21, rtol=1e-6)
    average = moving_average({"x": jnp.float32(4)}, {"x": jnp.float32(6)}, 0.5, jnp.int32(99))
    np.testing.assert_allclose(average["x"], 5.0)


def test_a_run_keeps_the_average_of_its_steps(tmp_path):
    plain = with_train(checkpoint_every=1, keep_checkpoints=100)
    raw = states_of(tmp_path / "plain", plain)
    states = states_of(tmp_path / "averaged", AVERAGED)
    expected = raw[1].variables  # nine tenths of it, and a tenth of the start
    for step in range(1, 13):
        assert_equal(states[step].variables, raw[step].variables)
        decay = min(0.5, step / (9 + step))
        if step == 1:
            expected = states[1].average
            continue
        expected = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * new, expected, raw[step].variables
        )
        jax.tree.map(
            lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6),
            states[step].average,
            expected,
        )
    loaded = load_variables(tmp_path / "averaged", jax.eval_shape(lambda: raw[1].variables))
    assert_equal(jax.device_get(loaded), states[12].average)


def test_validation_gets_the_average(tmp_path):
    seen = []

    def validate(variables):
        seen.append(jax.device_get(variables))
        return {"success_auc": 0.5}

    state = jax.device_get(train(AVERAGED, tmp_path, validate=validate))
    assert_equal(seen[-1], state.average)
    assert not np.array_equal(*(jax.tree.leaves(v)[0] for v in (seen[-1], state.variables)))


def test_a_run_that_is_interrupted_keeps_its_average(tmp_path, monkeypatch):
    class Cut(BaseException):
        pass

    def cut():
        raise Cut

    whole = jax.device_get(train(AVERAGED, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        feed(patch, at(7, cut))
        with pytest.raises(Cut):
            train(AVERAGED, tmp_path / "cut")
    assert_equal(jax.device_get(train(AVERAGED, tmp_path / "cut")), whole)


def test_a_skipped_step_leaves_the_average(tmp_path, monkeypatch):
    def spoil(step, batch):
        return batch._replace(search=batch.search * np.nan) if step == 5 else None

    feed(monkeypatch, spoil)
    states = states_of(tmp_path, AVERAGED)
    assert_equal(states[6].average, states[5].average)
    assert states[6].skipped == 1 and states[7].skipped == 1
    # Six steps counted before the next one, of which one was no step.
    decay = min(0.5, 6 / 15)
    jax.tree.map(
        lambda ours, old, new: np.testing.assert_allclose(
            ours, decay * old + (1 - decay) * new, rtol=1e-4, atol=1e-6
        ),
        states[7].average,
        states[6].average,
        states[7].variables,
    )


def test_a_run_begins_its_average_with_the_weights_that_it_starts_from(tmp_path):
    first = train(CONFIG, tmp_path / "first")
    config = dataclasses.replace(
        with_train(average_decay=0.999, checkpoint_every=1, keep_checkpoints=100),
        init=InitConfig(path=str(tmp_path / "first")),
    )
    start = jax.device_get(first.variables)
    after = states_of(tmp_path / "second", config)[1]
    jax.tree.map(
        lambda ours, old, new: np.testing.assert_allclose(
            ours, 0.1 * old + 0.9 * new, rtol=1e-4, atol=1e-6
        ),
        after.average,
        start,
        after.variables,
    )


def test_the_average_continues_when_the_backbone_joins(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "build_network", lambda model: StagedNet())
    config = dataclasses.replace(
        STAGED,
        train=dataclasses.replace(
            STAGED.train, average_decay=0.9, checkpoint_every=1, keep_checkpoints=100
        ),
    )
    states = states_of(tmp_path, config)
    average = states[4].average
    for kind in ("params", "batch_stats"):  # frozen so far: an average of one value is it
        assert_equal(average[kind]["backbone"], states[4].variables[kind]["backbone"])
    jax.tree.map(
        lambda ours, old, new: np.testing.assert_allclose(
            ours, 5 / 14 * old + 9 / 14 * new, rtol=1e-4, atol=1e-6
        ),
        states[5].average,
        average,
        states[5].variables,
    )


@pytest.mark.parametrize(("first", "then"), [(AVERAGED, CONFIG), (CONFIG, AVERAGED)])
def test_a_run_cannot_take_up_an_average_or_drop_it(tmp_path, first, then):
    state = train(first, tmp_path)
    other = state.replace(average=None if state.average else state.variables)
    with (
        Checkpoints(tmp_path / "checkpoints", keep=1, config=then) as checkpoints,
        pytest.raises(CheckpointError, match="average of the weights, and `train"),
    ):
        checkpoints.restore(other)
    assert "12" in {path.name for path in (tmp_path / "checkpoints").iterdir()}


def test_an_average_that_forgets_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"`train.average_decay` \(=1.0\) must lie in"):
        TrainConfig(average_decay=1.0)


def test_the_start_of_an_average_is_no_one_else_s():
    state = TrainState(jnp.int32(0), jnp.int32(0), {}, {}, None, average={})
    variables = {"params": {"x": jnp.ones(3)}, "batch_stats": {}}
    state = state.starting_from(variables)
    before = jax.device_get(variables["params"])
    double = jax.jit(lambda s: jax.tree.map(lambda x: x + x, s), donate_argnums=0)
    doubled = double(state)
    np.testing.assert_array_equal(doubled.average["params"]["x"], 2 * before["x"])
