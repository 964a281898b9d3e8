"""Checkpoints come back bit by bit, and say what is wrong when they cannot."""

import errno
import itertools
import logging
import os
import resource
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from orbax.checkpoint import v1 as ocp

from siamjax.config_files import load_config
from siamjax.training.checkpoints import (
    CheckpointError,
    Checkpoints,
    load_variables,
    save_variables,
)
from siamjax.training.optimizer import build_optimizer
from siamjax.training.state import TrainState
from tests.conftest import ROOT
from tests.training.tiny import CONFIG

PARAMS = {"conv": {"kernel": (3, 3, 4, 128), "bias": (128,)}, "head": {"kernel": (8, 2)}}
OPTIMIZER = build_optimizer(CONFIG)


def make_state(step: int, shapes=PARAMS, device=0) -> TrainState:
    """A state full of noise that depends on `step`."""
    rng = np.random.default_rng(step)

    def noise(shape):
        array = rng.normal(size=shape).astype(np.float32)
        return jax.device_put(array, jax.devices()[device])

    params = jax.tree.map(noise, shapes, is_leaf=lambda leaf: isinstance(leaf, tuple))
    opt_state = jax.tree.map(
        lambda leaf: noise(leaf.shape) if leaf.ndim else jnp.int32(step),
        OPTIMIZER.init(params),
    )
    return TrainState(
        step=jnp.int32(step),
        skipped=jnp.int32(0),
        params=params,
        batch_stats={"bn": {"mean": noise((5,))}},
        opt_state=opt_state,
    )


def save(folder, *steps, keep=3):
    with Checkpoints(folder, keep=keep, config=CONFIG) as checkpoints:
        for step in steps:
            checkpoints.save(make_state(step))


def restore(folder, like=None):
    with Checkpoints(folder, keep=3, config=CONFIG) as checkpoints:
        return checkpoints.restore(make_state(0) if like is None else like)


def assert_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def abstract(state):
    return jax.eval_shape(lambda: state.variables)


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_the_newest_state_comes_back_and_the_last_ones_are_kept(tmp_path):
    assert restore(tmp_path) is None
    save(tmp_path, 2, 4, 6, 8, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "8"]
    assert_equal(restore(tmp_path), make_state(8))


def test_a_state_goes_to_the_devices_of_the_one_it_replaces(tmp_path):
    save(tmp_path, 3)
    restored = restore(tmp_path, like=make_state(0, device=1))
    assert restored.params["conv"]["kernel"].devices() == {jax.devices()[1]}


def test_a_state_may_be_donated_while_it_is_saved(tmp_path):
    add = jax.jit(
        lambda state: jax.tree.map(lambda x: x + x.dtype.type(1), state), donate_argnums=0
    )
    shapes = {"conv": {"kernel": (500, 4000)}}
    state = make_state(5, shapes)
    expected = jax.device_get(state)
    with Checkpoints(tmp_path, keep=1, config=CONFIG) as checkpoints:
        checkpoints.save(state)
        for _ in range(5):
            state = add(state)
        jax.block_until_ready(state)
    assert_equal(restore(tmp_path, like=make_state(0, shapes)), expected)


@pytest.mark.parametrize("choose", ["", "checkpoints", "checkpoints/4"])
def test_variables_are_loaded_from_any_level(tmp_path, choose):
    save(tmp_path / "checkpoints", 2, 4)
    loaded = load_variables(tmp_path / choose, abstract(make_state(0)))
    assert_equal(loaded, make_state(4).variables)
    older = load_variables(tmp_path / "checkpoints" / "2", abstract(make_state(0)))
    assert_equal(older, make_state(2).variables)


def test_variables_of_others_are_kept_with_their_configuration(tmp_path):
    variables = jax.device_get(make_state(1).variables)
    save_variables(tmp_path / "converted", variables, CONFIG)
    assert load_config(tmp_path / "converted" / "config.json") == CONFIG
    assert_equal(
        load_variables(tmp_path / "converted", abstract(make_state(0))),
        variables,
    )
    with pytest.raises(CheckpointError, match="holds something already"):
        save_variables(tmp_path / "converted", variables, CONFIG)
    with pytest.raises(CheckpointError, match="not a training state"):
        restore(tmp_path / "converted" / "checkpoints")


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


