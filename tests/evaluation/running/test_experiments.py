"""Supervised runs, real time, many sequences at once, and processes that share the work."""

import multiprocessing
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from siamjax.errors import RefusedError
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.textfiles import read_boxes, read_regions
from siamjax.evaluation.metrics.vot import VotProtocol
from siamjax.evaluation.results import claims
from siamjax.evaluation.results.files import ResultFolder, find_trackers, read_seconds
from siamjax.evaluation.running import runner
from siamjax.evaluation.running.experiments import Clock, one_pass, supervised
from siamjax.evaluation.running.runner import StaticTracker
from siamjax.evaluation.scoring import score_tracker
from tests.evaluation.conftest import Scripted, boxes_along
from tests.evaluation.toolkit import import_vot_toolkit

PROTOCOL = VotProtocol(name="test", eao_low=2, eao_high=6)


@pytest.fixture
def vot():
    return get_benchmark("vot2018")


@pytest.fixture
def load_vot(write_sequence, tmp_path, vot):
    """Sequences in VOT's layout, of boxes as ground truth."""

    def load(*names, t=16, boxes=None):
        for name in names:
            folder = write_sequence(name, t)
            (folder / "img").rename(folder / "color")
            truth = path(t) if boxes is None else boxes
            np.savetxt(folder / "groundtruth.txt", truth, delimiter=",")
            (folder / "groundtruth_rect.txt").unlink()
        return load_sequences(tmp_path / "data", vot)[0]

    return load


def path(t):
    """Where the target is in `t` frames, inside them all the time."""
    return boxes_along(t, step=(0.25, 0.125))


class Asked:
    """Answers the true path, but in some frames a box far away; notes where it was started.

    Frame i is grey level i, which is how it knows where it is.
    """

    def __init__(self, lost=(), seconds=0.0):
        self.lost, self.seconds = set(lost), seconds
        self.starts, self.seen = [], []
        self.score = 0.5

    def init(self, frame, box_xywh):
        self.starts.append((int(frame[0, 0, 0]), np.array(box_xywh)))
        self.box_xywh = np.array(box_xywh)

    def update(self, frame):
        t = int(frame[0, 0, 0])
        self.seen.append(t)
        time.sleep(self.seconds)
        self.box_xywh = path(t + 1)[-1] + (40.0 if t in self.lost else 0.0)


def test_a_failure_costs_five_frames_and_a_new_start(load_vot):
    (sequence,) = load_vot("A")
    tracker = Asked(lost={4, 11})
    run = runner.run_sequence(tracker, sequence, experiment=supervised(sequence, PROTOCOL))
    # 1 start, 2 failure, 0 not run, -1 a box; restarts at 4 + 5, and none after 11 + 5 = 16
    assert run.codes.tolist() == [1, -1, -1, -1, 2, 0, 0, 0, 0, 1, -1, 2, 0, 0, 0, 0]
    assert [t for t, _ in tracker.starts] == [0, 9]
    np.testing.assert_allclose(run.boxes_xywh[10], path(16)[10])
    assert np.isnan(run.boxes_xywh[run.codes == 0]).all()
    # the corners x .. x + w - 1 as a polygon, made a box again, one pixel larger
    np.testing.assert_allclose(tracker.starts[1][1], path(16)[9])


class Outlined(Asked):
    """Its boxes are far away, and its polygons on the target: diamonds, lost with the box."""

    def update(self, frame):
        super().update(frame)
        x, y, w, h = self.box_xywh
        self.polygon = np.float32(
            [(x + w / 2, y), (x + w, y + h / 2), (x + w / 2, y + h), (x, y + h / 2)]
        )
        self.box_xywh = self.box_xywh + 40.0


