"""`eval.py` as a process of its own, stopped by signals and started again."""

import json
import signal
import subprocess
import sys
import time

import pytest

from siamjax.config import SyntheticConfig
from siamjax.data.synthetic import write_otb
from siamjax.models.build import build_network
from siamjax.training.checkpoints import save_variables
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config

SEQUENCES, FRAMES = 4, 40


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The words of an evaluation of a tiny network on a rendered set, but for `--out`."""
    folder = tmp_path_factory.mktemp("eval")
    config = small_config()
    save_variables(
        folder / "weights", random_variables(build_network(config.model), config), config
    )
    rendered = SyntheticConfig(split="test", seed=0, sequences=SEQUENCES, frames=FRAMES)
    write_otb(rendered, folder / "data")
    words = {
        "--config": folder / "weights" / "config.json",
        "--weights": folder / "weights",
        "--benchmark": "otb",
        "--data": folder / "data",
        "--slots": 1,
    }
    return [sys.executable, "eval.py", *(str(word) for pair in words.items() for word in pair)]


@pytest.mark.slow
@pytest.mark.usefixtures("heeds_sigint")
def test_an_evaluation_stopped_by_signals_ends_as_one_that_was_not(command, tmp_path):
    def files(out):
        return {path.name: path for path in (out / "results").glob("*/*.txt")}

    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    for stop, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = {name: path.stat().st_mtime_ns for name, path in files(stopped).items()}
        process = subprocess.Popen(
            [*command, "--out", stopped],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while len(files(stopped)) == len(before) and process.poll() is None:
            assert time.monotonic() < deadline, "no sequence was done in two minutes"
            time.sleep(0.002)
        process.send_signal(stop)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == code, error
        assert ("the same command resumes it" in error) == (stop == signal.SIGINT)
        after = files(stopped)
        assert len(before) < len(after) < SEQUENCES
        assert all(after[name].stat().st_mtime_ns == then for name, then in before.items())
    for out in (stopped, whole):
        subprocess.run([*command, "--out", out], cwd=ROOT, check=True, capture_output=True)
    assert len(files(whole)) == SEQUENCES
    assert {n: p.read_bytes() for n, p in files(stopped).items()} == {
        n: p.read_bytes() for n, p in files(whole).items()
    }
    scores = [json.loads((out / "summary.json").read_text()) for out in (stopped, whole)]
    (first,), (second,) = (one["trackers"].values() for one in scores)
    assert first["overall"] == second["overall"] and first["problems"] == []
