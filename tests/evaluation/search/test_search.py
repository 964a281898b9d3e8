"""The search of hyper-parameters: what is proposed, shared, kept and resumed."""

import csv
import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest

from siamjax.config import Config
from siamjax.config_files import config_from_dict
from siamjax.errors import RefusedError
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.search import search as searching
from siamjax.evaluation.search.following import follow
from siamjax.evaluation.search.proposals import Settings, Space, make_proposer
from tests.evaluation.conftest import boxes_along

SPACE = Space(search_sizes=(255,))
BEST = Settings(0.1, 0.4, 0.3, 255)


class Drifting:
    """Strays from the true path the further its settings are from the best ones.

    Candidates whose settings are within one unit of drift share an evaluation, as real ones
    do whose states agree.
    """

    made: ClassVar[list] = []

    def __init__(self, candidates):
        self.candidates, self.evaluations, self.t = candidates, 0, 0
        Drifting.made.append(self)

    def drift(self):
        return np.array(
            [
                abs(c.penalty_k - BEST.penalty_k) + abs(c.window_influence - 0.4)
                for c in self.candidates
            ]
        )

    def init(self, frame, box_xywh):
        self.t = 0
        self.start = np.asarray(box_xywh)

    def update(self, frame):
        assert (frame == self.t + 1).all()  # every frame, in order
        self.t += 1
        drift = self.drift() * self.t * 20
        self.evaluations += len(np.unique(np.round(drift / 20)))
        boxes = np.tile(boxes_along(self.t + 1)[-1], (len(drift), 1))
        boxes[:, 0] += drift
        return boxes, np.ones(len(drift))


@pytest.fixture(autouse=True)
def fresh():
    Drifting.made = []


@pytest.fixture
def sequences(write_sequence, tmp_path, otb):
    for name in ("A", "B"):
        write_sequence(name, 6)
    return load_sequences(tmp_path / "data", otb)[0]


@pytest.fixture
def run(sequences, tmp_path, otb):
    def run(
        method="random", total=12, batch=4, make=Drifting, space=SPACE, make_exact=None, **mark
    ):
        return searching.search(
            make,
            Config(name="x"),
            sequences,
            otb,
            make_proposer(method, space, 3, total),
            tmp_path / "out",
            mark=mark,
            total=total,
            batch=batch,
            make_exact=make_exact,
        )

    return run


def test_grid_covers_the_corners():
    asked = make_proposer("grid", SPACE, 0, 30).ask(100)
    assert len(asked) == len(set(asked)) == 27
    assert {s.penalty_k for s in asked} == {0, 0.25, 0.5}
    two_sizes = dataclasses.replace(SPACE, search_sizes=(255, 287))
    assert len(make_proposer("grid", two_sizes, 0, 16).ask(100)) == 16


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_proposals_stay_in_the_space_and_follow_the_seed(method):
    if method == "tpe":
        pytest.importorskip("optuna")
    space = dataclasses.replace(SPACE, size_lr=(0.3, 0.35), search_sizes=(255, 271))
    asked = make_proposer(method, space, 1, 12).ask(12)
    assert asked == make_proposer(method, space, 1, 12).ask(12)
    assert asked != make_proposer(method, space, 2, 12).ask(12)
    assert {s.search_size for s in asked} == {255, 271}
    assert all(0.3 <= s.size_lr <= 0.35 and 0 <= s.penalty_k <= 0.5 for s in asked)


def test_a_longer_random_search_goes_on_from_a_shorter_one():
    short, long = (make_proposer("random", SPACE, 1, n).ask(n) for n in (5, 9))
    assert long[:5] == short


def test_the_optimiser_learns():
    pytest.importorskip("optuna")
    proposer = make_proposer("tpe", SPACE, 0, 60)
    rounds = []
    for _ in range(6):
        asked = proposer.ask(10)
        scores = [-abs(s.penalty_k - 0.1) - abs(s.size_lr - 0.5) for s in asked]
        proposer.tell(asked, scores)
        rounds.append(np.mean(scores))
    assert np.mean(rounds[-2:]) > rounds[0] + 0.05


def test_bad_spaces_and_methods_are_explained():
    with pytest.raises(ValueError, match="`search_sizes` is empty"):
        Space()
    with pytest.raises(ValueError, match="`penalty_k`"):
        Space(penalty_k=(0.5, 0.1), search_sizes=(255,))
    with pytest.raises(ValueError, match="'random'"):
        make_proposer("magic", SPACE, 0, 1)


