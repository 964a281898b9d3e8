"""`siamjax score` on results in the layouts in which the toolkits write and publish them."""

import json
import re

import numpy as np
import pytest

from siamjax.cli import main
from siamjax.evaluation.benchmarks.members import LASOT_TEST
from tests.evaluation.conftest import boxes_along

T = 12


@pytest.fixture
def score(capsys):
    """Runs the command with `--json`; the trackers by name."""

    def score(benchmark, annotations, results, *more, code=0):
        words = ("--benchmark", benchmark, "--annotations", annotations, "--results", results)
        assert main(["score", *map(str, words), "--json", *map(str, more)]) == code
        content = json.loads(capsys.readouterr().out)
        assert set(content) == {"benchmark", "trackers"}
        keys = {"overall", "sequences", "missing", "problems"}
        assert all(set(tracker) == keys for tracker in content["trackers"].values())
        return content["trackers"]

    return score


def write(file, rows, separator=","):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


def write_vot(folder, name, boxes):
    rows = [[1], *boxes[1:]]
    write(folder / name / f"{name}_001.txt", rows)


def write_json(file, entries):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({name: {"gt_rect": gt.tolist()} for name, gt in entries.items()})
    )


@pytest.mark.parametrize("given", ["results", "results/OTB100", "results/OTB100/perfect"])
def test_otb_as_pysot_writes_it(tmp_path, score, given):
    truth = {name: boxes_along(T) + 1 for name in ("Jogging-1", "Human4-2", "CarDark")}
    write_json(tmp_path / "OTB100.json", truth)
    results = tmp_path / "results" / "OTB100" / "perfect"
    for name, separator in (("jogging.1", "\t"), ("Human4_2", " "), ("carDark", ",")):
        write(results / f"{name}.txt", boxes_along(T) + 1, separator)
    (tracker,) = score("OTB100", tmp_path / "OTB100.json", tmp_path / given).values()
    assert set(tracker["sequences"]) == set(truth) and tracker["problems"] == []
    assert tracker["overall"] == pytest.approx(
        {"success_auc": 20 / 21, "precision_20px": 1, "norm_precision": 1}
    )


@pytest.mark.parametrize("year", [2016, 2017, 2018, 2019])
@pytest.mark.parametrize("given", ["results", "results/VOT{}", "results/VOT{}/perfect"])
def test_vot_as_pysot_writes_it(tmp_path, score, given, year):
    truth = {name: boxes_along(500) for name in ("ants-1", "drone_flip")}
    write_json(tmp_path / f"VOT{year}.json", truth)
    results = tmp_path / "results" / f"VOT{year}" / "perfect" / "baseline"
    write_vot(results, "Ants1", truth["ants-1"])
    write_vot(results, "drone-flip", truth["drone_flip"])
    found = score(f"VOT{year}", tmp_path / f"VOT{year}.json", tmp_path / given.format(year))
    assert found["perfect"]["problems"] == []
    perfect = {"accuracy": 1, "robustness": 0, "lost_number": 0, "eao": 1}
    assert found["perfect"]["overall"] == pytest.approx(perfect)


def test_lasots_280_sequences_from_its_toolkits_folder(tmp_path, score, rng):
    assert len(LASOT_TEST) == 280
    annotations, gt = tmp_path / "annos", boxes_along(T) + 1
    absent = (np.arange(T) % 4 == 1)[:, None].astype(int)
    for name in [*LASOT_TEST, "airplane-2"]:  # of which the last is of the training set
        write(annotations / f"{name}.txt", gt)
        write(annotations / "absent" / f"{name}.txt", absent)
        write(annotations / "att" / f"{name}.txt", rng.integers(0, 2, (1, 14)))
    tracker = tmp_path / "tracking_results" / "SiamX_tracking_result"
    for name in LASOT_TEST:
        write(tracker / f"{name}.txt", gt, "\t")
    (found,) = score("LaSOT", annotations, tmp_path / "tracking_results").values()
    assert len(found["sequences"]) == 280 and found["problems"] == []
    # absent frames are in the denominator by PySOT's convention, and in nothing by the other
    assert found["overall"]["precision_20px"] == pytest.approx(0.75)
    report = tmp_path / "report"
    words = ("--convention", "got10k", "--report", report)
    (found,) = score("LaSOT", annotations, tmp_path / "tracking_results", *words).values()
    assert found["overall"]["precision_20px"] == 1
    (full,) = json.loads((report / "summary.json").read_text())["trackers"].values()
    assert len(full["attributes"]) == 14 and full["frames"] == 280 * T