def test_a_tracker_with_polygons_is_judged_by_them(load_vot, tmp_path, vot):
    (sequence,) = load_vot("A", t=120)
    results = ResultFolder(tmp_path / "out" / "ours", vot, {})
    assert runner.evaluate(Outlined(lost={60}), [sequence], results, "ours") == []
    regions = read_regions(tmp_path / "out/ours/baseline/A/A_001.txt")
    # a start, polygons, the failure, four frames not run, a start, polygons
    assert regions.count.tolist() == [1] + 59 * [8] + 6 * [1] + 54 * [8]
    x, y, w, h = path(16)[10]
    expected = (x + w / 2, y, x + w, y + h / 2, x + w / 2, y + h, x, y + h / 2)
    np.testing.assert_allclose(regions.row(10), expected, atol=1e-3)
    scores = score_tracker("ours", results.folder, [sequence.truth], vot)
    # A diamond is half of its box.
    assert 0.4 < scores.overall["accuracy"] < 0.7 and scores.overall["lost_number"] == 1


class OutlinedInSlots:
    """As `Outlined`, one for each slot."""

    def __init__(self, slots):
        self.trackers = {slot: Outlined() for slot in range(slots)}

    def init(self, slot, frame, box_xywh):
        self.trackers[slot].init(frame, box_xywh)

    def update(self, frames):
        for slot, frame in frames.items():
            self.trackers[slot].update(frame)
        return {slot: self.trackers[slot] for slot in frames}


def test_polygons_of_many_sequences_at_once(load_vot, tmp_path, vot):
    sequences = load_vot("A", "B")
    alone = ResultFolder(tmp_path / "alone", vot, {})
    together = ResultFolder(tmp_path / "together", vot, {})
    runner.evaluate(Outlined(), sequences, alone, "alone")
    runner.evaluate(OutlinedInSlots(2), sequences, together, "together", slots=2)
    for name in ("A", "B"):
        one, other = (r.box_file(name).read_text() for r in (alone, together))
        assert one == other and one.count(",") == 15 * 7


def test_a_start_waits_for_a_frame_that_can_be_used(load_vot):
    (sequence,) = load_vot("A")
    sequence.frame_paths[9].write_bytes(b"")
    run = runner.run_sequence(
        Asked(lost={4}), sequence, experiment=supervised(sequence, PROTOCOL)
    )
    assert run.codes[8:12].tolist() == [0, 0, 1, -1]


def test_supervised_files_are_vots_and_score(load_vot, tmp_path, vot):
    sequences = load_vot("A", "B", t=120)
    results = ResultFolder(tmp_path / "out" / "ours", vot, {})
    assert runner.evaluate(Asked(lost={60}), sequences, results, "ours") == []
    file = tmp_path / "out/ours/baseline/A/A_001.txt"
    regions = read_regions(file)
    assert regions.has_code(1).nonzero()[0].tolist() == [0, 65]
    assert regions.has_code(2).nonzero()[0].tolist() == [60]
    assert np.isfinite(read_seconds(results.folder, "A")).sum() == 120 - 5 + 1
    found, problems = find_trackers(tmp_path / "out", vot, ["A", "B"])
    assert found == {"ours": results.folder} and not problems
    scores = score_tracker("ours", results.folder, [s.truth for s in sequences], vot)
    assert scores.overall["accuracy"] == 1 and scores.overall["lost_number"] == 2
    assert scores.overall["robustness"] == pytest.approx(100 * 2 / 240)
    assert 0 < scores.overall["eao"] < 1 and not scores.problems
    assert scores.sequences["A"]["lost_number"] == 1


def test_a_perfect_tracker_has_the_full_score(load_vot, tmp_path, vot):
    # two lengths, of which EAO's range 100 to 356 sees both
    sequences = load_vot("A", t=120)
    results = ResultFolder(tmp_path / "out" / "ours", vot, {})
    runner.evaluate(Asked(), sequences, results, "ours")
    scores = score_tracker("ours", results.folder, [s.truth for s in sequences], vot)
    assert scores.overall == {"accuracy": 1, "robustness": 0, "lost_number": 0, "eao": 1}


