"""Names out of other people's files, through the commands that write: none leaves `--out`."""

import json
import os
import zipfile

import cv2
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.commands import evaluate as command
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.results.files import find_trackers
from siamjax.evaluation.running.runner import Entrant, StaticTracker
from siamjax.files import file_name
from tests.conftest import ROOT
from tests.evaluation.conftest import boxes_along

T = 3
NAMES = [
    "plain",
    "a/b",
    "../../../x",
    "..",
    ".",
    "",
    " blanks ",
    "times",
    "problems",
    "tracker.json",
    "baseline",
    "CON",
    "nul\x00byte",
    "two\nlines",
    "\x1b[31mred",
    "<script>alert(1)</script>",
    "50%",
    "a%2Fb",
    "x" * 300,
    "x" * 301,
    "猫" * 120,
    "-rf",
    "PLAIN",
]


@pytest.fixture
def names(tmp_path):
    return [*NAMES, str(tmp_path / "elsewhere" / "x")]


@pytest.fixture
def annotations(tmp_path, names):
    """A json of PySOT's toolkit beside its frames, which all sequences share."""
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(T):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 64, 3), i, np.uint8))
    rows = (boxes_along(T) + 1).tolist()
    frames = [f"{i}.png" for i in range(T)]
    entry = {"gt_rect": rows, "img_names": frames, "init_rect": rows[0], "video_dir": ""}
    (folder / "OTB.json").write_text(json.dumps(dict.fromkeys(names, entry)))
    return folder / "OTB.json"


@pytest.fixture
def files(tmp_path):
    """Every file below the temporary folder, but for the data."""

    def files():
        found = {p for p in tmp_path.rglob("*") if p.is_file()}
        return {p for p in found if tmp_path / "data" not in p.parents}

    return files


@pytest.mark.parametrize("benchmark", ["otb", "got10k", "vot2018", "vot2018-lt"])
def test_evaluation_scoring_and_reports(
    benchmark, annotations, names, files, tmp_path, monkeypatch, capsys
):
    tracker = [Entrant("..", StaticTracker(), {"control": "never moves"})]
    monkeypatch.setattr("siamjax.api._entrants", lambda *_: tracker)
    out = tmp_path / "deep" / "down" / "out"
    words = ["--benchmark", benchmark, "--data", annotations, "--out", out]

    def run():
        return command.evaluate(
            config=ROOT / "configs" / "quickstart.py",
            weights="random",
            benchmark=benchmark,
            data=annotations,
            out=out,
        )

    assert run() == 0, capsys.readouterr().out
    written = files()
    assert written and all(out in path.parents for path in written)
    assert all(set(path.name) & set("\n\x00\x1b<>") == set() for path in written)
    printed = capsys.readouterr().out
    assert f"{len(names)}\n" in printed and "\x1b" not in printed
    (scored,) = json.loads((out / "summary.json").read_text())["trackers"].values()
    assert set(scored["sequences"]) == set(names) and scored["missing"] == []
    assert "<script>alert" not in (out / "index.html").read_text()

    times = {path: path.stat().st_mtime_ns for path in written if "results" in path.parts}
    assert run() == 0  # nothing is tracked again
    assert {path: path.stat().st_mtime_ns for path in times} == times
    capsys.readouterr()

    words = ["--benchmark", benchmark, "--annotations", annotations]
    words += ["--results", out / "results", "--json"]
    assert main(["score", *map(str, words)]) == 0
    found = json.loads(capsys.readouterr().out)["trackers"]
    assert found == {"..": {key: scored[key] for key in found[".."]}}


def test_trackers_of_one_name_are_told_apart(annotations, tmp_path, monkeypatch, capsys):
    tracker = [Entrant("ours", StaticTracker(), {"control": "never moves"})]
    monkeypatch.setattr("siamjax.api._entrants", lambda *_: tracker)
    words = {"config": ROOT / "configs" / "quickstart.py", "weights": "random"}
    words |= {"benchmark": "otb", "data": annotations, "sequences": ("plain",)}
    assert command.evaluate(**words, out=tmp_path / "first") == 0
    other = tmp_path / "first" / "results"
    assert command.evaluate(**words, out=tmp_path / "second", compare=(other,)) == 0
    found = json.loads((tmp_path / "second" / "summary.json").read_text())["trackers"]
    assert set(found) == {"ours", f"ours ({other})"}
    capsys.readouterr()


@pytest.mark.parametrize("benchmark", ["got10k", "trackingnet"])
def test_an_archive_for_a_server(benchmark, annotations, names, files, tmp_path, capsys):
    results = tmp_path / "results"
    results.mkdir()
    for name in names:
        safe = file_name(name)
        file = results / f"{safe}.txt"
        if benchmark == "got10k":
            file = results / safe / f"{safe}_001.txt"
            file.parent.mkdir()
            file.with_name(f"{safe}_time.txt").write_text("0.1\n" * T)
        file.write_text("10,20,16,12\n" * T)
    words = ["--benchmark", benchmark, "--data", annotations, "--results", results]
    before = files()
    assert main(["pack", *map(str, words), "--out", str(tmp_path / "out.zip")]) == 0
    assert files() - before == {tmp_path / "out.zip"}
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        entries = archive.namelist()
        assert archive.testzip() is None
    safe = {file_name(name) for name in names}
    if benchmark == "got10k":
        assert set(entries) == {f"{n}/{n}_{kind}.txt" for n in safe for kind in ("001", "time")}
    else:
        assert set(entries) == {f"{n}.txt" for n in safe}
    capsys.readouterr()


def test_trackers_called_after_anything(annotations, tmp_path, capsys):
    """A folder's name need be no text: it is shown with escapes, and the others with it."""
    folders = [
        "good",
        os.fsdecode(b"latin-\xe9"),
        "two\nlines",
        "\x1b[31mred",
        "$x^$",
        "_under",
        "x" * 250,
    ]
    for folder in folders:
        (tmp_path / "results" / folder).mkdir(parents=True)
        (tmp_path / "results" / folder / "plain.txt").write_text("11,21,16,12\n" * T)
    words = ["--benchmark", "otb", "--annotations", annotations, "--allow-missing"]
    words += ["--results", tmp_path / "results", "--report", tmp_path / "report"]
    assert main(["score", *map(str, words)]) == 0
    printed = capsys.readouterr().out
    shown = ["good", "latin-\\udce9", "two\\nlines", "\\x1b[31mred"]
    shown += ["$x^$", "_under", "x" * 250]
    assert all(f"\n{name} " in printed for name in shown)
    for page in ("index.html", "table.md", "table.tex", "summary.json"):
        assert (tmp_path / "report" / page).read_bytes().isascii() or page == "index.html"
    page = (tmp_path / "report" / "index.html").read_text()
    assert all(f"{name} [" in page for name in ("good", "$x^$", " _under"))
    found, _ = find_trackers(tmp_path / "results", get_benchmark("otb"), ["plain"])
    assert set(found) == set(shown)


def test_list_txt_names_only_folders_that_are_there(tmp_path, capsys):
    """A name in a list is looked for among the folders, never joined to a path."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "list.txt").write_text("../secret\n/etc\n..\n\x00\n")
    words = ["--benchmark", "otb", "--annotations", str(tmp_path / "data")]
    assert main(["score", *words, "--results", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no" in line
