"""The training loop: what it writes, how it ends, and that interruptions change nothing."""

import dataclasses
import json
import shutil
import signal
import threading

import jax
import numpy as np
import pytest

from siamjax.config import ConfigError, ValidationConfig
from siamjax.config_files import load_config
from siamjax.interrupts import Interrupted
from siamjax.training import loop, step
from siamjax.training.checkpoints import CheckpointError, load_variables
from siamjax.training.loop import TrainingError, train
from tests.conftest import ROOT
from tests.training.tiny import CONFIG, Batches, TinyNet, init_tiny, make_batch, with_train

STEPS = 12  # 3 epochs of 16 pairs, 4 at a time


def use_tiny(monkeypatch):
    monkeypatch.setattr(loop, "build_network", lambda model: TinyNet())
    monkeypatch.setattr(loop, "init_variables", init_tiny)
    monkeypatch.setattr(loop, "make_batches", Batches)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    use_tiny(monkeypatch)


def feed(monkeypatch, change):
    """Calls `change(step, batch)` on every batch; it may return another one, or act."""

    class Changed(Batches):
        def __next__(self):
            step, batch = self.step, super().__next__()
            return change(step, batch) or batch

    monkeypatch.setattr(loop, "make_batches", Changed)


def at(step, act):
    """For `feed`: `act()` when the batch of `step` is read."""
    return lambda number, batch: act() if number == step else None