def test_long_term_files_have_confidences(load_vot, tmp_path):
    lt = get_benchmark("vot2018-lt")
    sequences = load_vot("A", "B")
    results = ResultFolder(tmp_path / "out" / "ours", lt, {})
    runner.evaluate(Asked(), sequences, results, "ours")
    folder = tmp_path / "out/ours/longterm/A"
    assert (folder / "A_001.txt").read_text().splitlines()[0] == "1"
    confidence = (folder / "A_001_confidence.value").read_text().splitlines()
    assert confidence == ["", *["0.500000"] * 15]
    assert len((folder / "A_time.txt").read_text().splitlines()) == 16
    assert results.has(sequences[0])
    scores = score_tracker("ours", results.folder, [s.truth for s in sequences], lt)
    # the frame of the start has no region, and is a miss by both toolkits
    assert scores.overall["lt_precision"] == 1
    assert scores.overall["lt_recall"] == pytest.approx(15 / 16)


@pytest.mark.parametrize(
    "speed, seen",
    [
        (40, list(range(1, 16))),
        (20, list(range(1, 16))),
        # 1.5 intervals: the half that is left over is less than a frame
        (20 / 1.5, list(range(1, 16))),
        # 2.5 intervals, of which start and two updates are forgiven: each costs a frame
        (8, [1, 2, 3, 5, 7, 9, 11, 13, 15]),
        # 4.4 intervals: each costs three frames
        (4.5, [1, 2, 3, 7, 11, 15]),
    ],
)
def test_real_time_drops_frames(load_vot, speed, seen):
    (sequence,) = load_vot("A")
    tracker = Asked()
    clock = Clock(20, 3, speed)
    run = runner.run_sequence(tracker, sequence, experiment=one_pass(sequence, clock=clock))
    assert tracker.seen == seen
    assert np.flatnonzero(np.isfinite(run.seconds)).tolist() == [0, *seen]
    for t in set(range(1, 16)) - set(seen):
        np.testing.assert_array_equal(run.boxes_xywh[t], run.boxes_xywh[t - 1])


def toolkit_misses(monkeypatch, times):
    """Whether vot-toolkit's real time passes a tracker by, for each frame after the first."""
    vot_tracker = import_vot_toolkit(monkeypatch, "vot.tracker")

    class Fake(vot_tracker.TrackerRuntime):
        def __init__(self):
            self._tracker, self.calls = None, 0

        def initialize(self, frame, new=None, properties=None):
            return "box", times[0]

        def update(self, frame, new=None, properties=None):
            self.calls += 1
            return "box", times[frame]

        def stop(self):
            """Nothing runs."""

        def restart(self):
            """Nothing runs."""

    fake, misses = Fake(), []
    runtime = vot_tracker.RealtimeTrackerRuntime(fake, 3, 1 / 20)
    runtime.initialize(0)
    for t in range(1, len(times)):
        before = fake.calls
        runtime.update(t)
        misses.append(fake.calls == before)
    return np.array(misses)