DAMAGES = {
    "cut short": lambda step: cut(largest_file(step / "model")),
    "one bit flipped": lambda step: flip_a_bit(largest_file(step / "model")),
    "a file gone": lambda step: largest_file(step / "model").unlink(),
    "description emptied": lambda step: (step / "model" / "_METADATA").write_bytes(b""),
    "description cut": lambda step: cut(step / "_CHECKPOINT_METADATA"),
    "manifest overwritten": lambda step: (step / "model" / "manifest.ocdbt").write_bytes(b"?"),
    "model gone": lambda step: shutil.rmtree(step / "model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage, caplog):
    folder = tmp_path / "checkpoints"
    save(folder, 2, 4)
    DAMAGES[damage](folder / "4")
    with caplog.at_level(logging.WARNING):
        loaded = load_variables(tmp_path, abstract(make_state(0)))
    assert_equal(loaded, make_state(2).variables)
    (message,) = caplog.messages
    assert "4 is damaged" in message and message.endswith("trying the one before it")
    with pytest.raises(
        CheckpointError, match=r"no checkpoint( that can be read; damaged: 4|: expected)"
    ):
        load_variables(folder / "4", abstract(make_state(0)))

    assert_equal(restore(folder), make_state(2))
    assert sorted(path.name for path in folder.iterdir()) == ["2", "4.damaged"]
    save(folder, 4)
    assert_equal(restore(folder), make_state(4))


def test_only_damaged_checkpoints_are_an_error_and_stay(tmp_path):
    save(tmp_path, 2, 4)
    for step in ("2", "4"):
        cut(largest_file(tmp_path / step))
    with pytest.raises(CheckpointError, match="no checkpoint that can be read; damaged: 4, 2"):
        restore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4"]


def test_an_unfinished_save_is_ignored_and_swept_away(tmp_path):
    save(tmp_path, 2, 4)
    # What a kill in the middle of a save leaves behind.
    (tmp_path / "4").rename(tmp_path / "6.orbax-checkpoint-tmp")
    cut(largest_file(tmp_path / "6.orbax-checkpoint-tmp"))
    assert_equal(restore(tmp_path), make_state(2))
    save(tmp_path, 6)
    assert_equal(restore(tmp_path), make_state(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "6"]


def test_another_model_s_checkpoint_is_refused_by_name(tmp_path):
    save(tmp_path / "checkpoints", 2)
    flat = flatten_dict(PARAMS, sep="/")
    flat["neck/kernel"] = flat.pop("head/kernel")
    flat["conv/bias"] = (64,)
    other = make_state(0, unflatten_dict(flat, sep="/"))
    for load in (
        lambda: load_variables(tmp_path, abstract(other)),
        lambda: restore(tmp_path / "checkpoints", like=other),
    ):
        with pytest.raises(CheckpointError) as caught:
            load()
        message = str(caught.value)
        assert "written by configuration 'tiny'" in message
        assert "it has params/head/kernel, which the model lacks" in message
        assert "it lacks params/neck/kernel, which the model has" in message
        assert "params/conv/bias is float32[128] but the model wants float32[64]" in message
    assert (tmp_path / "checkpoints" / "2").is_dir()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_place_without_checkpoints_is_an_error(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(
        CheckpointError, match="holds no checkpoint: expected the work directory"
    ):
        load_variables(tmp_path / "run", abstract(make_state(0)))


def fill_the_disk_while_saving(folder):
    """Saves where no file may grow beyond 12 kB, met by a writer like a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
    checkpoints = Checkpoints(folder, keep=2, config=CONFIG)
    checkpoints.save(make_state(2))
    with pytest.raises(CheckpointError, match=r"step 2 could not be written .*none\)"):
        checkpoints.save(make_state(4))
    checkpoints.save(make_state(6))
    with pytest.raises(CheckpointError, match="step 6 could not be written"):
        checkpoints.__exit__(None, None, None)
    with pytest.raises(CheckpointError, match="could not be written"):
        save_variables(folder / "variables", make_state(1).variables, CONFIG)


def test_a_save_that_fails_in_the_background_is_reported(tmp_path):
    # In a process of its own: the limit would hold for pytest's own output file as well.
    call = (
        "from pathlib import Path\n"
        "from tests.training.test_checkpoints import fill_the_disk_while_saving\n"
        f"fill_the_disk_while_saving(Path({str(tmp_path / 'run')!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_seen_before_the_save(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with Checkpoints(tmp_path, keep=2, config=CONFIG) as checkpoints:
        with pytest.raises(
            CheckpointError, match=r"takes 0\.0 MB, but .* has only 0\.0 MB left"
        ):
            checkpoints.save(make_state(2))


@pytest.fixture
def few_files():
    """Lets this process open only so many files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(count):
        taken = set(map(int, os.listdir("/dev/fd")))
        free = (number for number in itertools.count() if number not in taken)
        last = next(itertools.islice(free, count, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (last, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_good_checkpoint_is_not_taken_for_damaged_for_want_of_open_files(tmp_path, few_files):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    with Checkpoints(folder, keep=3, config=CONFIG) as checkpoints:
        few_files(5)
        with pytest.raises(CheckpointError, match=r"can open [0-9] more .*ulimit -n 4096"):
            checkpoints.restore(make_state(0))
        with pytest.raises(CheckpointError, match=r"can open [0-9] more"):
            checkpoints.save(make_state(3))
        with pytest.raises(CheckpointError, match=r"can open [0-9] more"):
            load_variables(folder, abstract(make_state(0)))
        few_files(200)
        assert int(checkpoints.restore(make_state(0)).step) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_checkpoint_that_may_not_be_read_is_not_set_aside(tmp_path, monkeypatch):
    save(tmp_path, 1, 2)
    metadata = ocp.checkpointables_metadata

    def refuse(folder):
        if folder.endswith("/2"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return metadata(folder)

    monkeypatch.setattr(ocp, "checkpointables_metadata", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be read here: .*Permission denied"):
        restore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


def test_importing_has_no_effect_on_logs_and_hooks():
    program = (
        "import logging, sys\n"
        "hook, before = sys.unraisablehook, [*logging.getLogger('absl').filters]\n"
        "import siamjax.training.loop\n"
        "assert sys.unraisablehook is hook\n"
        "assert logging.getLogger('absl').filters == before\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=300)


def log_as_orbax(message, exc_info=None):
    record = logging.LogRecord(
        "absl", logging.ERROR, f"{os.sep}orbax{os.sep}x.py", 1, message, (), exc_info
    )
    logging.getLogger("absl").handle(record)


def test_orbax_logs_stay_but_for_what_our_error_says(tmp_path, caplog):
    broken = (OSError, OSError("disk"), None)
    with caplog.at_level(logging.DEBUG):
        log_as_orbax("before", broken)
        with Checkpoints(tmp_path, keep=1, config=CONFIG):
            log_as_orbax("an error of a save that `wait` raises", broken)
            log_as_orbax("anything else")
        log_as_orbax("after", broken)
    seen = [(r.name, r.getMessage()) for r in caplog.records if r.exc_info or r.levelno > 30]
    assert seen == [
        ("absl", "before"),
        ("siamjax.training.orbax_noise", "Orbax: an error of a save that `wait` raises"),
        ("absl", "anything else"),
        ("absl", "after"),
    ]


def test_a_failed_read_leaves_logs_and_hooks_as_they_were(tmp_path):
    save(tmp_path, 2)
    cut(largest_file(tmp_path / "2"))
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    before = [[*each.filters] for each in loggers], sys.unraisablehook
    with pytest.raises(CheckpointError, match="no checkpoint that can be read"):
        restore(tmp_path)
    assert ([each.filters for each in loggers], sys.unraisablehook) == before
    assert not any(each.disabled for each in loggers)
