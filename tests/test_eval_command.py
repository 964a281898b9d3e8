"""`siamjax eval` and `siamjax score` from their arguments, with an untrained network."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from siamjax.cli import COMMANDS, main
from siamjax.config_files import config_to_dict, load_config
from siamjax.data import synthetic
from siamjax.evaluation.running import runner
from siamjax.models.build import build_network
from siamjax.tracking.batch import BatchTracker
from siamjax.training.checkpoints import save_variables
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A work directory as training leaves it."""
    config = small_config()
    folder = tmp_path_factory.mktemp("run") / "weights"
    save_variables(folder, random_variables(build_network(config.model), config), config)
    return folder


@pytest.fixture
def data(tmp_path):
    """Two sequences in OTB layout, of a square that moves over a gradient."""
    for number, name in enumerate(("Alpha", "Beta")):
        folder = tmp_path / "data" / name
        (folder / "img").mkdir(parents=True)
        rows = []
        for i in range(6):
            y, x = np.mgrid[0:120, 0:160]
            image = np.stack([x, y, x // 2 + y // 2], axis=-1).astype(np.uint8)
            left, top = 40 + 3 * i, 30 + 2 * i * number
            image[top : top + 24, left : left + 30] = (20, 200, 240)
            cv2.imwrite(str(folder / "img" / f"{i + 1:04d}.jpg"), image)
            rows.append(f"{left + 1},{top + 1},30,24\n")
        (folder / "groundtruth_rect.txt").write_text("".join(rows))
    return tmp_path / "data"


@pytest.fixture
def run(weights, data, tmp_path):
    def run(*more, benchmark="otb", data=data, weights=weights, config=None):
        words = {
            "--config": config or weights / "config.json",
            "--weights": weights,
            "--benchmark": benchmark,
            "--data": data,
            "--out": tmp_path / "out",
        }
        flat = [str(word) for pair in words.items() for word in pair]
        return main(["eval", *flat, *map(str, more)])

    return run


@pytest.fixture
def summary(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "summary.json").read_text())


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_an_exported_folder_scores_as_its_weights(form, weights, data, tmp_path):
    pytest.importorskip("onnxruntime" if form == "onnx" else "flatbuffers")
    served = tmp_path / "served"
    words = ["--weights", str(weights), "--format", form, "--out", str(served)]
    assert main(["export", *words]) == 0
    scores = []
    for name, tracker in {"a": served, "b": weights}.items():
        words = ["--benchmark", "otb", "--data", str(data), "--out", str(tmp_path / name)]
        assert main(["eval", *words, "--weights", str(tracker)]) == 0
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        scores.append(summary["trackers"][small_config().name]["overall"]["success_auc"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-3) and scores[0] > 0


def test_from_weights_to_report(run, summary, data, tmp_path, capsys, recwarn):
    assert run("--controls") == 0
    printed = capsys.readouterr().out
    name = small_config().name
    trackers = {name, f"{name}-untrained", "never-moves"}
    assert set(summary()["trackers"]) == trackers
    assert all(tracker in printed for tracker in trackers)
    assert f"report: {tmp_path / 'out' / 'index.html'}" in printed
    assert (tmp_path / "out" / "index.html").is_file()
    lines = (tmp_path / "out" / "results" / name / "Alpha.txt").read_text().splitlines()
    assert len(lines) == 6
    assert [float(v) for v in lines[0].split(",")] == [41, 31, 30, 24]

    # the same files through `siamjax score` give the same numbers
    words = ["score", "--benchmark", "OTB", "--annotations", str(data)]
    words += ["--results", str(tmp_path / "out" / "results")]
    assert main([*words, "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["benchmark"] == summary()["benchmark"]
    assert scored["trackers"].keys() == summary()["trackers"].keys()
    for each, content in scored["trackers"].items():
        assert content.items() <= summary()["trackers"][each].items()
    assert main(words) == 0
    assert name in capsys.readouterr().out


def test_one_bad_sequence_does_not_stop_the_others(run, summary, data, capsys):
    (data / "Alpha" / "groundtruth_rect.txt").write_text("1,1,9,9\n")
    (data / "Beta" / "img" / "0003.jpg").write_bytes(b"\xff\xd8 torn")
    assert run() == 3
    printed = capsys.readouterr().out
    assert printed.count("problem: ") == 2
    assert "is scored on 1 of 2 sequences; missing: Alpha\n" in printed
    assert run("--allow-missing") == 0
    (tracker,) = summary()["trackers"].values()
    assert list(tracker["sequences"]) == ["Beta"]
    assert tracker["problems"][0].startswith(
        "Alpha: skipped: expected 6 rows of ground truth, one per frame, read 1"
    )
    assert "0003.jpg" in tracker["problems"][1]


def test_an_interrupted_evaluation_goes_on(run, summary, monkeypatch, capsys):
    real, calls = runner.run_sequence, []

    def interrupted(tracker, sequence, **kwargs):
        calls.append(sequence.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(tracker, sequence, **kwargs)

    monkeypatch.setattr(runner, "run_sequence", interrupted)
    assert run("--slots", 0) == 130
    assert "the same command resumes it" in capsys.readouterr().err
    assert run("--slots", 0) == 0
    assert calls == ["Alpha", "Beta", "Beta"]
    (tracker,) = summary()["trackers"].values()
    assert set(tracker["sequences"]) == {"Alpha", "Beta"}


def test_another_trackers_results_are_not_mixed_in(run, weights, tmp_path, capsys):
    assert run() == 0
    settings = config_to_dict(small_config())
    settings["tracker"]["penalty_k"] = 0.123
    other = tmp_path / "other.json"
    other.write_text(json.dumps(settings))
    assert run(config=other) == 1
    error = capsys.readouterr().err
    assert "`config.tracker.penalty_k`" in error and "0.123" in error


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"benchmark": "otp"}, "did you mean 'otb'"),
        ({"data": ROOT / "nowhere"}, "nowhere' does not exist"),
        ({"config": ROOT / "configs" / "quickstat.py"}, "did you mean 'quickstart'"),
        ({"weights": ROOT / "nowhere", "config": ROOT / "configs/quickstart.py"}, "nowhere"),
        ({"config": ROOT / "configs" / "quickstart.py"}, "weights"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(run, tmp_path, capsys, wrong, message):
    assert run(**wrong) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--speed", "25"], "`--speed` (=25.0) is for `--real-time`"),
        (["--repetitions", "3"], "`--repetitions` (=3): otb has one run"),
        (["--compare", "nowhere"], "`--compare` (='nowhere') is no folder"),
    ],
)
def test_an_option_without_effect_is_refused(run, tmp_path, capsys, words, message):
    assert run(*words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_sequence_is_guessed(run, capsys):
    assert run("--sequences", "Alpa") == 1
    assert "did you mean 'Alpha'" in capsys.readouterr().err


def test_the_synthetic_test_split_is_rendered_once(run, summary, tmp_path, monkeypatch):
    rendered, real = [], synthetic.write_otb

    def write_fewer(config, out):
        rendered.append(config)
        return real(dataclasses.replace(config, sequences=1, frames=4), out)

    monkeypatch.setattr(synthetic, "write_otb", write_fewer)
    for _ in range(2):
        assert run(benchmark="synthetic", data=tmp_path / "test") == 0
    (config,) = rendered
    assert (config.split, config.seed, config.sequences, config.frames) == ("test", 0, 60, 60)
    assert summary()["benchmark"] == "synthetic"


def test_scoring_published_results(shared, capsys):
    assert "score" in COMMANDS
    folder = shared / "results" / "otb100"
    words = ["--annotations", folder / "OTB2015.json", "--results", folder, "--json"]
    assert main(["score", "--benchmark", "OTB100", *map(str, words)]) == 0
    trackers = json.loads(capsys.readouterr().out)["trackers"]
    # PySOT's toolkit on these files, see the folder's README
    assert trackers["SiamRPN++"]["overall"] == pytest.approx(
        {"success_auc": 0.6955, "precision_20px": 0.9054, "norm_precision": 0.8598}, abs=6e-5
    )
    assert trackers["SiamFC"]["overall"] == pytest.approx(
        {"success_auc": 0.5868, "precision_20px": 0.7717, "norm_precision": 0.7187}, abs=6e-5
    )
    assert trackers["SiamFC"]["problems"] == []


@pytest.mark.parametrize(
    "benchmark, folder, annotations, expected, tolerance",
    [
        (
            "LaSOT",
            "lasot40",
            "annotations",
            {"success_auc": 0.4090, "precision_20px": 0.3923, "norm_precision": 0.4740},
            6e-5,
        ),
        (
            "VOT-2018",
            "vot2018",
            "VOT2018.json",
            {"accuracy": 0.5855, "robustness": 0.2763, "lost_number": 59, "eao": 0.3824},
            6e-5,
        ),
    ],
)
def test_scoring_other_benchmarks_published_results(
    shared, capsys, benchmark, folder, annotations, expected, tolerance
):
    results = shared / "results" / folder
    words = ["--annotations", results / annotations, "--results", results, "--json"]
    assert main(["score", "--benchmark", benchmark, *map(str, words)]) == 0
    ((name, tracker),) = json.loads(capsys.readouterr().out)["trackers"].items()
    # PySOT's toolkit on these files, see the folder's README
    assert tracker["overall"] == pytest.approx(expected, abs=tolerance)
    assert name in ("SiamRPN++", "DaSiamRPN") and tracker["problems"] == []


def test_a_report_on_published_results(shared, tmp_path, capsys):
    folder = shared / "results" / "otb100"
    words = ["--annotations", folder / "OTB2015.json", "--results", folder]
    words += ["--report", tmp_path, "--convention", "matlab"]
    assert main(["score", "--benchmark", "OTB50", *map(str, words)]) == 0
    assert "SiamRPN++" in (tmp_path / "index.html").read_text()
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["SiamRPN++", "SiamFC"]
    capsys.readouterr()


def test_vots_protocol_on_real_sequences_stopped_and_gone_on_with(
    run, summary, shared, tmp_path, monkeypatch, capsys
):
    real, stopped = BatchTracker.update, []
    results = tmp_path / "out" / "results" / small_config().name / "baseline"

    def stops(tracker, frames):
        if not stopped and any(results.glob("*/*_001.txt")):
            stopped.append(True)
            raise KeyboardInterrupt
        return real(tracker, frames)

    monkeypatch.setattr(BatchTracker, "update", stops)
    words = ("--slots", 2)
    given = {"benchmark": "vot2018", "data": shared / "sequences" / "vot"}
    assert run(*words, **given) == 130
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/*_001.txt")}
    assert len(before) == 1
    assert run(*words, **given) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    (tracker,) = summary()["trackers"].values()
    assert set(tracker["sequences"]) == {"bag", "book"} and tracker["problems"] == []
    # an untrained network may fail before any frame counts for accuracy
    assert {"robustness", "lost_number", "eao"} <= tracker["overall"].keys()
    capsys.readouterr()


def test_searching_hyper_parameters(weights, data, tmp_path, capsys):
    words = {
        "--config": weights / "config.json",
        "--weights": weights,
        "--benchmark": "otb",
        "--data": data,
        "--out": tmp_path / "search",
        "--candidates": 3,
        "--batch": 3,
    }
    flat = ["search", *(str(word) for pair in words.items() for word in pair)]
    assert main(flat) == 0
    printed = capsys.readouterr().out
    assert "times fewer than the 30 of one candidate at a time" in printed
    best = load_config(tmp_path / "search" / "best.json")
    lines = (tmp_path / "search" / "table.csv").read_text().splitlines()
    assert len(lines) == 4 and float(lines[1].split(",")[0]) == best.tracker.penalty_k
    # again: nothing is left to do, and the same is found
    assert main(flat) == 0
    assert capsys.readouterr().out == printed
    assert main([*flat, "--seed", "1"]) == 1
    assert "another search" in capsys.readouterr().err


def test_packing_what_no_server_takes(data, tmp_path, capsys):
    words = ["pack", "--benchmark", "otb", "--data", str(data), "--results", str(tmp_path)]
    assert main([*words, "--out", str(tmp_path / "x.zip")]) == 1
    assert "there is no server for otb" in capsys.readouterr().err


@pytest.fixture
def vot_data(data):
    """The same sequences in VOT's layout, their boxes written as diamonds that they enclose."""
    root = data.parent / "vot"
    for folder in data.iterdir():
        inner = root / folder.name / "color"
        inner.mkdir(parents=True)
        rows = []
        lines = (folder / "groundtruth_rect.txt").read_text().splitlines()
        for i, line in enumerate(lines, 1):
            image = folder / "img" / f"{i:04d}.jpg"
            (inner / f"{i:08d}.jpg").write_bytes(image.read_bytes())
            x, y, w, h = (float(v) - (k < 2) for k, v in enumerate(line.split(",")))
            corners = [x + w / 2, y, x + w, y + h / 2, x + w / 2, y + h, x, y + h / 2]
            rows.append(",".join(f"{v:g}" for v in corners) + "\n")
        (root / folder.name / "groundtruth.txt").write_text("".join(rows))
    (root / "list.txt").write_text("Alpha\nBeta\n")
    return root


def test_vot_in_one_pass_scores_as_the_same_boxes_in_otb(run, vot_data, data, tmp_path, capsys):
    assert run() == 0
    otb = json.loads((tmp_path / "out" / "summary.json").read_text())["trackers"]["small"]
    one_pass = ("--experiment", "one-pass", "--out", tmp_path / "vot-out")
    assert run(*one_pass, benchmark="vot2018", data=vot_data) == 0
    told = json.loads((tmp_path / "vot-out" / "summary.json").read_text())
    vot = told["trackers"]["small"]
    assert told["benchmark"] == "vot2018"
    assert set(vot["sequences"]) == {"Alpha", "Beta"}
    for name, scores in otb["sequences"].items():
        assert vot["sequences"][name] == pytest.approx(scores, abs=1e-3)
    assert 0 < vot["overall"]["success_auc"] < 1
    results = tmp_path / "vot-out" / "results" / "small"
    boxes = np.loadtxt(results / "Beta.txt", delimiter=",")
    assert boxes.shape == (6, 4) and boxes[0].tolist() == [40, 30, 30, 24]  # counted from 0
    # `siamjax score` reads the same files in the same way.
    capsys.readouterr()
    where = ["--annotations", str(vot_data), "--results", str(results), "--json"]
    score = ["score", "--benchmark", "vot2018", "--experiment", "one-pass"]
    assert main([*score, *where]) == 0
    again = json.loads(capsys.readouterr().out)["trackers"]["small"]
    assert again["overall"] == pytest.approx(vot["overall"])


def test_one_pass_needs_the_truth(run, data, capsys):
    assert run("--experiment", "one-pass", benchmark="got10k-test") == 1
    assert "`experiment` (=one-pass)" in capsys.readouterr().err
