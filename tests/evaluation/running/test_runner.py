"""One pass over sequences: what is fed, written, skipped, counted and resumed."""

import errno
import os

import numpy as np
import pytest

from siamjax.errors import InputError, RefusedError
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.metrics.regions import RegionError
from siamjax.evaluation.results.files import ResultFolder, StaleResultsError, read_problems
from siamjax.evaluation.running import runner
from siamjax.evaluation.running.runner import StaticTracker
from siamjax.images import ImageError
from siamjax.tracking.frames import BoxError, FrameError
from tests.evaluation.conftest import Scripted, boxes_along


@pytest.fixture
def load(write_sequence, tmp_path, otb):
    def load(*names, t=8):
        for name in names:
            write_sequence(name, t)
        return load_sequences(tmp_path / "data", otb)[0]

    return load


@pytest.fixture
def results(tmp_path, otb):
    return ResultFolder(tmp_path / "results" / "ours", otb, {})


def test_the_tracker_gets_the_first_box_and_every_frame(load):
    (sequence,) = load("Ball")
    tracker = Scripted(boxes_along(8, step=(2, 2)))
    run = runner.run_sequence(tracker, sequence)
    assert [frame[0, 0, 0] for frame in tracker.shown] == list(range(8))
    np.testing.assert_array_equal(run.boxes_xywh[0], sequence.gt_xywh[0])
    np.testing.assert_array_equal(run.boxes_xywh[1:], tracker.boxes[1:])
    assert (run.seconds > 0).all() and run.problems == []


def test_the_control_never_moves(load):
    (sequence,) = load("Ball")
    run = runner.run_sequence(StaticTracker(), sequence)
    assert (run.boxes_xywh == sequence.gt_xywh[0]).all()


def test_unreadable_frames_repeat_the_box_and_are_counted(load):
    (sequence,) = load("Ball")
    for index in (3, 4):
        sequence.frame_paths[index].write_bytes(b"")
    boxes = boxes_along(6, step=(2, 2))
    tracker = Scripted(boxes)
    run = runner.run_sequence(tracker, sequence)
    assert len(tracker.shown) == 6
    np.testing.assert_array_equal(run.boxes_xywh[1:], boxes[[1, 2, 2, 2, 3, 4, 5]])
    assert np.flatnonzero(np.isnan(run.seconds)).tolist() == [3, 4]
    (problem,) = run.problems
    assert problem.startswith("2 of 8 frames were not tracked") and "0004.png" in problem


def test_boxes_that_are_not_finite_are_replaced_and_counted(load):
    (sequence,) = load("Ball")
    boxes = boxes_along(8)
    boxes[5, 2] = np.nan
    run = runner.run_sequence(Scripted(boxes), sequence)
    np.testing.assert_array_equal(run.boxes_xywh[5], boxes[4])
    assert run.problems == [
        "1 of 8 boxes were not finite and were replaced by the previous one, first in frame 6"
    ]


class Stops(Exception):
    pass


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Stops])
def test_a_stopped_run_goes_on_where_it_was(load, results, kind):
    sequences = load("A", "B", "C")
    expected = boxes_along(8, step=(2, 1))
    tracker = Scripted(expected)
    inits, real_init, real_update = [], tracker.init, tracker.update

    def counted_init(frame, box):
        inits.append(len(inits))
        real_init(frame, box)

    def update(frame):
        if len(inits) == 2 and len(tracker.shown) == 4:
            raise kind
        real_update(frame)

    tracker.init, tracker.update = counted_init, update
    with pytest.raises(kind):
        runner.evaluate(tracker, sequences, results, "ours")
    assert [results.has(s) for s in sequences] == [True, False, False]
    before = results.box_file("A").stat().st_mtime_ns

    tracker.update = real_update
    assert runner.evaluate(tracker, sequences, results, "ours") == []
    assert all(results.has(s) for s in sequences)
    assert results.box_file("A").stat().st_mtime_ns == before
    assert len(inits) == 4
    runner.evaluate(tracker, sequences, results, "ours")
    assert len(inits) == 4
    left = {path.name for path in results.folder.iterdir()}
    assert left == {"A.txt", "B.txt", "C.txt", "times", "tracker.json", ".claims"}
    assert not any((results.folder / ".claims" / "one-pass").iterdir())