def test_trackers_of_several_layouts_side_by_side(tmp_path, score):
    """Those of another layout are named in one line, and the others scored."""
    write_json(tmp_path / "annotations.json", {"A": boxes_along(T) + 1})
    write(tmp_path / "results" / "flat" / "A.txt", boxes_along(T) + 1)
    write_vot(tmp_path / "results" / "supervised" / "baseline", "A", boxes_along(T))
    (tmp_path / "results" / "empty").mkdir()
    found = score("otb", tmp_path / "annotations.json", tmp_path / "results")
    assert set(found) == {"flat"}
    assert found["flat"]["problems"] == [
        "empty: skipped: the folder is empty",
        "supervised: skipped: it holds baseline/ of VOT's layout; not for otb",
    ]
    found = score("vot2018", tmp_path / "annotations.json", tmp_path / "results")
    assert set(found) == {"supervised"}
    assert found["supervised"]["problems"] == [
        "empty: skipped: the folder is empty",
        "flat: skipped: it holds one-pass results; not for vot2018",
    ]


ROWS = boxes_along(T) + 1
BAD_FILES = {
    "shorter": (ROWS[:-1], "expected 12 boxes, as in the ground truth, got 11"),
    "longer": (
        np.concatenate([ROWS, ROWS[:1]]),
        "expected 12 boxes, as in the ground truth, got 13",
    ),
    "empty": ([], "is empty"),
    "polygons": (np.tile(ROWS, 2), r"line 1: 8 values \(.*\), a polygon, it seems"),
    "bars": ("|", r"line 1: .* is not a number"),
    "words": ([["nothing", "to", "see", "here"]], "'nothing' is not a number"),
}


def test_bad_one_pass_input_is_named_counted_and_in_no_mean(tmp_path, score):
    gt = dict.fromkeys([*BAD_FILES, "good", "nan", "missing", "untrue"], ROWS)
    file = tmp_path / "annotations.json"
    write_json(file, gt)
    content = json.loads(file.read_text())
    content["untrue"] = {"gt_rect": np.tile(ROWS, 2).tolist()}
    file.write_text(json.dumps(content))
    results = tmp_path / "results" / "ours"
    for name, (rows, _) in BAD_FILES.items():
        if isinstance(rows, str):
            write(results / f"{name}.txt", ROWS, separator=rows)
        else:
            text = "".join(",".join(map(str, row)) + "\n" for row in rows)
            (results / f"{name}.txt").parent.mkdir(parents=True, exist_ok=True)
            (results / f"{name}.txt").write_text(text)
    write(results / "good.txt", ROWS)
    write(results / "untrue.txt", ROWS)
    with_nan = ROWS.copy()
    with_nan[3:] = np.nan
    write(results / "nan.txt", with_nan)
    report = tmp_path / "report"
    words = ("otb", file, tmp_path / "results", "--report", report)
    (found,) = score(*words, code=3).values()
    assert score(*words, "--allow-missing") == {"ours": found}
    assert set(found["sequences"]) == {"good", "nan"}
    assert set(found["missing"]) == {*BAD_FILES, "missing", "untrue"}
    assert found["overall"]["precision_20px"] == pytest.approx((1 + 0.25) / 2)
    expected = {name: f"not scored: .*{message}" for name, (_, message) in BAD_FILES.items()}
    expected["missing"] = "not scored: no result file"
    expected["nan"] = "9 boxes are not finite and count as misses"
    expected["untrue"] = "skipped: `gt_rect` .*; these seem to be polygons"
    assert len(found["problems"]) == len(expected)
    for name, message in expected.items():
        (line,) = (p for p in found["problems"] if p.startswith(f"{name}: "))
        assert "\n" not in line
        assert re.search(message, line), line
    page = (report / "index.html").read_text()
    assert "9 problems" in page and "2 sequences scored" in page
    assert "<td>2 of 10</td>" in page and "INCOMPLETE: ours is scored on 2 of 10" in page
    assert "| 2 of 10 |" in (report / "table.md").read_text()
    assert "& 2 of 10 " in (report / "table.tex").read_text()


def test_a_benchmark_that_is_not_whole_is_not_told_as_one(tmp_path, capsys):
    names = ("Basketball", "Skating2-1", "Woman")
    write_json(tmp_path / "OTB.json", dict.fromkeys(names, boxes_along(T) + 1))
    for name in names:
        write(tmp_path / "results" / "ours" / f"{name}.txt", boxes_along(T) + 1)
    (tmp_path / "results" / "theirs").mkdir()
    words = ["--annotations", tmp_path / "OTB.json", "--results", tmp_path / "results"]
    assert main(["score", "--benchmark", "otb50", *map(str, words)]) == 0
    out, told = capsys.readouterr()
    # 49 folders make TB-50, of which three are here
    assert "otb50: 46 of its 49 sequences are not here: biker, bird1, blurbody, and 43" in told
    assert "theirs: skipped: the folder is empty" in out
