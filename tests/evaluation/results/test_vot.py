import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import find_vot_protocol
from siamjax.evaluation.benchmarks.textfiles import format_regions, read_regions
from siamjax.evaluation.metrics.longterm import LongTermRun
from siamjax.evaluation.metrics.regions import Regions
from siamjax.evaluation.results.vot import (
    LONG_TERM,
    read_long_term,
    read_supervised,
    write_long_term,
    write_supervised,
)
from siamjax.text import TextError
from tests.evaluation.votruns import random_run, random_truth, sequence

VOT2018 = find_vot_protocol("VOT2018")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def tracker(tmp_path, rng):
    """A tracker's folder with three good runs, and their sequences."""
    folder = tmp_path / "ours" / "baseline"
    sequences = []
    for name, length in (("ants1", 40), ("ball-2", 25), ("Car1", 30)):
        truth = random_truth(rng, length)
        sequences.append(sequence(name, truth))
        write_supervised(folder, name, Regions.from_rows(random_run(rng, truth)))
    return folder, sequences


def test_supervised_runs_come_back(tracker):
    folder, sequences = tracker
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert list(runs) == ["ants1", "ball-2", "Car1"]
    assert problems == []
    first = runs["ants1"][0]
    text = (folder / "ants1" / "ants1_001.txt").read_text()
    assert format_regions(first) == text
    lines = text.splitlines()
    assert lines[0] == "1"
    assert all(len(line.split(",")) in (1, 4) for line in lines)
    # four decimals, as in PySOT's files
    assert all(part[-5] == "." for line in lines if "," in line for part in line.split(","))
    assert not list(folder.rglob("*.tmp"))


def test_polygons_are_written_whole(tmp_path):
    regions = Regions.from_rows([[1], [1.5, 2, 30, 2, 30, 40, 1.5, 40], [2]])
    file = write_supervised(tmp_path, "bag", regions, repetition=12)
    assert file.name == "bag_012.txt"
    assert file.read_text().splitlines()[1].count(",") == 7
    back = read_regions(file)
    np.testing.assert_array_equal(back.values, regions.values)


def test_names_match_without_case_and_hyphens(tracker):
    folder, sequences = tracker
    (folder / "Car1").rename(folder / "car_1")
    (folder / "car_1" / "Car1_001.txt").rename(folder / "car_1" / "car_1_001.txt")
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert "Car1" in runs
    assert problems == []


def first_problem(tracker, name, text):
    folder, sequences = tracker
    write(folder / name / f"{name}_001.txt", text)
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert len(problems) == 1
    return runs, str(problems[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1\n" + "1,2,3,4\n" * 23, "expected 25 lines, one per frame, read 24"),
        ("1\n" + "1,2,3,4\n" * 25, "expected 25 lines, one per frame, read 26"),
        ("1,2,3,4\n" * 25, "must start with 1"),
        ("1\n" + "1,2,3\n" * 24, "line 2: 3 values"),
        ("1\n" + "1,2,3,x\n" * 24, "line 2: 'x' is not a number"),
        ("1\n3\n" + "1,2,3,4\n" * 23, "has 3 in line 2; a single number must be 0, 1 or 2"),
        ("1\n\n" + "1,2,3,4\n" * 23, "line 2: no values"),
    ],
)
def test_what_cannot_be_scored_is_named_and_left_out(tracker, text, message):
    runs, problem = first_problem(tracker, "ball-2", text)
    assert list(runs) == ["ants1", "Car1"]
    assert problem.startswith("ball-2: not scored: ")
    assert message in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n" + "nan,nan,nan,nan\n" * 2 + "1,2,3,4\n" * 22, "2 regions that are not finite"),
        ("1\n2\n0\n1\n" + "1,2,3,4\n" * 21, "starts that are not 5 frames after a failure"),
        ("1\n2\n0\n0\n0\n0\n" + "1,2,3,4\n" * 19, "starts that are not 5 frames"),
    ],
)
def test_what_is_odd_is_named_and_kept(tracker, text, message):
    runs, problem = first_problem(tracker, "ball-2", text)
    assert len(runs) == 3
    assert problem.startswith("ball-2: ball-2_001.txt has ")
    assert message in problem


