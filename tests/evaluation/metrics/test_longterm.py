import dataclasses

import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import find_vot_protocol
from siamjax.evaluation.metrics.longterm import (
    LongTermRun,
    best_f_score,
    choose_thresholds,
    precision_recall,
    score_long_term,
)
from siamjax.evaluation.metrics.regions import Regions
from tests.evaluation.scanline import pysot_overlap
from tests.evaluation.toolkit import import_vot_toolkit
from tests.evaluation.votruns import SIZE, random_box, random_truth, sequence

PROTOCOL = find_vot_protocol("VOT2018-LT")
ABSENT = [np.nan] * 4


def random_set(rng, lengths=(150, 90, 120)):
    """Truths with gaps, and runs of boxes, codes and confidences; the first line is 1."""
    truths, runs, confidences = [], [], []
    for length in lengths:
        truth = random_truth(rng, length)
        gone = rng.random(length) < 0.2
        gone[0] = False
        run = [
            random_box(rng) if missing else (np.array(box) + rng.normal(0, 5, 4)).tolist()
            for missing, box in zip(gone, truth, strict=True)
        ]
        for frame in np.flatnonzero(rng.random(length) < 0.1):
            run[frame] = [0.0]
        run[0] = [1.0]
        confidence = np.round(rng.normal(0.5, 0.4, length), 2)  # some of them equal
        confidence[0] = np.nan
        truths.append([ABSENT if g else b for g, b in zip(gone, truth, strict=True)])
        runs.append(run)
        confidences.append(confidence)
    return truths, runs, confidences


def given(truths, runs, confidences):
    sequences = [sequence(f"s{i}", truth) for i, truth in enumerate(truths)]
    by_name = {
        f"s{i}": LongTermRun(Regions.from_rows(run), confidence)
        for i, (run, confidence) in enumerate(zip(runs, confidences, strict=True))
    }
    return sequences, by_name


def plain_scores(truths, runs, confidences):
    """Section 7.6 as loops: precision, recall and F by threshold."""
    pooled = sorted(c for values in confidences for c in values if not np.isnan(c))
    step = len(pooled) // 98
    places = [
        int(np.floor(step - 1 + i * (len(pooled) - 2 * step + 1) / 97 + 0.5)) for i in range(98)
    ]
    overlaps = [
        [0 if np.isnan(b[0]) else np.nan_to_num(pysot_overlap(a, b, SIZE)) for a, b in pairs]
        for pairs in (
            zip(run, truth, strict=True) for run, truth in zip(runs, truths, strict=True)
        )
    ]
    best = (0, 0, -1)
    for threshold in [np.inf, *(pooled[i] for i in reversed(places)), -np.inf]:
        precisions, recalls = [], []
        for truth, overlap, confidence in zip(truths, overlaps, confidences, strict=True):
            total, reaching = 0.0, 0
            for value, score in zip(overlap, np.nan_to_num(confidence), strict=True):
                if score > 0 if threshold == -np.inf else score >= threshold:
                    reaching += 1
                    total += value
            visible = sum(not np.isnan(true[0]) for true in truth)
            precisions.append(total / reaching if reaching else 1)
            recalls.append(total / visible if reaching else 0)
        precision, recall = np.mean(precisions), np.mean(recalls)
        f_score = 2 * precision * recall / (precision + recall)
        if f_score > best[2]:
            best = (precision, recall, f_score)
    return best


def test_equals_the_definition_as_loops(rng):
    truths, runs, confidences = random_set(rng)
    found = score_long_term(*given(truths, runs, confidences), PROTOCOL)
    np.testing.assert_allclose(
        found.overall, plain_scores(truths, runs, confidences), atol=1e-12
    )
    assert len(found.thresholds) == len(found.mean_precision) == 100
    assert 0.1 < found.overall.lt_f_score < 0.9
    assert list(found.sequences) == ["s0", "s1", "s2"]
    for name, scores in found.sequences.items():
        f_scores = 2 / (1 / found.precision[name] + 1 / found.recall[name].clip(1e-12))
        assert scores.lt_f_score == pytest.approx(f_scores.max())


def toolkit_curves(monkeypatch, truths, runs, confidences):
    """vot-toolkit's thresholds, and its precision and recall by sequence."""
    special = import_vot_toolkit(monkeypatch, "vot.region").Special
    rectangle = import_vot_toolkit(monkeypatch, "vot.region.shapes").Rectangle
    toolkit = import_vot_toolkit(monkeypatch, "vot.analysis.longterm")

    def shape(row):
        return rectangle(*row) if len(row) == 4 and not np.isnan(row[0]) else special(0)

    class Annotated:
        def __init__(self, truth):
            self.regions, self.size = [shape(row) for row in truth], SIZE

        def groundtruth(self):
            return self.regions

    confidences = [np.nan_to_num(values).tolist() for values in confidences]
    thresholds = toolkit.determine_thresholds(
        [c for values in confidences for c in values], 100
    )
    curves = [
        toolkit.compute_tpr_curves(
            [shape(row) for row in run], confidence, Annotated(truth), thresholds
        )
        for truth, run, confidence in zip(truths, runs, confidences, strict=True)
    ]
    return np.array(thresholds), np.array([curve[:2] for curve in curves])


