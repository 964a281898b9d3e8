"""From files to numbers: what is missing or wrong is named and never averaged."""

import json

import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import Problem, SequenceError
from siamjax.evaluation.benchmarks.truths import Truth, read_truths
from siamjax.evaluation.report.tables import as_text
from siamjax.evaluation.scoring import frames_per_second, score_tracker, summary
from tests.evaluation.conftest import boxes_along


@pytest.fixture
def annotations():
    return {name: Truth(name, boxes_along(10) + 1) for name in ("A", "B", "C", "D", "E")}


def write(folder, name, boxes):
    folder.mkdir(exist_ok=True)
    np.savetxt(folder / f"{name}.txt", boxes, delimiter=",")


def test_bad_results_are_named_and_left_out(tmp_path, annotations, otb):
    write(tmp_path, "A", annotations["A"].boxes)
    write(tmp_path, "B", annotations["B"].boxes[:-1])
    with_nan = annotations["C"].boxes.copy()
    with_nan[4:] = np.nan
    write(tmp_path, "C", with_nan)
    (tmp_path / "D.txt").write_text("1,2,3,4,5,6,7,8\n" * 10)
    found = score_tracker("ours", tmp_path, annotations.values(), otb)
    assert list(found.sequences) == ["A", "C"]
    assert found.overall["precision_20px"] == pytest.approx((1 + 0.4) / 2)
    assert [str(p) for p in found.problems] == [
        "B: not scored: expected 10 boxes, as in the ground truth, got 9",
        "C: 6 boxes are not finite and count as misses",
        f"D: not scored: '{tmp_path}/D.txt' line 1: 8 values ('1, 2, 3, 4, 5, 6, 7, 8'), "
        "a polygon, it seems; x, y, w, h are expected",
        "E: not scored: no result file",
    ]


def test_a_refusal_is_the_reason_for_a_missing_result(tmp_path, annotations, otb):
    write(tmp_path, "A", annotations["A"].boxes)
    refused = [Problem("B", "not tracked: too small")]
    found = score_tracker("ours", tmp_path, [annotations[n] for n in "AB"], otb, refused)
    assert found.problems == refused


def test_nothing_scored_is_no_score(tmp_path, annotations, otb):
    found = score_tracker("ours", tmp_path, annotations.values(), otb)
    assert found.overall == {} and found.curves == {} and found.fps is None
    assert "-" in as_text([found], [])
    assert summary("otb", [found], [])["trackers"]["ours"]["overall"] == {}


def test_summary_is_json_in_the_agreed_form(tmp_path, annotations, otb):
    write(tmp_path, "A", annotations["A"].boxes)
    found = score_tracker("ours", tmp_path, [annotations["A"]], otb)
    content = summary("otb", [found], [Problem("Z", "skipped")])
    ours = json.loads(json.dumps(content, allow_nan=False))["trackers"]["ours"]
    keys = {"success_auc", "precision_20px", "norm_precision"}
    assert content["benchmark"] == "otb"
    assert set(ours["overall"]) == set(ours["sequences"]["A"]) == keys
    assert ours["problems"] == ["Z: skipped"]


def test_the_table_is_ranked_and_lists_the_problems(tmp_path, annotations, otb):
    write(tmp_path / "bad", "A", annotations["A"].boxes + 5)
    write(tmp_path / "good", "A", annotations["A"].boxes)
    only_a = [annotations["A"]]
    trackers = [score_tracker(n, tmp_path / n, only_a, otb) for n in ("bad", "good")]
    lines = as_text(trackers, [Problem("Z", "skipped")]).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["tracker", "good", "bad"]
    assert "0.952" in lines[1] and lines[3:] == ["1 problem:", "problem: Z: skipped"]


def test_results_in_two_layouts_are_not_taken_for_repetitions(tmp_path, annotations, otb):
    write(tmp_path, "A", annotations["A"].boxes)
    write(tmp_path / "A", "A_001", annotations["A"].boxes)
    write(tmp_path, "B", annotations["B"].boxes)
    for benchmark in (otb, get_benchmark("got10k")):
        found = score_tracker("ours", tmp_path, [annotations[n] for n in "AB"], benchmark)
        assert list(found.sequences) == ["B"]
        (problem,) = found.problems
        assert str(problem) == (
            "A: not scored: results in two layouts, A.txt and A/A_001.txt; keep one"
        )


def test_speed_leaves_out_start_first_update_and_frames_not_seen():
    one = np.array([5.0, 9.0, 0.1, np.nan, 0.1])
    two = np.array([5.0, 9.0, 0.3])
    assert frames_per_second([one, two]) == pytest.approx(3 / 0.5)
    assert frames_per_second([np.array([5.0, 9.0])]) is None
    assert frames_per_second([]) is None


def test_annotations_from_a_folder_and_from_json_agree(write_sequence, tmp_path, otb):
    write_sequence("Ball", 5)
    (write_sequence("Bad", 5) / "groundtruth_rect.txt").write_text("1,2\n")
    file = tmp_path / "toolkit.json"
    expected = boxes_along(5) + np.array([1, 1, 0, 0])
    file.write_text(json.dumps({"Ball": {"gt_rect": expected.tolist()}, "Bad": {}}))
    for path in (tmp_path / "data", file):
        (truth,), (problem,) = read_truths(path, otb)
        np.testing.assert_array_equal(truth.boxes, expected)
        assert truth.name == "Ball" and problem.sequence == "Bad"


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "do not exist"),
        ("{", "is not valid json"),
        ("[1]", "JSON object"),
        ("{}", "no usable ground truth"),
        ('{"A": {"gt_rect": [[1, 2], [3]]}}', "no usable ground truth"),
    ],
)
def test_annotations_that_are_none(tmp_path, otb, content, message):
    file = tmp_path / "toolkit.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SequenceError, match=message):
        read_truths(file, otb)