def test_other_separators_are_read(tracker):
    folder, sequences = tracker
    rows = "1.5\t2  30; 40\n" * 24
    write(folder / "ball-2" / "ball-2_001.txt", "1\n" + rows)
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert problems == []
    assert runs["ball-2"][0].row(3).tolist() == [1.5, 2, 30, 40]


def test_missing_sequences_and_strangers_are_named(tracker):
    folder, sequences = tracker
    (folder / "ball-2" / "ball-2_001.txt").rename(folder / "ball-2" / "ball-2_001.bin")
    (folder / "ants1").rename(folder / "bees")
    _, problems = read_supervised(folder, sequences, VOT2018)
    assert sorted(map(str, problems)) == [
        "ants1: not scored: no results",
        "ball-2: not scored: no file ball-2_001.txt; binary results are not supported",
        "bees: results for a sequence that is not in the benchmark",
    ]


def test_repetitions_are_all_read_and_counted(tracker, rng):
    folder, sequences = tracker
    one = read_regions(folder / "Car1" / "Car1_001.txt")
    for repetition in range(2, 16):
        write_supervised(folder, "Car1", one, repetition)
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert len(runs["Car1"]) == 15
    assert problems == []
    (folder / "Car1" / "Car1_009.txt").unlink()
    runs, problems = read_supervised(folder, sequences, VOT2018)
    assert len(runs["Car1"]) == 14
    assert list(map(str, problems)) == ["Car1: expected 1 or 15 runs, found 14"]


def test_a_file_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "x.txt"
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(TextError, match=r"x\.txt' line 1: .* is not a number"):
        read_regions(file)
    file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(TextError, match=r"x\.txt' is not a text file"):
        read_regions(file)
    with pytest.raises(TextError, match=r"cannot read .*missing"):
        read_regions(tmp_path / "missing.txt")


def long_term_run(rng, truth):
    confidence = np.round(rng.random(len(truth)), 6)
    confidence[0] = np.nan
    return LongTermRun(Regions.from_rows(np.round(truth, 4).tolist()), confidence)


def test_long_term_runs_come_back(tmp_path, rng):
    folder = tmp_path / "ours" / LONG_TERM
    truth = random_truth(rng, 30)[0::2]
    truth = [row[:4] for row in truth]
    run = long_term_run(rng, truth)
    file = write_long_term(folder, "ballet", run, seconds=np.full(len(truth), 0.01))
    lines = (file.parent / "ballet_001_confidence.value").read_text().split("\n")
    assert lines[0] == ""
    assert lines[1] == f"{run.confidence[1]:.6f}"
    assert file.read_text().startswith("1\n")
    assert (file.parent / "ballet_time.txt").read_text().startswith("0.010000\n")
    runs, problems = read_long_term(folder, [sequence("ballet", truth)])
    assert problems == []
    np.testing.assert_array_equal(runs["ballet"].confidence, run.confidence)
    np.testing.assert_array_equal(runs["ballet"].regions.values[1:], run.regions.values[1:])
    assert runs["ballet"].regions.count[0] == 1


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        (None, "cannot read"),
        ("\n0.5\n", "expected 15 lines, one per frame, read 2"),
        ("\n" + "0.5\n" * 13 + "high\n", "is not a number"),
    ],
)
def test_confidences_that_do_not_fit_are_named(tmp_path, rng, confidence, message):
    truth = random_truth(rng, 15)
    file = write_long_term(tmp_path, "ballet", long_term_run(rng, truth), np.zeros(len(truth)))
    scores = file.with_name("ballet_001_confidence.value")
    if confidence is None:
        scores.unlink()
    else:
        scores.write_text(confidence)
    runs, problems = read_long_term(tmp_path, [sequence("ballet", truth)])
    assert runs == {}
    assert len(problems) == 1
    assert str(problems[0]).startswith("ballet: not scored: ")
    assert message in str(problems[0])


def test_frames_without_a_confidence_are_counted(tmp_path, rng):
    truth = random_truth(rng, 15)
    run = long_term_run(rng, truth)
    run.confidence[[3, 9]] = np.nan
    write_long_term(tmp_path, "ballet", run, np.zeros(len(truth)))
    runs, problems = read_long_term(tmp_path, [sequence("ballet", truth)])
    assert list(runs) == ["ballet"]
    assert list(map(str, problems)) == ["ballet: 2 frames have no confidence"]
