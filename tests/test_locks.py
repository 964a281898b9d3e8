"""Who holds a folder, and what becomes of it when they die."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from siamjax.cli import main
from siamjax.commands.train import train
from siamjax.locks import LOCK_FILE, BusyError, held, held_file
from tests.conftest import ROOT
from tests.data import trees

HOLDS = """
import os, sys, time
from pathlib import Path
from siamjax.locks import held
folder, shared_as, forks = sys.argv[1], sys.argv[2] or None, sys.argv[3]
with held(Path(folder), "--out", shared_as=shared_as):
    if forks and os.fork() == 0:
        print("held", flush=True)  # said by the child, which has let go of the lock by now
        time.sleep(120)  # outlives its parent
    if not forks:
        print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold(tmp_path):
    """Starts a process that holds a folder until it gets a line, or is killed."""
    started = []

    def hold(folder, shared_as="", forks=""):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(folder), shared_as, forks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        if process.poll() is None or process.args[-1]:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_held_folder_is_refused_and_the_holder_named(tmp_path, hold):
    folder = tmp_path / "run"
    process = hold(folder)
    with pytest.raises(BusyError) as error, held(folder, "--workdir"):
        pass
    assert f"'{folder}' is in use by process {process.pid} on " in str(error.value)
    assert "choose another `--workdir`" in str(error.value)
    process.communicate("end\n")
    with held(folder, "--workdir"):
        assert (folder / LOCK_FILE).is_file()
    assert not (folder / LOCK_FILE).exists()


@pytest.mark.parametrize("forks", ["", "forks"])
def test_the_lock_dies_with_its_process(tmp_path, hold, forks):
    process = hold(tmp_path, forks=forks)
    process.kill()
    process.wait()
    with held(tmp_path, "--out"):
        pass
    assert os.listdir(tmp_path) == []


def test_those_who_do_the_same_share_a_folder(tmp_path, hold):
    first = hold(tmp_path, shared_as="otb")
    second = hold(tmp_path, shared_as="otb")
    for process in (first, second):
        for shared_as in ("vot", None):
            with pytest.raises(BusyError), held(tmp_path, "--out", shared_as=shared_as):
                pass
        with held(tmp_path, "--out", shared_as="otb"):
            pass
        process.communicate("end\n")
    with held(tmp_path, "--out"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_that_was_made_and_not_used_is_gone(tmp_path):
    with pytest.raises(RuntimeError), held(tmp_path / "run", "--out"):
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    with held(tmp_path / "run", "--out"):
        (tmp_path / "run" / "result").write_text("kept")
    assert os.listdir(tmp_path / "run") == ["result"]


def test_a_file_system_without_locks_is_warned_about(tmp_path, monkeypatch, capsys):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with held(tmp_path, "--out"):
        assert "has no locks" in capsys.readouterr().err


def test_a_damaged_lock_file_is_no_obstacle(tmp_path, hold):
    (tmp_path / LOCK_FILE).write_bytes(b"[" * 100_000)
    with held(tmp_path, "--out"):
        pass
    hold(tmp_path)
    (tmp_path / LOCK_FILE).write_bytes(b"\xff nonsense")
    with pytest.raises(BusyError, match="another process"), held(tmp_path, "--out"):
        pass


def test_commands_refuse_a_folder_that_another_run_holds(tmp_path, capsys):
    out = tmp_path / "out"

    def refuse(run, *words):
        assert run(list(map(str, words))) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"'{out}' is in use by process {os.getpid()} on" in line

    with held(out, "--out"):
        refuse(main, "render", "--out", out, "--sequences", 1, "--frames", 2)
        study = ROOT / "configs" / "ablations" / "shift.py"
        refuse(main, "ablate", study, "--workdir", out)
        quickstart = ROOT / "configs" / "quickstart.py"
        refuse(lambda words: train(words, ""), "--config", quickstart, "--workdir", out)
    assert os.listdir(tmp_path) == []
    trees.vot(tmp_path / "in")
    with held_file(tmp_path / ".out.lock", out, "--out"):
        refuse(main, "prepare", "vot", "--input", tmp_path / "in", "--out", out, "--jobs", 1)
    assert os.listdir(tmp_path) == ["in"]
