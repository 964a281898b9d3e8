"""SIGKILL, while a checkpoint is saved and at random moments, does not change the result."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time

import jax
import pytest

from siamjax.training import loop, parallel
from siamjax.training.loop import train
from tests.conftest import ROOT
from tests.training.killed_run import config_of
from tests.training.tiny import Batches, StagedNet, init_tiny


def use_staged(monkeypatch):
    monkeypatch.setattr(loop, "build_network", lambda model: StagedNet())
    monkeypatch.setattr(loop, "init_variables", init_tiny)
    monkeypatch.setattr(loop, "make_batches", Batches)


def launch(workdir, pairs):
    """A process that has imported what it needs and waits for its turn."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed_run", str(workdir), str(pairs)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def begin(process):
    """Gives the process its turn and waits until it trains."""
    process.stdin.write("go\n")
    process.stdin.flush()
    said = []
    for line in process.stdout:
        said.append(line)
        if "at step" in line:
            return
    raise AssertionError("".join(said))


def is_saving(workdir):
    return any("tmp" in path.name for path in (workdir / "checkpoints").iterdir())


def stop_while_saving(process, workdir):
    """Stops the process at a moment when a checkpoint is half-written."""
    while process.poll() is None:
        if is_saving(workdir):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            if is_saving(workdir):
                return
            process.send_signal(signal.SIGCONT)
    raise AssertionError("the run ended")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "pairs"), [(2, 48), pytest.param(20, 160, marks=pytest.mark.nightly)]
)
def test_a_run_killed_again_and_again_ends_bit_by_bit_like_one_that_was_not(
    tmp_path, monkeypatch, kills, pairs
):
    use_staged(monkeypatch)
    config = config_of(pairs)
    rare = {"train": {"checkpoint_every": 1000}}
    whole = jax.device_get(train(_with(config, rare), tmp_path / "whole"))

    # The next process imports while the one before it runs.
    workdir, moments = tmp_path / "killed", random.Random(0)
    waiting = launch(workdir, pairs)
    for number in range(kills):
        process, waiting = waiting, launch(workdir, pairs)
        begin(process)
        if number == 0:
            stop_while_saving(process, workdir)
        else:
            time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.communicate()
        assert process.returncode == -9  # killed, not finished
        assert number or is_saving(workdir)
    waiting.communicate("go\n")
    assert waiting.returncode == 0

    killed = jax.device_get(train(config, workdir))  # complete: nothing is trained here
    assert int(killed.step) == config.train.steps
    assert jax.tree.structure(killed) == jax.tree.structure(whole)
    same = jax.tree.map(lambda ours, theirs: ours.tobytes() == theirs.tobytes(), killed, whole)
    assert all(jax.tree.leaves(same))


def test_a_run_resumes_with_another_number_of_devices_and_the_same_batches(
    tmp_path, monkeypatch
):
    use_staged(monkeypatch)
    read = []

    class Counted(Batches):
        def __next__(self):
            read.append(self.step)
            return super().__next__()

    def run(config, workdir, devices):
        mesh = parallel.make_mesh(jax.devices()[:devices])
        with monkeypatch.context() as patch:
            patch.setattr(parallel, "make_mesh", lambda: mesh)
            patch.setattr(loop, "make_batches", Counted)
            return jax.device_get(train(config, workdir))

    short = _with(config_of(12), {"train": {"epochs": 2, "checkpoint_every": 2}})
    short = _with(short, {"optim": {"backbone_train_epoch": 1}})
    whole = run(short, tmp_path / "one", 1)
    assert read == list(range(6))
    read.clear()

    class Cut(BaseException):
        pass

    class CutBatches(Counted):
        def __next__(self):
            if self.step == 5:
                raise Cut
            return super().__next__()

    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_batches", CutBatches)
        mesh = parallel.make_mesh(jax.devices()[:1])
        patch.setattr(parallel, "make_mesh", lambda: mesh)
        with pytest.raises(Cut):
            train(short, tmp_path / "two")
    state = run(short, tmp_path / "two", 2)
    assert read == [0, 1, 2, 3, 4, 4, 5]
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(whole), strict=True):
        assert abs(ours - theirs).max() <= 1e-5


def _with(config, values):
    return dataclasses.replace(
        config,
        **{
            name: dataclasses.replace(getattr(config, name), **fields)
            for name, fields in values.items()
        },
    )
