"""Several processes train as one: the same numbers, one log, one set of checkpoints."""

import concurrent.futures
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from siamjax.config import ConfigError
from siamjax.errors import SiamjaxError
from siamjax.training import processes
from siamjax.training.processes import from_main, has_launcher, join_processes, wait_for_all
from tests.conftest import ROOT
from tests.training.test_loop import use_tiny
from tests.training.tiny import CONFIG, with_train

PROGRAM = """
import sys, os
workdir, coordinator, process, parallel = sys.argv[1:]
import pytest
from tests.training.test_loop import Validation, feed, use_tiny
from tests.training.tiny import with_train
from siamjax.interrupts import Interrupted
from siamjax.training.loop import train
from siamjax.training.processes import join_processes

join_processes(coordinator, 2, int(process))
patch = pytest.MonkeyPatch()
use_tiny(patch)
def act(step, batch):
    assert batch.search.shape[0] == 2  # its own half
    if os.environ.get("STOP_AT") == str(step):
        os.kill(os.getpid(), 15)
feed(patch, act)
class WorseEachTime(Validation):
    def __call__(self, variables):
        return {"success_auc": 1 / super().__call__(variables)["success_auc"]}
config = with_train(parallel=parallel, keep_checkpoints=1)
try:
    train(config, workdir, validate=WorseEachTime())
except Interrupted as stopped:
    print(stopped, flush=True)
"""


def train_together(workdir, parallel="jit", stop_at=""):
    """Two processes with two devices each; what each of them prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, workdir, coordinator, str(process), parallel],
            cwd=ROOT,
            env={**os.environ, "STOP_AT": stop_at if process else "", "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    try:
        told = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(told[0] + told[1])
    assert all("Gloo" not in out for out, _ in told)  # native code prints to standard error
    return [out.strip() for out, _ in told]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process on one device."""
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch)
        devices = jax.devices()[:1]
        patch.setattr(jax, "devices", lambda: devices)
        from siamjax.training.loop import train

        return jax.device_get(train(CONFIG, tmp_path_factory.mktemp("alone")))


def assert_close(workdir, alone, monkeypatch, **settings):
    """What two processes left equals the run of one, which can read it."""
    from siamjax.training.loop import train

    use_tiny(monkeypatch)
    state = jax.device_get(train(with_train(keep_checkpoints=1, **settings), workdir))
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(equal, state, alone)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["jit", "pmap"])
def test_two_processes_equal_one(tmp_path, alone, monkeypatch, how):
    first, second = train_together(tmp_path, how)
    assert "starting at step 0 of 12 on 4 cpu devices of 2 processes" in first
    assert "complete at step 12" in first and second == ""
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == [2, 4, 5, 6, 8, 10, 12]
    assert [line["step"] for line in lines if "validation/success_auc" in line] == [4, 8, 12]
    # the newest one, and the one that validated best
    kept = {each.name for each in (tmp_path / "checkpoints").iterdir() if each.name.isdecimal()}
    assert kept == {"4", "12"}
    assert (tmp_path / "checkpoints" / "best").resolve().name == "4"
    assert_close(tmp_path, alone, monkeypatch, parallel=how)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_process_resumes(
    tmp_path, alone, monkeypatch
):
    told = train_together(tmp_path, stop_at="4")  # noticed where they agree, after step 6
    assert all("stopped by SIGTERM after step 6 of 12" in text for text in told)
    assert (tmp_path / "checkpoints" / "6").is_dir()
    assert_close(tmp_path, alone, monkeypatch)


def test_launchers_are_noticed(monkeypatch):
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: None)
    assert not has_launcher({})
    assert not has_launcher({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "1"})
    assert has_launcher({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "16"})
    assert has_launcher({"OMPI_COMM_WORLD_SIZE": "2"})
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: name == "libtpu")
    assert has_launcher({}) and not has_launcher({"JAX_PLATFORMS": "cpu"})


def test_mistakes_in_the_arguments_are_reported():
    both = "--num-processes and --process-id must be given, too, since jax.distributed"
    with pytest.raises(ConfigError, match=both):
        join_processes("host:1234")
    with pytest.raises(ConfigError, match=r"^--coordinator must be given, too"):
        join_processes(num_processes=2, process_id=1)
    with pytest.raises(ConfigError, match=r"`--process-id` \(=2\) must be one of .* 0 to 1"):
        join_processes("host:1234", 2, 2)
    with pytest.raises(ConfigError, match=r"`--num-processes` \(=0\) must be at least 1"):
        join_processes("host:1234", 0, 0)
    for wrong in ("host", ":1234", "host:", "host:port", "host:0", "host:70000"):
        with pytest.raises(ConfigError, match=r"`--coordinator` \(='.*'\) must be HOST:PORT"):
            join_processes(wrong, 2, 0)


class Coordinator:
    """What JAX's processes tell each other, for threads that stand for them."""

    def __init__(self):
        self.told = {}

    def key_value_set(self, key, value):
        assert key not in self.told
        self.told[key] = value

    def key_value_dir_get(self, place):
        return [(key, value) for key, value in dict(self.told).items() if key.startswith(place)]


@pytest.fixture
def as_three(monkeypatch):
    """Runs `act(process)` as three processes would; returns what each returns or raises."""
    here, coordinator = threading.local(), Coordinator()
    meetings = [itertools.count() for _ in range(3)]

    class Meetings:
        def __next__(self):
            return next(meetings[here.process])

    def collective(*_):
        raise AssertionError("a collective gives up after a while")

    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: here.process)
    monkeypatch.setattr(processes, "_client", lambda: coordinator)
    monkeypatch.setattr(processes, "_meetings", Meetings())
    monkeypatch.setattr(processes, "_POLL_SECONDS", 0.001)
    for name in ("process_allgather", "sync_global_devices"):
        monkeypatch.setattr(processes.multihost_utils, name, collective)

    def run(act):
        def one(process):
            here.process = process
            try:
                return act(process)
            except Exception as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            return list(pool.map(one, range(3)))

    return run


def test_the_others_wait_for_the_main_process_without_a_collective(as_three):
    done = []

    def act(process):
        numbers = []
        for number in (7, -1):
            numbers.append(from_main(lambda n=number: done.append(process) or n))
            wait_for_all("a place")
        return numbers

    assert as_three(act) == [[7, -1]] * 3
    assert done == [0, 0]


def test_all_wait_for_the_last_one(as_three):
    came, left = [], []

    def act(process):
        if process == 2:
            time.sleep(0.1)
        came.append(process)
        wait_for_all("a place")
        left.append(len(came))

    as_three(act)
    assert left == [3, 3, 3]


def test_the_others_fail_when_the_main_process_fails(as_three):
    def fail():
        raise OSError("no room")

    first, *others = as_three(lambda process: from_main(fail))
    assert isinstance(first, OSError)
    assert all(isinstance(each, SiamjaxError) and "process 0" in str(each) for each in others)
