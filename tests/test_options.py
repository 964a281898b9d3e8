"""Options of commands that nobody can mean: refused in one line before any work."""

import os

import pytest

from siamjax.cli import main
from siamjax.commands.ending import run_command
from siamjax.commands.evaluate import evaluate
from siamjax.commands.train import train
from tests.conftest import ROOT

QUICKSTART = ROOT / "configs" / "quickstart.py"
NETWORK = ("--config", QUICKSTART, "--weights", "random")
BENCHMARK = ("--benchmark", "otb", "--data", "data", "--out", "out")
COMMANDS = {
    "render": ("--out", "out"),
    "prepare": ("otb", "--input", "data", "--out", "out"),
    "check": ("data",),
    "export": ("--out", "out", *NETWORK),
    "search": (*NETWORK, *BENCHMARK),
    "ablate": (ROOT / "configs" / "ablations" / "shift.py", "--workdir", "out"),
}
MANY = 10**12
REFUSED = {
    "render": [
        ("--sequences", MANY),
        ("--frames", 0),
        ("--seed", -1),
        ("--seed", 10**30),
        ("--width", 10**6),
    ],
    "prepare": [
        ("--crop-size", 10**6),
        ("--crop-size", -1),
        ("--template-size", 0),
        ("--frame-step", 0),
        ("--min-side", "nan"),
        ("--min-side", "inf"),
        ("--max-aspect", "nan"),
        ("--jobs", 10**9),
        ("--jobs", 0),
    ],
    "check": [("--limit", 0), ("--seed", -1)],
    "export": [("--width", 10**9), ("--height", 0)],
    "search": [
        ("--candidates", MANY),
        ("--candidates", 0),
        ("--batch", MANY),
        ("--tolerance", "nan"),
        ("--tolerance", "inf"),
        ("--seed", -1),
        ("--penalty-k", "nan", 1),
        ("--penalty-k", 0, "inf"),
        ("--window-influence", 0.5, 0.2),
        ("--size-lr", 0, 2),
        ("--search-sizes", -1),
        ("--search-sizes", 10**9 + 7),
    ],
    "ablate": [
        ("--seeds", -1),
        ("--seeds", 2**32),
        ("--seeds", 1, 1),
        ("--jobs", 10**9),
        ("--jobs", 0),
        ("--variants", ".."),
    ],
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(error, name, value):
    """One line that names the option and shows its value, and nothing written."""
    (line,) = error.strip().splitlines()
    assert name.strip("-") in line.replace("_", "-") and str(value) in line
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("command", "words"),
    [(command, words) for command, cases in REFUSED.items() for words in cases],
    ids=str,
)
def test_options_out_of_bounds(command, words, capsys):
    assert main([command, *map(str, (*COMMANDS[command], *words))]) == 1
    refused(capsys.readouterr().err, *words[:2])


@pytest.mark.parametrize(
    "option",
    [
        *[("speed", value) for value in (float("nan"), float("inf"), -1.0, 0.0)],
        *[(name, value) for name in ("repetitions", "slots") for value in (MANY, -1)],
    ],
    ids=str,
)
def test_options_of_an_evaluation(option, tmp_path, capsys):
    name, value = option
    words = {"config": QUICKSTART, "weights": "random", "benchmark": "otb"}
    words |= {"data": tmp_path / "data", "out": tmp_path / "out", "real_time": True}
    assert run_command("eval.py", lambda: evaluate(**words, **dict([option]))) == 1
    refused(capsys.readouterr().err, name, value)


@pytest.mark.parametrize(
    "words",
    [
        ("--optim.lr", "nan"),
        ("--train.max-loss", "inf"),
        ("--train.seed", -1),
        ("--train.epochs", MANY),
        ("--data.crop-size", 10**9),
        ("--data.num-workers", 10**9),
        ("--tracker.penalty-k", "nan"),
    ],
)
def test_fields_of_a_configuration(words, capsys):
    given = ["--config", QUICKSTART, "--workdir", "out", *words]
    with pytest.raises(SystemExit, match="2"):
        train(list(map(str, given)), "")
    assert f"{words[1]}" in capsys.readouterr().err
    assert os.listdir() == []


def test_a_study_that_raises_shows_its_own_line(tmp_path, capsys):
    study = tmp_path / "study.py"
    study.write_text("def get_study(size):\n    return {}['mine']\n")
    assert main(["ablate", str(study), "--workdir", "out"]) == 1
    assert capsys.readouterr().err == f"siamjax: {study}, line 2: KeyError: 'mine'\n"
    assert os.listdir() == ["study.py"]


ODD = ["[" * 100_000, "[]", "null", '{"name": 1' + "0" * 400 + "}", '{"name": []}', "\xff", ""]


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:12])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("out/study.json", ("ablate", COMMANDS["ablate"][0], "--workdir", "out")),
        ("out/rendered.json", ("render", "--out", "out", "--sequences", 1, "--frames", 2)),
        ("out/metrics.jsonl", ("report", "out")),
    ],
)
def test_json_of_ours_that_is_damaged(text, file, words, capsys):
    os.mkdir("out")
    with open(file, "w", encoding="latin-1") as opened:
        opened.write(text)
    assert main(list(map(str, words))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert os.path.basename(file) in line or "holds a rendered set that differs" in line
    assert len(line) < 600 and os.listdir("out") == [os.path.basename(file)]