def test_equals_vot_toolkit(rng, monkeypatch, against):
    sets = random_set(rng)
    found = score_long_term(*given(*sets), PROTOCOL, convention="vot-toolkit")
    curves = [(found.precision[name], found.recall[name]) for name in ("s0", "s1", "s2")]
    for ours, theirs in against(
        "toolkits",
        (found.thresholds, np.array(curves)),
        lambda: toolkit_curves(monkeypatch, *sets),
    ):
        np.testing.assert_allclose(ours[0], theirs[0])
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-9)


@pytest.mark.parametrize("convention", ["pysot", "vot-toolkit"])
def test_a_perfect_tracker_scores_one(rng, convention):
    truths, _, _ = random_set(rng)
    confidences = [np.where(np.isnan([row[0] for row in truth]), 0.0, 1.0) for truth in truths]
    runs = [[[0, 0, 9, 9] if np.isnan(row[0]) else row for row in truth] for truth in truths]
    found = score_long_term(*given(truths, runs, confidences), PROTOCOL, convention=convention)
    assert found.overall == (1.0, 1.0, 1.0)


def test_vot_toolkit_takes_agreement_on_absence_for_a_hit(rng):
    truth = [*random_truth(rng, 60), *[ABSENT] * 40]
    sets = given([truth], [truth], [np.ones(100)])
    assert score_long_term(*sets, PROTOCOL).overall[:2] == (0.6, 1.0)
    theirs = score_long_term(*sets, PROTOCOL, convention="vot-toolkit").overall
    assert theirs[:2] == (1.0, 100 / 60)


def test_a_first_line_of_one_costs_one_frame(rng):
    truth = random_truth(rng, 200)
    confidence = np.r_[np.nan, np.ones(199)]
    found = score_long_term(*given([truth], [[[1.0], *truth[1:]]], [confidence]), PROTOCOL)
    assert found.overall[:2] == (1.0, 199 / 200)


def test_the_order_of_frames_does_not_matter(rng):
    sets = random_set(rng)
    orders = [rng.permutation(len(truth)) for truth in sets[0]]
    shuffled = [
        [[part[i] for i in order] for part, order in zip(parts, orders, strict=True)]
        for parts in sets
    ]
    shuffled[2] = [np.array(values) for values in shuffled[2]]
    here = score_long_term(*given(*sets), PROTOCOL)
    there = score_long_term(*given(*shuffled), PROTOCOL)
    np.testing.assert_allclose(here.overall, there.overall, rtol=1e-12)


def test_precision_and_recall_by_hand():
    overlap, confidence = np.array([0.8, 0.0, 0.6, 0.5]), np.array([0.9, 0.7, 0.7, -0.1])
    thresholds = np.array([np.inf, 0.9, 0.7, -0.5, -np.inf])
    precision, recall = precision_recall(overlap, confidence, 5, thresholds)
    np.testing.assert_allclose(precision, [1, 0.8, 1.4 / 3, 1.9 / 4, 1.4 / 3])
    np.testing.assert_allclose(recall, [0, 0.16, 0.28, 0.38, 0.28])
    everything, _ = precision_recall(overlap, confidence, 5, thresholds, "vot-toolkit")
    assert everything[-1] == 1.9 / 4


@pytest.mark.parametrize("convention", ["pysot", "vot-toolkit"])
@pytest.mark.parametrize("count", [0, 5, 98, 99, 1000])
def test_thresholds_fall_from_infinity_to_infinity(rng, count, convention):
    confidence = np.r_[rng.normal(size=count), np.nan]
    thresholds = choose_thresholds(confidence, 100, convention)
    assert len(thresholds) == min(count, 98) + 2
    assert (thresholds[0], thresholds[-1]) == (np.inf, -np.inf)
    assert (np.diff(thresholds) <= 0).all()
    assert np.isin(thresholds[1:-1], confidence).all()


def test_no_overlap_at_all_is_zero_and_not_nan():
    assert best_f_score(np.array([0.0, 0.0]), np.array([0.0, 0.0])) == (0, 0, 0)


def test_a_target_that_never_shows_has_no_recall():
    precision, recall = precision_recall(np.zeros(3), np.ones(3), 0, np.array([0.5]))
    assert precision.tolist() == [0]
    assert np.isnan(recall).all()


def test_nothing_to_score_is_an_error(rng):
    truths, runs, confidences = random_set(rng, (20,))
    sequences, _ = given(truths, runs, confidences)
    with pytest.raises(ValueError, match="no sequence has a run"):
        score_long_term(sequences, {}, PROTOCOL)


def test_the_protocol_has_a_hundred_thresholds():
    assert dataclasses.asdict(PROTOCOL)["thresholds"] == 100
    assert find_vot_protocol("vot2018lt") is PROTOCOL
