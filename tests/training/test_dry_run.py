"""The dry run: the network's numbers, an image of the batch, and nothing is trained."""

import functools
import re

import jax
import matplotlib.image
import numpy as np
import pytest

from siamjax.config import ConfigError
from siamjax.training import dry_run as dry
from siamjax.training.optimizer import build_optimizer
from siamjax.training.pair_images import draw_pairs
from siamjax.training.state import create_state
from tests.training.tiny import CONFIG, Batches, TinyNet, init_tiny, make_batch, with_train


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(dry, "build_network", lambda model: TinyNet())
    monkeypatch.setattr(dry, "init_variables", init_tiny)
    monkeypatch.setattr(dry, "make_batches", Batches)


def test_it_tells_what_a_step_takes_and_draws_the_first_pairs(tmp_path, capsys):
    dry.dry_run(CONFIG, tmp_path)
    said = capsys.readouterr().out
    # convolution 8 * 8 * 3 * 8, its norm 8 + 8, heads 8 * 4 + 4 and 8 * 8 + 8
    assert "parameters: 1,660, 1,660 of them trained" in said
    assert "tiny: batch of 4 on 2 cpu devices, jit" in said
    assert "steps: 12, 4 an epoch" in said
    memory = float(re.search(r"memory: ([\d.,]+) MB on each device", said)[1])
    # half a batch and the state, at least
    assert 2 * (48 * 48 + 16 * 16) * 3 * 4 / 1e6 < memory < 50
    picture = matplotlib.image.imread(tmp_path / dry.IMAGE)[..., :3]
    expected = draw_pairs(make_batch(0), CONFIG.model)
    np.testing.assert_array_equal(np.rint(picture * 255), expected)
    assert [path.name for path in tmp_path.iterdir()] == [dry.IMAGE]


def test_operations_are_those_of_the_layers_whatever_the_division():
    config = with_train(batch_size=4)
    init = functools.partial(init_tiny, TinyNet(), config=config.model)
    state = jax.eval_shape(lambda: create_state(init, build_optimizer(config), 0))
    counted = dry.step_flops(config, TinyNet(), (), state)
    # multiply-adds forward: the 8 x 8 convolution on 6 * 6 + 2 * 2 cells, the correlation of
    # 2 x 2 on 5 x 5 cells with 8 channels, and 8 to 12 channels on 5 x 5 cells
    forward = 4 * 2 * (40 * 192 * 8 + 25 * 4 * 8 + 25 * 8 * 12)
    # backward costs as much again for each input that has a gradient; images have none
    assert 2 * forward < counted < 4 * forward
    divided = dry.step_flops(with_train(batch_size=4, micro_batches=2), TinyNet(), (), state)
    assert divided == counted
    larger = dry.step_flops(with_train(batch_size=8), TinyNet(), (), state)
    assert larger == pytest.approx(2 * counted, rel=0.1)


def test_nothing_is_computed(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a step was run")

    monkeypatch.setattr(jax.stages.Compiled, "__call__", refuse)
    dry.dry_run(CONFIG, tmp_path)


def test_mistakes_are_reported_as_in_a_training(tmp_path):
    with pytest.raises(ConfigError, match="divisible by the 2 devices"):
        dry.dry_run(with_train(batch_size=3), tmp_path / "run")
    assert not (tmp_path / "run").exists()
