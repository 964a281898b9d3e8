"""Result files: round trip, whose they are, and finding those of others."""

import json

import numpy as np
import pytest

from siamjax.config import Config, TrackerConfig
from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.names import match_names
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.evaluation.results.files import (
    ResultFolder,
    ResultsError,
    Run,
    StaleResultsError,
    find_results,
    find_trackers,
    fingerprint,
    read_problems,
    read_seconds,
)

MARK = {"weights": "abc", "config": {"tracker": {"penalty_k": 0.04}, "levels": ["a", "b"]}}


@pytest.fixture
def ball(write_sequence, tmp_path, otb):
    write_sequence("Ball", 8)
    return load_sequences(tmp_path / "data", otb)[0][0]


@pytest.fixture
def folder(tmp_path, otb):
    return ResultFolder(tmp_path / "results" / "ours", otb, MARK)


def run_of(boxes, problems=()):
    return Run(np.asarray(boxes), np.full(len(boxes), 0.01), list(problems))


def test_files_hold_the_benchmarks_own_numbers(folder, ball):
    folder.write("Ball", run_of(ball.gt_xywh))
    first = folder.box_file("Ball").read_text().splitlines()[0]
    # groundtruth_rect.txt of this sequence begins with 11,21,16,12
    assert [float(v) for v in first.split(",")] == [11, 21, 16, 12]
    np.testing.assert_array_equal(read_boxes(folder.box_file("Ball"))[:, 0], np.arange(8) + 11)
    np.testing.assert_allclose(read_seconds(folder.folder, "Ball"), 0.01)
    assert read_problems(folder.folder, "Ball") == []


def test_problems_travel_with_the_results_and_go_with_them(folder, ball):
    folder.write("Ball", run_of(ball.gt_xywh, ["2 frames were lost"]))
    assert read_problems(folder.folder, "Ball") == ["2 frames were lost"]
    folder.write("Ball", run_of(ball.gt_xywh))
    assert read_problems(folder.folder, "Ball") == []


def test_complete_means_every_frame_from_the_box_that_was_given(folder, ball):
    assert not folder.has(ball)
    folder.write("Ball", run_of(ball.gt_xywh[:-1]))
    assert not folder.has(ball)
    folder.write("Ball", run_of(ball.gt_xywh + np.array([3.0, 0, 0, 0])))
    assert not folder.has(ball)
    folder.write("Ball", run_of(ball.gt_xywh + 1e-5))
    assert folder.has(ball)
    folder.box_file("Ball").write_text("torn")
    assert not folder.has(ball)


def test_the_same_tracker_may_come_back(folder, otb):
    ResultFolder(folder.folder, otb, dict(reversed(MARK.items())))


@pytest.mark.parametrize(
    "mark, message",
    [
        ({**MARK, "weights": "def"}, "`weights` is 'abc' there and 'def' here"),
        (
            {**MARK, "config": {**MARK["config"], "tracker": {"penalty_k": 0.1}}},
            "`config.tracker.penalty_k` is 0.04 there and 0.1 here",
        ),
        ({"weights": "abc"}, "`config.tracker.penalty_k` is 0.04 there and None here"),
    ],
)
def test_another_trackers_results_are_refused(folder, otb, mark, message):
    with pytest.raises(StaleResultsError) as raised:
        ResultFolder(folder.folder, otb, mark)
    assert message in str(raised.value) and "--out" in str(raised.value)


def test_results_of_unknown_origin_are_refused(tmp_path, otb):
    (tmp_path / "Ball.txt").write_text("1,2,3,4\n")
    with pytest.raises(StaleResultsError, match=r"no tracker\.json"):
        ResultFolder(tmp_path, otb, MARK)


def test_a_torn_fingerprint_refuses(folder, otb):
    (folder.folder / "tracker.json").write_text("{")
    with pytest.raises(StaleResultsError):
        ResultFolder(folder.folder, otb, MARK)


def test_finding_trackers(tmp_path, folder, ball, otb):
    with pytest.raises(ResultsError, match="does not exist"):
        find_trackers(tmp_path / "nowhere", otb)
    with pytest.raises(ResultsError, match="holds no results"):
        find_trackers(tmp_path / "results", otb)
    folder.write("Ball", run_of(ball.gt_xywh))
    assert find_trackers(tmp_path / "results", otb) == ({"ours": folder.folder}, [])
    assert find_trackers(folder.folder, otb) == ({"ours": folder.folder}, [])
    # a stray text file does not make the folder of trackers one tracker's
    (tmp_path / "results" / "sequences.txt").write_text("Ball\n")
    assert find_trackers(tmp_path / "results", otb, ["Ball"])[0] == {"ours": folder.folder}


def test_names_match_whatever_their_case_and_separators(tmp_path):
    for name in ("CarDark", "Human4-2", "Skating2.1", "a-b", "ab", "twice", "Twice"):
        (tmp_path / f"{name}.txt").touch()
    names = ["carDark", "human4_2", "skating2-1", "ab", "Missing", "TWICE"]
    found = {name: paths[0].stem for name, paths in find_results(tmp_path, names).items()}
    # of two files that fit equally neither is taken
    assert found == {
        "carDark": "CarDark",
        "human4_2": "Human4-2",
        "skating2-1": "Skating2.1",
        "ab": "ab",
    }


@pytest.mark.parametrize(
    "wanted, found, expected",
    [
        (["car1_1", "car11"], ["Car11", "Car1-1"], ["Car1-1", "Car11"]),
        (["car1_1", "car11"], ["car1.1"], ["car1.1", None]),
        (["Jogging-1", "Jogging-2"], ["jogging.1", "jogging.2"], ["jogging.1", "jogging.2"]),
        (["Human4-2"], ["human4_2", "Human42"], ["human4_2"]),
        (["A"], ["a", "A"], ["A"]),
        (["ab"], ["a-b", "a_b"], [None]),
    ],
)
def test_names_that_differ_in_separators_alone_are_told_apart(wanted, found, expected):
    matched = match_names(wanted, found)
    assert [matched.get(name) for name in wanted] == expected


def test_the_fingerprint_follows_weights_and_settings(rng):
    variables = {"params": {"a": rng.normal(size=3)}, "batch_stats": {"m": np.zeros(2)}}
    config = Config(name="x")

    def mark(config=config, variables=variables, version="1"):
        return json.dumps(fingerprint(config, variables, version), sort_keys=True)

    assert mark() == mark(variables=dict(reversed(variables.items())))
    changed = {**variables, "params": {"a": variables["params"]["a"] + 1e-9}}
    renamed = {**variables, "params": {"b": variables["params"]["a"]}}
    others = {
        mark(),
        mark(variables=changed),
        mark(variables=renamed),
        mark(version="2"),
        mark(config=Config(name="x", tracker=TrackerConfig(penalty_k=0.1))),
    }
    assert len(others) == 5
    # the name and the training settings decide no box
    assert mark(config=Config(name="y")) == mark()


def test_names_that_differ_in_case_alone(tmp_path, otb):
    """A file system that folds case has one file for both; here, a second file plays it."""
    results = ResultFolder(tmp_path / "ours", otb, {})
    results.check_names(["Car", "car"])
    (tmp_path / "ours" / "TRACKER.JSON").touch()
    results.check_names(["Car", "car2"])
    with pytest.raises(InputError, match="'Car' and 'car' differ in case alone"):
        results.check_names(["Car", "car"])