def metrics_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def checkpoints_of(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def assert_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny(monkeypatch)
        return jax.device_get(train(CONFIG, tmp_path_factory.mktemp("whole")))


def test_a_run_leaves_its_configuration_metrics_and_checkpoints(tmp_path, capsys):
    state = train(CONFIG, tmp_path / "run")
    workdir = tmp_path / "run"
    assert int(state.step) == STEPS
    assert load_config(workdir / "config.json") == CONFIG
    assert checkpoints_of(workdir) == [10, 12]
    lines = metrics_of(workdir)
    assert [line["step"] for line in lines] == [2, 4, 5, 6, 8, 10, 12]
    assert [line["epoch"] for line in lines] == [1, 1, 2, 2, 2, 3, 3]
    assert [line["learning_rate"] for line in lines] == pytest.approx(
        [0.005, 0.005, 0.02, 0.02, 0.02, 0.01, 0.01]
    )
    assert lines[0].keys() == {
        *("step", "epoch", "loss", "cls_loss", "loc_loss", "grad_norm", "learning_rate"),
        *("skipped", "pairs_per_second", "data_wait"),
    }
    assert all(0 <= line["data_wait"] <= 1 and line["pairs_per_second"] > 0 for line in lines)
    abstract = jax.eval_shape(lambda: state.variables)
    assert_equal(load_variables(workdir, abstract), jax.device_get(state.variables))
    said = capsys.readouterr().out
    assert "starting at step 0 of 12 on 2 cpu devices, compiled in" in said
    assert "step 12/12: loss" in said and "complete at step 12 after" in said


def test_metrics_are_means_over_the_interval(tmp_path):
    train(with_train(log_every=1, checkpoint_every=100), tmp_path / "each")
    train(with_train(log_every=4, checkpoint_every=100), tmp_path / "fours")
    each, fours = metrics_of(tmp_path / "each"), metrics_of(tmp_path / "fours")
    assert len(each) == 12 and len(fours) == 3
    for name in ("loss", "cls_loss", "loc_loss", "grad_norm"):
        values = np.array([line[name] for line in each]).reshape(3, 4).mean(1)
        np.testing.assert_allclose([line[name] for line in fours], values, rtol=1e-6)


def test_a_finished_run_is_left_alone(tmp_path, capsys, monkeypatch, uninterrupted):
    train(CONFIG, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    monkeypatch.setattr(loop, "make_batches", None)
    again = train(CONFIG, tmp_path)
    assert "complete at step 12, nothing left to train" in capsys.readouterr().out
    assert (tmp_path / "metrics.jsonl").read_text() == before
    assert_equal(jax.device_get(again), uninterrupted)


@pytest.mark.parametrize(
    ("number", "code", "step"),
    [
        (signal.SIGINT, 130, 7),
        (signal.SIGTERM, 143, 7),
        (signal.SIGINT, 130, 10),  # where a checkpoint is due anyhow
    ],
)
def test_a_signal_saves_and_the_run_resumes_as_if_nothing_had_happened(
    tmp_path, monkeypatch, capsys, uninterrupted, number, code, step
):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        feed(patch, at(step - 1, lambda: signal.raise_signal(number)))
        with pytest.raises(Interrupted) as caught:
            train(CONFIG, tmp_path)
    assert caught.value.exit_code == code
    assert f"stopped by {number.name} after step {step} of 12, saved as" in str(caught.value)
    assert signal.getsignal(number) is before
    assert checkpoints_of(tmp_path) == [5, step]
    steps = [line["step"] for line in metrics_of(tmp_path)]
    assert steps == [s for s in [2, 4, 5, 6, 7, 8, 10] if s < step and s != 7] + [step]

    state = train(CONFIG, tmp_path)
    assert f"resuming at step {step} of 12" in capsys.readouterr().out
    assert_equal(jax.device_get(state), uninterrupted)
    later = [s for s in [8, 10, 12] if s > step]
    assert [line["step"] for line in metrics_of(tmp_path)] == steps + later


def test_a_signal_in_the_last_step_finds_the_run_complete(tmp_path, monkeypatch, uninterrupted):
    feed(monkeypatch, at(STEPS - 1, lambda: signal.raise_signal(signal.SIGTERM)))
    assert_equal(jax.device_get(train(CONFIG, tmp_path)), uninterrupted)


def test_a_crash_loses_only_what_came_after_the_checkpoint(
    tmp_path, monkeypatch, uninterrupted
):
    class Crash(BaseException):
        pass

    def crash():
        raise Crash

    with monkeypatch.context() as patch:
        feed(patch, at(9, crash))
        with pytest.raises(Crash):
            train(CONFIG, tmp_path)
    assert checkpoints_of(tmp_path) == [5]
    assert [line["step"] for line in metrics_of(tmp_path)] == [2, 4, 5, 6, 8]
    assert_equal(jax.device_get(train(CONFIG, tmp_path)), uninterrupted)
    assert [line["step"] for line in metrics_of(tmp_path)] == [2, 4, 5, 6, 8, 10, 12]


def test_a_failure_of_the_data_costs_nothing(tmp_path, monkeypatch, uninterrupted):
    def fail():
        raise OSError("the disk went away")

    with monkeypatch.context() as patch:
        feed(patch, at(8, fail))
        with pytest.raises(
            TrainingError,
            match=r"reading the data failed after step 8 of 12, saved as .*8: the disk",
        ):
            train(CONFIG, tmp_path)
    assert_equal(jax.device_get(train(CONFIG, tmp_path)), uninterrupted)


def poison(batch):
    return batch._replace(search=np.full_like(batch.search, np.nan))


def with_poison(*steps):
    """For `feed`: pixels that are no numbers in the batches of those steps."""
    return lambda number, batch: poison(batch) if number in steps else None


@pytest.mark.parametrize(
    ("step", "good"), [(7, "checkpoints/5"), (9, "checkpoints/5"), (1, "none")]
)
def test_too_many_skipped_steps_end_the_run(tmp_path, monkeypatch, step, good):
    feed(monkeypatch, with_poison(step))
    with pytest.raises(TrainingError) as caught:
        train(with_train(max_skipped=0), tmp_path)
    message = str(caught.value)
    assert "1 steps were skipped" in message
    assert f"step {step + 1} has loss nan, grad_norm nan; its pairs are from" in message
    assert f"records {make_batch(step).records.tolist()}." in message
    assert f"The last good checkpoint is {'' if good == 'none' else tmp_path / ''}" in message
    assert good in message
    assert checkpoints_of(tmp_path) == ([] if good == "none" else [5])
    assert all(np.isfinite(line["loss"]) for line in metrics_of(tmp_path))


def test_what_is_skipped_by_a_signal_still_counts(tmp_path, monkeypatch):
    def act(number, batch):
        if number == 6:
            signal.raise_signal(signal.SIGTERM)
            return poison(batch)

    feed(monkeypatch, act)
    with pytest.raises(TrainingError, match=r"step 7 has loss nan.* checkpoint is .*5\."):
        train(with_train(max_skipped=0), tmp_path)
    assert checkpoints_of(tmp_path) == [5]


def test_a_few_skipped_steps_are_counted_also_over_an_interruption(tmp_path, monkeypatch):
    config = with_train(log_every=1, max_skipped=2)
    feed(monkeypatch, with_poison(2, 6))
    whole = jax.device_get(train(config, tmp_path / "whole"))
    assert whole.step == STEPS and whole.skipped == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(whole.params))
    lines = metrics_of(tmp_path / "whole")
    assert [line["step"] for line in lines if line["skipped"]] == [3, 7]
    assert "loss" not in lines[2] and lines[2]["learning_rate"] == lines[1]["learning_rate"]

    def stop(number, batch):
        if number == 4:
            signal.raise_signal(signal.SIGTERM)
        return with_poison(2, 6)(number, batch)

    feed(monkeypatch, stop)
    with pytest.raises(Interrupted):
        train(config, tmp_path / "cut")
    feed(monkeypatch, with_poison(2, 6))
    assert_equal(jax.device_get(train(config, tmp_path / "cut")), whole)
    # Counted from the start of the run, not of its last leg.
    feed(monkeypatch, with_poison(2, 6, 11))
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "12")
    with pytest.raises(TrainingError, match=r"3 steps were skipped.* step 12 has"):
        train(config, tmp_path / "cut")


