"""The wheel, built and installed into an environment of its own, away from the checkout."""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

# The quickstart's network and sequences, made small enough to train in seconds.
TINY = (
    *("--model.backbone.width", 0.125, "--model.levels", "layer2", "--model.channels", 16),
    *("--data.sources.0.synthetic.sequences", 3, "--data.sources.0.synthetic.frames", 6),
    *("--train.batch-size", 2, "--train.pairs-per-epoch", 4, "--train.epochs", 1),
    *("--optim.warmup-epochs", 0),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pip("wheel", *offline, "--no-deps", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("siamjax-*.whl")
    return built


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Runs a program of an environment that has the wheel, and this one's other packages."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
    programs = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip("--python", programs / "python", "install", "--no-deps", wheel)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([programs / "python", "-c", ask], capture_output=True, text=True)
    # What a .pth file names is searched last, and no .pth file in there is read: an editable
    # siamjax of this environment stays out of sight.
    with open(os.path.join(done.stdout.strip(), "dependencies.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    (outside := home / "outside").mkdir()

    def run(program, *words):
        done = subprocess.run(
            [programs / program, *map(str, words)],
            cwd=outside,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.outside = outside
    return run


def pip(*words):
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *map(str, words)], check=True)


def test_it_holds_what_the_commands_read(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "siamjax/py.typed" in held
    for file in [*ROOT.glob("configs/**/*.py"), *ROOT.glob("siamjax/**/*")]:
        name = file.relative_to(ROOT).as_posix()
        if file.suffix in (".py", ".j2", ".json", ".mp4", ".safetensors"):
            assert name.replace("configs/", "siamjax/configs/", 1) in held


def test_it_is_what_runs(run):
    package = run("python", "-c", "import siamjax; print(siamjax.__file__)").strip()
    assert os.path.realpath(package).startswith(os.path.realpath(run.outside.parent))


def test_it_tracks_trains_and_evaluates_outside_of_the_checkout(run):
    tracked = run("siamjax", "track", "--example", "--boxes", "boxes.txt")
    assert len((run.outside / "boxes.txt").read_text().splitlines()) == 26, tracked

    if sys.platform == "win32":
        return  # array-record, which training data are written with, has no wheel there
    run("siamjax", "train", "--config", "quickstart", "--workdir", "mine", *TINY)
    lines = (run.outside / "mine" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 2

    run("siamjax", "render", "--out", "rendered", "--sequences", 2, "--frames", 5)
    words = ("--benchmark", "otb", "--data", "rendered", "--out", "scored")
    assert "success" in run("siamjax", "eval", "--weights", "mine", *words)
    summary = json.loads((run.outside / "scored" / "summary.json").read_text())
    assert 0 <= summary["trackers"]["quickstart"]["overall"]["success_auc"] <= 1
    words = ("--workdir", "study", "--variants", "shift_0", "--dry-run")
    assert "shift_0" in run("siamjax", "ablate", "shift", *words)