def test_the_clock_is_vot_toolkits(monkeypatch, rng, against):
    times = rng.uniform(0.01, 0.4, 60)
    clock, misses = Clock(20, 3), []
    clock.start(times[0])
    for seconds in times[1:]:
        misses.append(clock.misses_frame())
        if not misses[-1]:
            clock.step(seconds)
    for ours, theirs in against(
        "toolkits", np.array(misses), lambda: toolkit_misses(monkeypatch, times)
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_measured_speed_drops_frames_too(load_vot):
    (sequence,) = load_vot("A")
    tracker = Asked(seconds=0.02)
    clock = Clock(fps=100, grace=0)
    runner.run_sequence(tracker, sequence, experiment=one_pass(sequence, clock=clock))
    assert 0 < len(tracker.seen) < 15


def test_real_time_results_lie_apart(load_vot, tmp_path, vot):
    sequences = load_vot("A")
    camera = runner.RealTime(speed=5)
    entrants = [runner.Entrant("ours", Asked(), {})]
    (scores,) = runner.compare(entrants, sequences, vot, tmp_path / "out", real_time=camera)
    assert (tmp_path / "out/ours/realtime/A/A_001.txt").is_file()
    found, _ = find_trackers(tmp_path / "out", vot, experiment="realtime")
    assert found == {"ours": tmp_path / "out/ours/realtime"}
    assert scores.overall["accuracy"] < 1


class Together:
    """As `Asked`, for many sequences: every slot follows its own."""

    def __init__(self, slots, lost=()):
        self.slots, self.lost, self.calls = slots, set(lost), []
        self.active = set()

    def init(self, slot, frame, box_xywh):
        assert 0 <= slot < self.slots
        self.active.add(slot)

    def update(self, frames):
        assert set(frames) <= self.active
        self.calls.append(len(frames))
        found = {}
        for slot, frame in frames.items():
            t = int(frame[0, 0, 0])
            box = path(t + 1)[-1] + (40.0 if t in self.lost else 0.0)
            found[slot] = SimpleNamespace(box_xywh=box, score=0.5, polygon=None)
        return found


@pytest.mark.parametrize("slots", [1, 3, 9])
@pytest.mark.parametrize("experiment", ["vot2018", "vot2018-lt", "otb"])
def test_many_at_once_give_the_same_files(load_vot, tmp_path, slots, experiment):
    benchmark = get_benchmark(experiment)
    sequences = load_vot(*"ABCDE")
    alone = ResultFolder(tmp_path / "alone", benchmark, {})
    many = ResultFolder(tmp_path / "many", benchmark, {})
    runner.evaluate(Asked(lost={4}), sequences, alone, "alone")
    tracker = Together(slots, lost={4})
    assert runner.evaluate(tracker, sequences, many, "many", slots=slots) == []
    for sequence in sequences:
        one, other = (r.box_file(sequence.name).read_text() for r in (alone, many))
        assert one == other
    assert max(tracker.calls) == min(slots, 5)


def test_a_slot_whose_sequence_is_refused_takes_the_next(load_vot, tmp_path, vot):
    class Picky(Together):
        refused = 0

        def init(self, slot, frame, box_xywh):
            if not self.refused:
                self.refused = 1
                raise RefusedError("too small")
            super().init(slot, frame, box_xywh)

    sequences = load_vot(*"ABC")
    results = ResultFolder(tmp_path / "many", vot, {})
    (problem,) = runner.evaluate(Picky(2), sequences, results, "many", slots=2)
    assert str(problem) == "A: not tracked: too small"
    assert [results.has(s) for s in sequences] == [False, True, True]


def test_a_batched_run_that_is_stopped_goes_on(load_vot, tmp_path, vot):
    class Stops(Together):
        def update(self, frames):
            if len(self.calls) == 20:
                raise KeyboardInterrupt
            return super().update(frames)

    sequences = load_vot(*"ABCD")
    results = ResultFolder(tmp_path / "many", vot, {})
    with pytest.raises(KeyboardInterrupt):
        runner.evaluate(Stops(2), sequences, results, "many", slots=2)
    assert [results.has(s) for s in sequences] == [True, True, False, False]
    assert not any(results.claims.iterdir())
    tracker = Together(2)
    runner.evaluate(tracker, sequences, results, "many", slots=2)
    assert all(map(results.has, sequences)) and sum(tracker.calls) == 2 * 15


def test_repetitions_have_files_and_columns_of_time(write_sequence, tmp_path):
    benchmark = get_benchmark("got10k")
    folder = write_sequence("A", 8)
    for image in (folder / "img").iterdir():
        image.rename(folder / image.name)
    (folder / "img").rmdir()
    np.savetxt(folder / "groundtruth.txt", path(8) + np.array([1, 1, 0, 0]), delimiter=",")
    (folder / "groundtruth_rect.txt").unlink()
    sequences, _ = load_sequences(tmp_path / "data", benchmark)
    results = ResultFolder(tmp_path / "ours", benchmark, {}, repetitions=3)
    tracker = Scripted(path(8))
    runner.evaluate(tracker, sequences, results, "ours")
    files = sorted(path.name for path in (tmp_path / "ours" / "A").iterdir())
    assert files == ["A_001.txt", "A_002.txt", "A_003.txt", "A_time.txt"]
    times = (tmp_path / "ours/A/A_time.txt").read_text().splitlines()
    assert len(times) == 8 and len(times[0].split(",")) == 3
    scores = score_tracker("ours", results.folder, [s.truth for s in sequences], benchmark)
    assert scores.overall == {"ao": 1, "sr_050": 1, "sr_075": 1} and not scores.problems
    results.box_file("A", 2).unlink()
    assert [results.has(sequences[0], r) for r in (1, 2, 3)] == [True, False, True]


def _evaluate_in_a_process(data, out, seconds, queue):
    benchmark = get_benchmark("otb")
    sequences, _ = load_sequences(data, benchmark)
    tracker = Asked(seconds=seconds)
    runner.evaluate(tracker, sequences, ResultFolder(out, benchmark, {}), "ours")
    queue.put(len(tracker.starts))


def test_processes_share_the_sequences(write_sequence, tmp_path, otb):
    for name in "ABCDEF":
        write_sequence(name, 8)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (tmp_path / "data", tmp_path / "ours", 0.05, queue)
    processes = [
        context.Process(target=_evaluate_in_a_process, args=arguments) for _ in range(2)
    ]
    for process in processes:
        process.start()
    started = [queue.get(timeout=100) for _ in processes]
    for process in processes:
        process.join()
    # each sequence was run once, by one of them, and both waited for all
    assert sum(started) == 6
    sequences, _ = load_sequences(tmp_path / "data", otb)
    results = ResultFolder(tmp_path / "ours", otb, {})
    assert all(map(results.has, sequences))
    for name in "ABCDEF":
        np.testing.assert_allclose(read_boxes(results.box_file(name)) - [1, 1, 0, 0], path(8))


def test_claims_are_exclusive_until_released(tmp_path):
    held = claims.claim(tmp_path / "c", "A_001")
    assert held is not None
    assert claims.claim(tmp_path / "c", "A_001") is None
    assert claims.claim(tmp_path / "c", "B_001") is not None
    held.release()
    assert claims.claim(tmp_path / "c", "A_001") is not None


def test_claims_of_ended_and_silent_processes_are_taken_over(tmp_path):
    file = tmp_path / "A.json"
    host = claims.socket.gethostname()
    process = multiprocessing.get_context("spawn").Process(target=str)
    process.start()
    process.join()
    file.write_text(f'{{"host": "{host}", "process": {process.pid}, "token": "x"}}')
    assert claims.claim(tmp_path, "A") is not None
    # an earlier process of our own number
    file.write_text(f'{{"host": "{host}", "process": {os.getpid()}, "token": "x"}}')
    assert claims.claim(tmp_path, "A") is not None
    # another machine's: its heartbeat decides
    file.write_text('{"host": "elsewhere", "process": 1, "token": "x"}')
    assert claims.claim(tmp_path, "A") is None
    os.utime(file, (time.time() - 1000,) * 2)
    held = claims.claim(tmp_path, "A")
    assert held is not None and not list(tmp_path.glob("*.takeover"))


def test_a_heartbeat_keeps_a_claim(tmp_path, monkeypatch):
    held = claims.claim(tmp_path, "A")
    os.utime(tmp_path / "A.json", (time.time() - 1000,) * 2)
    monkeypatch.setattr(claims, "_BEAT_SECONDS", 0)
    held.beat()
    assert time.time() - (tmp_path / "A.json").stat().st_mtime < 100


def test_batched_speed_cannot_be_measured_in_real_time(load_vot, tmp_path, vot):
    results = ResultFolder(tmp_path / "many", vot, {})
    with pytest.raises(ValueError, match="`speed`"):
        runner.evaluate(
            Together(2), load_vot("A"), results, "x", slots=2, real_time=runner.RealTime()
        )


def test_the_control_has_no_speed(load_vot):
    (sequence,) = load_vot("A")
    run = runner.run_sequence(StaticTracker(), sequence)
    assert np.isnan(run.seconds).all()