def test_what_cannot_be_trained_is_refused_and_leaves_no_claim(tmp_path, monkeypatch):
    with pytest.raises(
        ConfigError, match="divisible by the 2 devices that share it; use 2 or 4"
    ):
        train(with_train(batch_size=3), tmp_path)

    def missing(config, **_):
        raise ConfigError("`data.sources` is empty")

    monkeypatch.setattr(loop, "make_batches", missing)
    with pytest.raises(ConfigError, match=r"`data\.sources` is empty"):
        train(CONFIG, tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_masks_are_not_trained(tmp_path):
    config = load_config(ROOT / "configs" / "siammask_r50.py")
    with pytest.raises(ConfigError, match=r"`model\.mask` \(=True\) cannot be trained"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_configuration_s_directory_is_refused_untouched(tmp_path):
    train(CONFIG, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    other = dataclasses.replace(CONFIG, loss=dataclasses.replace(CONFIG.loss, loc_weight=2.0))
    with pytest.raises(ConfigError, match=r"`loss\.loc_weight` is 1\.2 there and 2\.0 now"):
        train(other, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before
    assert load_config(tmp_path / "config.json") == CONFIG


def test_a_full_disk_is_reported_before_work_starts(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(loop, "make_batches", None)
    with pytest.raises(CheckpointError, match="free some space"):
        train(CONFIG, tmp_path)


def test_the_step_is_compiled_once(tmp_path, monkeypatch):
    traces, original = [], step.train_step

    def counted(*arguments, **settings):
        traces.append(1)
        return original(*arguments, **settings)

    monkeypatch.setattr(step, "train_step", counted)
    train(CONFIG, tmp_path)
    assert len(traces) == 1


class Validation:
    """Notes what it is shown and acts at one of its calls."""

    def __init__(self, act=lambda: None, on_call=0):
        self.seen, self.act, self.on_call = [], act, on_call

    def __call__(self, variables):
        assert {len(leaf.devices()) for leaf in jax.tree.leaves(variables)} == {1}
        if len(self.seen) == self.on_call:
            self.on_call = None
            self.act()
        self.seen.append(jax.device_get(variables))
        return {"success_auc": float(len(self.seen))}


def validations_of(workdir):
    return {
        line["step"]: line["validation/success_auc"]
        for line in metrics_of(workdir)
        if "validation/success_auc" in line
    }


VALIDATED = dataclasses.replace(CONFIG, validation=ValidationConfig(every=5))


def test_validation_sees_saved_states_and_changes_nothing(tmp_path, uninterrupted, capsys):
    validation = Validation()
    state = jax.device_get(train(VALIDATED, tmp_path, validate=validation))
    assert_equal(state, uninterrupted)
    assert validations_of(tmp_path) == {5: 1.0, 10: 2.0, 12: 3.0}
    assert_equal(validation.seen[-1], state.variables)
    abstract = jax.eval_shape(lambda: state.variables)
    for number, seen in ((10, validation.seen[1]), (12, validation.seen[2])):
        assert_equal(load_variables(tmp_path / "checkpoints" / str(number), abstract), seen)
    assert "step 10/12: validation/success_auc 2" in capsys.readouterr().out
    train(VALIDATED, tmp_path, validate=validation)
    assert len(validation.seen) == 3  # nothing is left to validate


def test_validation_is_once_an_epoch_unless_told_otherwise(tmp_path):
    train(CONFIG, tmp_path, validate=Validation())
    assert list(validations_of(tmp_path)) == [4, 8, 12]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_validation_which_is_caught_up(tmp_path, uninterrupted, number):
    validation = Validation(lambda: signal.raise_signal(number), on_call=1)
    with pytest.raises(Interrupted, match=f"{number.name} after step 10 of 12"):
        train(VALIDATED, tmp_path, validate=validation)
    assert list(validations_of(tmp_path)) == [5]
    state = train(VALIDATED, tmp_path, validate=validation)
    assert list(validations_of(tmp_path)) == [5, 10, 12]
    assert_equal(jax.device_get(state), uninterrupted)


def test_a_validation_missing_from_a_finished_run_is_caught_up(tmp_path, uninterrupted):
    train(VALIDATED, tmp_path)
    assert_equal(
        jax.device_get(train(VALIDATED, tmp_path, validate=Validation())), uninterrupted
    )
    assert list(validations_of(tmp_path)) == [12]


def test_training_works_outside_the_main_thread(tmp_path, uninterrupted):
    result = []
    thread = threading.Thread(target=lambda: result.append(train(CONFIG, tmp_path)))
    thread.start()
    thread.join()
    assert_equal(jax.device_get(result[0]), uninterrupted)
