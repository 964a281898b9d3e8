"""The best checkpoint stays, whatever comes after it, and is found under its name."""

import dataclasses
import json

import jax
import pytest

from siamjax.training.checkpoints import Checkpoints, load_variables
from siamjax.training.loop import train
from siamjax.training.scores import Scores
from tests.training.test_checkpoints import abstract, assert_equal, make_state, restore
from tests.training.test_loop import use_tiny
from tests.training.tiny import CONFIG, with_train


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def test_the_last_ones_and_the_best_are_kept_over_a_restart(tmp_path):
    scores = {2: 0.4, 4: 0.7, 6: 0.5, 8: 0.6}
    with Checkpoints(tmp_path, keep=2, config=CONFIG) as checkpoints:
        for step, score in scores.items():
            checkpoints.add_score(step, score)
            checkpoints.save(make_state(step))
    assert steps_in(tmp_path) == [4, 6, 8]
    assert_equal(
        load_variables(tmp_path / "best", abstract(make_state(0))), make_state(4).variables
    )
    with Checkpoints(tmp_path, keep=2, config=CONFIG) as checkpoints:
        for step in (10, 12, 14):  # not validated
            checkpoints.save(make_state(step))
    assert steps_in(tmp_path) == [4, 12, 14]
    assert_equal(restore(tmp_path), make_state(14))
    assert_equal(load_variables(tmp_path, abstract(make_state(0))), make_state(14).variables)
    with Checkpoints(tmp_path, keep=2, config=CONFIG) as checkpoints:
        checkpoints.add_score(14, 0.9)  # validated after it was saved
        checkpoints.save(make_state(16))
    assert steps_in(tmp_path) == [14, 16]
    assert (tmp_path / "best").resolve().name == "14"


def test_of_equals_the_last_is_the_best_and_what_is_gone_does_not_count(tmp_path):
    scores = Scores(tmp_path / "scores.json")
    assert scores.best([1, 2]) is None
    for step, score in {1: 0.5, 2: 0.5, 3: 0.9}.items():
        scores.add(step, score)
    assert scores.best([1, 2, 4]) == 2
    assert Scores(tmp_path / "scores.json").best([1, 3]) == 3


@pytest.mark.parametrize("text", ["", '{"4": 0.', "[]", "3"])
def test_a_damaged_file_of_scores_is_begun_anew(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    scores = Scores(tmp_path / "scores.json")
    assert scores.best([4]) is None
    scores.add(4, 0.5)
    assert json.loads((tmp_path / "scores.json").read_text()) == {"4": 0.5}


def test_a_run_keeps_its_best_validation(tmp_path, monkeypatch):
    use_tiny(monkeypatch)
    aucs = iter([0.3, 0.8, 0.5])
    config = dataclasses.replace(with_train(keep_checkpoints=1, checkpoint_every=100))
    state = train(config, tmp_path, validate=lambda variables: {"success_auc": next(aucs)})
    assert int(state.step) == 12
    assert steps_in(tmp_path / "checkpoints") == [8, 12]
    assert (tmp_path / "checkpoints" / "best").resolve().name == "8"
    loaded = load_variables(
        tmp_path / "checkpoints" / "best", jax.eval_shape(lambda: state.variables)
    )
    assert jax.tree.structure(loaded) == jax.tree.structure(state.variables)