def test_a_refused_sequence_is_reported_and_the_others_go_on(load, results):
    sequences = load("A", "B")
    tracker = Scripted(boxes_along(8))
    real_init = tracker.init
    calls = []

    def picky_init(frame, box):
        calls.append(box)
        if len(calls) == 1:
            raise RefusedError("the box is too small")
        real_init(frame, box)

    tracker.init = picky_init
    (problem,) = runner.evaluate(tracker, sequences, results, "ours")
    assert str(problem) == "A: not tracked: the box is too small"
    assert [results.has(s) for s in sequences] == [False, True]


@pytest.mark.parametrize("where", ["init", "update"])
@pytest.mark.parametrize("kind", [ValueError, TypeError, InputError])
def test_a_tracker_that_crashes_stops_the_run_and_what_is_done_stays(
    load, results, where, kind
):
    """As a shape error of the network does: no sequence may go missing by a crash."""
    sequences = load("A", "B")
    tracker = Scripted(boxes_along(8))
    real, calls = getattr(tracker, where), []

    def crashes(*arguments):
        calls.append(arguments)
        if len(calls) > (1 if where == "init" else 8):
            raise kind("shapes (3,) and (4,) do not fit")
        real(*arguments)

    setattr(tracker, where, crashes)
    with pytest.raises(kind, match="do not fit") as error:
        runner.evaluate(tracker, sequences, results, "ours")
    assert error.value.__notes__ == ["while tracking 'B'"]
    assert [results.has(s) for s in sequences] == [True, False]
    assert not any(results.claims.iterdir())


@pytest.mark.parametrize("kind", [FrameError, BoxError, ImageError, RegionError])
def test_what_refuses_a_sequence(kind):
    assert issubclass(kind, RefusedError)


def test_problems_outlive_the_run_that_saw_them(load, results):
    (sequence,) = load("Ball")
    sequence.frame_paths[3].write_bytes(b"")
    runner.evaluate(Scripted(boxes_along(8)), [sequence], results, "ours")
    (line,) = read_problems(results.folder, "Ball")
    assert "1 of 8 frames" in line


def test_a_full_disk_stops_the_run_and_keeps_what_is_whole(load, results, monkeypatch):
    sequences = load("A", "B")
    real = os.fsync
    synced = []

    def full_after_a(descriptor):
        synced.append(descriptor)
        if len(synced) > 2:  # times and boxes of A
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_after_a)
    with pytest.raises(OSError, match="No space left"):
        runner.evaluate(Scripted(boxes_along(8)), sequences, results, "ours")
    assert [results.has(s) for s in sequences] == [True, False]
    assert not [p for p in results.folder.rglob("*") if p.name.endswith(".tmp")]


def test_comparison_checks_every_folder_before_it_tracks(load, tmp_path, otb):
    sequences = load("A")
    ResultFolder(tmp_path / "out" / "second", otb, {"weights": "old"})
    first = Scripted(boxes_along(8))
    with pytest.raises(StaleResultsError, match="second"):
        runner.compare(
            [
                runner.Entrant("first", first, {}),
                runner.Entrant("second", StaticTracker(), {"weights": "new"}),
            ],
            sequences,
            otb,
            tmp_path / "out",
        )
    assert first.shown == []


def test_comparison_scores_everybody(load, tmp_path, otb):
    sequences = load("A", "B")
    good, static = runner.compare(
        [
            runner.Entrant("good", Scripted(boxes_along(8)), {}),
            runner.Entrant("static", StaticTracker(), {}),
        ],
        sequences,
        otb,
        tmp_path / "out",
    )
    assert good.overall["success_auc"] == pytest.approx(20 / 21)
    assert static.overall["success_auc"] < 0.9
    assert good.fps > 0 and good.frames == 16 and good.problems == []
    assert static.fps is None  # a speed of doing nothing would say nothing