def test_the_best_candidate_and_what_it_saved(run, tmp_path):
    outcome = run()
    scores = [score for _, score in outcome.ranking]
    assert len(scores) == 12 and scores == sorted(scores, reverse=True)
    closest = min(
        (s for s, _ in outcome.ranking),
        key=lambda s: abs(s.penalty_k - 0.1) + abs(s.window_influence - 0.4),
    )
    assert outcome.best == closest
    # 2 sequences of 5 updates, 12 candidates
    assert outcome.alone == 120
    assert outcome.evaluations == sum(tracker.evaluations for tracker in Drifting.made) < 120
    assert outcome.saving == pytest.approx(120 / outcome.evaluations)
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["penalty_k"]) == closest.penalty_k
    assert float(first["score"]) == pytest.approx(scores[0], abs=1e-6)
    best = config_from_dict(json.loads((tmp_path / "out" / "best.json").read_text()))
    assert best.tracker.penalty_k == closest.penalty_k
    assert "| penalty_k |" in (tmp_path / "out" / "table.md").read_text()


def test_a_stopped_search_goes_on_after_the_last_sequence(run, tmp_path):
    expected = run().ranking
    for file in (tmp_path / "out").iterdir():
        file.unlink()

    class Stops(Drifting):
        calls = 0

        def update(self, frame):
            Stops.calls += 1
            if Stops.calls == 17:  # in the second round, on the second sequence
                raise KeyboardInterrupt
            return super().update(frame)

    with pytest.raises(KeyboardInterrupt):
        run(make=Stops)
    Drifting.made = []
    assert run().ranking == expected
    # round 2 runs its second sequence alone, round 3 both
    assert [tracker.t for tracker in Drifting.made] == [5, 5]
    Drifting.made = []
    assert run().ranking == expected
    assert Drifting.made == []


def test_the_best_of_an_approximate_search_are_scored_exactly(run, tmp_path):
    class Blurred(Drifting):
        """Takes settings that are near each other for the same."""

        def drift(self):
            return np.round(super().drift(), 1)

    exact = dict(run(total=12).ranking)
    for file in (tmp_path / "out").iterdir():
        file.unlink()
    Drifting.made = []
    outcome = run(make=Blurred, make_exact=Drifting)
    finals = outcome.ranking[: searching.FINALISTS]
    assert [score for _, score in finals] == pytest.approx([exact[s] for s, _ in finals])
    assert finals == sorted(finals, key=lambda pair: -pair[1])
    assert len(outcome.ranking) == 12 and {s for s, _ in outcome.ranking} == set(exact)
    assert outcome.alone == 120
    assert outcome.evaluations == sum(tracker.evaluations for tracker in Drifting.made)
    with open(tmp_path / "out" / "table.csv", newline="") as file:
        assert float(next(csv.DictReader(file))["penalty_k"]) == outcome.best.penalty_k
    # again: nothing is left to do
    Drifting.made = []
    assert run(make=Blurred, make_exact=Drifting).ranking == outcome.ranking
    assert Drifting.made == []


def test_another_search_is_refused(run):
    run(weights="a")
    with pytest.raises(searching.SearchError, match="another search"):
        run(weights="b")


def test_search_sizes_get_a_tracker_each(run):
    space = dataclasses.replace(SPACE, search_sizes=(255, 271))
    run(space=space, total=8, batch=8)
    assert {len({c.search_size for c in t.candidates}) for t in Drifting.made} == {1}
    assert sum(len(t.candidates) for t in Drifting.made) == 8


def test_refused_sequences_are_named_and_never_averaged(run, sequences):
    class Picky(Drifting):
        def init(self, frame, box_xywh):
            if not hasattr(self, "asked"):
                self.asked = True
                raise RefusedError("too small")
            super().init(frame, box_xywh)

    outcome = run(make=Picky, total=4)
    (problem,) = outcome.problems
    assert str(problem) == "A: not searched: too small"


def test_damaged_frames_and_wild_boxes_get_the_box_before(sequences):
    class Wild(Drifting):
        def update(self, frame):
            self.t += 1
            boxes = np.tile([float(self.t), 5, 9, 9], (2, 1))
            if self.t == 3:
                boxes[1] = np.nan
            return boxes, np.ones(2)

    (first, _) = sequences
    first.frame_paths[2].write_bytes(b"")
    boxes = follow(Wild([None, None]), first, 2)
    assert boxes[0, :, 0].tolist() == [10, 1, 1, 2, 3, 4]
    assert boxes[1, :, 0].tolist() == [10, 1, 1, 2, 2, 4]
