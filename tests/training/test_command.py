"""`train.py` as a user runs it, on a network and a rendered set of the smallest size."""

import json
import os
import signal
import subprocess
import sys

import pytest

from siamjax.config_files import load_config
from tests.conftest import ROOT

CONFIG_FILE = """
from siamjax.config import *


def get_config():
    return Config(
        name="smallest",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet18", width=0.125),
            levels=("layer2",),
            channels=(16,),
            template_crop=5,
            template_size=63,
            search_size=111,
            base_size=2,
            anchors=AnchorConfig(scales=(4.0,)),
        ),
        tracker=TrackerConfig(search_size=111),
        data=DataConfig(
            crop_size=175,
            search=AugmentConfig(shift=16, scale=0.1),
            sources=(
                SourceConfig(
                    synthetic=SyntheticConfig(sequences=3, frames=4, width=128, height=96),
                ),
            ),
        ),
        optim=OptimConfig(warmup_epochs=0),
        train=TrainConfig(
            batch_size=2, epochs=2, pairs_per_epoch=6, log_every=1, checkpoint_every=2
        ),
    )
"""


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "smallest.py"
    path.write_text(CONFIG_FILE)
    return path


def command(*arguments, **environment):
    return {
        "args": [sys.executable, ROOT / "train.py", *map(str, arguments)],
        "env": {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "200", **environment},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def run(*arguments, **environment):
    return subprocess.run(**command(*arguments, **environment), timeout=300)


def test_mistakes_are_told_in_a_line_without_a_traceback(tmp_path, config_file):
    workdir = tmp_path / "run"
    cases = [
        (["--config", config_file, "--optm.lr", 1], "--optim.lr FLOAT"),
        (["--config", config_file, "--optim.lr", -1], "`optim.lr` (=-1.0) must be positive"),
        (["--config", config_file, "--model.search-size", 112], "by a multiple of the stride"),
        (["--config", config_file.with_name("smalest.py")], "did you mean 'smallest'?"),
    ]
    for arguments, message in cases:
        done = run(*arguments, "--workdir", workdir)
        assert done.returncode == 2, done
        assert message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert not workdir.exists()


def test_help_names_every_override_and_the_exit_codes(config_file):
    assert "Exit codes" in run("--help").stdout
    done = run("--config", config_file, "--help")
    assert done.returncode == 0
    assert "--train.batch-size INT" in done.stdout and "TRAIN.LOC_WEIGHT" in done.stdout


@pytest.mark.slow
def test_a_run_is_stopped_goes_on_and_is_complete(tmp_path, config_file):
    workdir = tmp_path / "run"
    arguments = ["--config", config_file, "--workdir", workdir, "--optim.lr", "0.01"]
    arguments += ["--train.epochs", "10"]
    (temporary := tmp_path / "temporary").mkdir()
    own = {"TMPDIR": str(temporary)}

    with subprocess.Popen(**command(*arguments, **own)) as process:
        for line in process.stdout:
            if line.startswith("step 3/30"):
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert "stopped by SIGINT after step" in told and "Traceback" not in told
    stopped_at = len((workdir / "metrics.jsonl").read_text().splitlines())
    assert 3 <= stopped_at < 30
    assert load_config(workdir / "config.json").optim.lr == 0.01

    done = run(*arguments, **own)
    assert done.returncode == 0, done.stderr
    assert f"resuming at step {stopped_at} of 30" in done.stdout
    assert "complete at step 30" in done.stdout
    assert not list(temporary.iterdir())
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 31))

    done = run(*arguments, "--loss.loc-weight", "2")
    assert done.returncode == 2
    assert "`loss.loc_weight` is 1.2 there and 2.0 now" in done.stderr
    assert "nothing left to train" in run(*arguments).stdout
