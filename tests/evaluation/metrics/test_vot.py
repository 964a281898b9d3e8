import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from siamjax.evaluation.benchmarks.annotations import read_vot_annotations
from siamjax.evaluation.benchmarks.protocols import find_vot_protocol
from siamjax.evaluation.metrics.overlap import raster_overlap
from siamjax.evaluation.metrics.regions import Regions
from siamjax.evaluation.metrics.vot import (
    UNTAGGED,
    MeasuredRun,
    MeasuredSequence,
    eao_curve,
    expected_average,
    reliability,
    score_supervised,
)
from siamjax.evaluation.results.vot import read_supervised
from tests.evaluation.scanline import pysot_overlap
from tests.evaluation.toolkit import import_vot_toolkit
from tests.evaluation.votruns import (
    SIZE,
    plain_pysot,
    plain_toolkit,
    random_run,
    random_truth,
    sequence,
)

VOT2018 = find_vot_protocol("VOT2018")
# A range of lengths that short sequences have.
SHORT = dataclasses.replace(VOT2018, eao_low=8, eao_high=40)


@pytest.fixture(scope="module")
def dasiamrpn(shared):
    """VOT2018 as published, and DaSiamRPN's results on it."""
    folder = shared / "results" / "vot2018"
    if not folder.is_dir():
        pytest.skip("the published results are not here")
    file = folder / "VOT2018.json"
    sequences, problems = read_vot_annotations(file)
    stated = json.loads(file.read_text())
    sized = [
        dataclasses.replace(s, frame_size=(stated[s.name]["width"], stated[s.name]["height"]))
        for s in sequences
    ]
    runs, more = read_supervised(folder / "DaSiamRPN" / "baseline", sequences, VOT2018)
    assert problems == more == []
    return sequences, sized, runs


def test_published_results_score_as_published(dasiamrpn):
    sequences, _, runs = dasiamrpn
    scores = score_supervised(sequences, runs, VOT2018)
    # PySOT's toolkit on these files, without the frames' sizes; see their README
    assert scores.overall.accuracy == pytest.approx(0.5855, abs=6e-5)
    assert scores.overall.robustness == pytest.approx(0.2763, abs=6e-5)
    assert scores.overall.lost_number == 59
    assert scores.eao == pytest.approx(0.3824, abs=6e-5)
    assert len(scores.sequences) == 60
    assert len(scores.eao_curve) == 1500


def test_frame_sizes_bring_the_published_expected_overlap(dasiamrpn):
    _, sized, runs = dasiamrpn
    scores = score_supervised(sized, runs, VOT2018)
    # its authors' README states 0.3827
    assert scores.eao == pytest.approx(0.3827, abs=6e-5)
    assert scores.overall.accuracy == pytest.approx(0.585847, abs=1e-6)  # PySOT's region.c


def overlap_of_rows(a, b, bounds):
    return raster_overlap(
        Regions.from_rows([a]), Regions.from_rows([b]), bounds, convention="vot-toolkit"
    )[0]


def random_set(rng, repetitions, lengths=(30, 61, 12, 45)):
    truths = [random_truth(rng, length) for length in lengths]
    runs = [[random_run(rng, truth) for _ in range(repetitions)] for truth in truths]
    tags = [(rng.random(length) < 0.4).tolist() for length in lengths]
    names = [f"s{i}" for i in range(len(lengths))]
    sequences = [
        sequence(name, truth, {"occlusion": tag})
        for name, truth, tag in zip(names, truths, tags, strict=True)
    ]
    given = {
        name: [Regions.from_rows(run) for run in several]
        for name, several in zip(names, runs, strict=True)
    }
    return truths, runs, tags, sequences, given


@pytest.mark.parametrize(("repetitions", "counting"), [(1, 1), (3, 3), (4, 1)])
def test_equals_the_definition_as_loops(rng, repetitions, counting):
    protocol = dataclasses.replace(SHORT, repetitions=3)
    truths, runs, tags, sequences, given = random_set(rng, repetitions)
    runs = [several[:counting] for several in runs]
    scores = score_supervised(sequences, given, protocol)
    every = [[True] * len(truth) for truth in truths]
    for tag, found, eao in (
        (every, scores.overall, scores.eao),
        (tags, None, scores.attributes["occlusion"][1]),
    ):
        *expected, expected_eao, curve = plain_pysot(truths, runs, tag, pysot_overlap, 8, 40)
        assert eao == pytest.approx(expected_eao, abs=1e-12)
        if found:
            np.testing.assert_allclose(found, expected, atol=1e-12)
            np.testing.assert_allclose(scores.eao_curve, curve, atol=1e-12)
    assert scores.overall.lost_number > 0


@pytest.mark.parametrize("repetitions", [1, 2])
def test_vot_toolkits_convention_equals_its_definition_as_loops(rng, repetitions):
    truths, runs, _, sequences, given = random_set(rng, repetitions)
    scores = score_supervised(sequences, given, SHORT, convention="vot-toolkit")
    *expected, eao, curve = plain_toolkit(truths, runs, overlap_of_rows, 8, 40)
    np.testing.assert_allclose(scores.overall, expected, atol=1e-12)
    np.testing.assert_allclose(scores.eao_curve, curve, atol=1e-12)
    assert scores.eao == pytest.approx(eao, abs=1e-12)


def toolkit_scores(monkeypatch, truths, runs):
    """vot-toolkit's accuracies by sequence, and its curve of expected overlaps."""
    special = import_vot_toolkit(monkeypatch, "vot.region").Special
    rectangle = import_vot_toolkit(monkeypatch, "vot.region.shapes").Rectangle
    toolkit = import_vot_toolkit(monkeypatch, "vot.analysis.supervised")
    overlaps, succeeded, accuracies = [], [], []
    for truth, (run,) in zip(truths, runs, strict=True):
        regions = [special(int(row[0])) if len(row) == 1 else rectangle(*row) for row in run]
        true = [rectangle(*row) for row in truth]
        annotated = SimpleNamespace(groundtruth=lambda true=true: true, size=SIZE)
        accuracies.append(toolkit.compute_accuracy(regions, annotated)[0])
        values = toolkit.calculate_overlaps(regions, true, SIZE)
        failures, starts = toolkit.locate_failures_inits(regions)
        for i, start in enumerate(starts):
            succeeded.append(i >= len(failures))
            overlaps.append(values[start:] if succeeded[-1] else values[start : failures[i]])
    curve = toolkit.compute_eao_curve(overlaps, [1] * len(overlaps), succeeded)
    return np.array(accuracies), np.array(curve)


def test_equals_vot_toolkit(rng, monkeypatch, against):
    truths, runs, _, sequences, given = random_set(rng, 1)
    found = score_supervised(sequences, given, SHORT, convention="vot-toolkit")
    accuracies = np.array([found.sequences[s.name].accuracy for s in sequences])
    for ours, theirs in against(
        "toolkits",
        (accuracies, found.eao_curve),
        lambda: toolkit_scores(monkeypatch, truths, runs),
    ):
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)
        expected = np.average(theirs[0], weights=[len(truth) for truth in truths])
        assert found.overall.accuracy == pytest.approx(expected, abs=1e-6)
        assert found.eao == pytest.approx(np.mean(theirs[1][8:41]), abs=1e-6)


@pytest.mark.parametrize("convention", ["pysot", "vot-toolkit"])
def test_a_perfect_tracker_scores_one(rng, convention):
    truths = [random_truth(rng, length) for length in (120, 400)]
    sequences = [sequence(f"s{i}", truth, size=None) for i, truth in enumerate(truths)]
    runs = {f"s{i}": [Regions.from_rows([[1.0], *truth[1:]])] for i, truth in enumerate(truths)}
    scores = score_supervised(sequences, runs, VOT2018, convention=convention)
    assert scores.overall == (1.0, 0.0, 0.0)
    assert scores.eao == pytest.approx(1, abs=1e-12)
    assert scores.sequences == {"s0": (1, 0, 0), "s1": (1, 0, 0)}


def test_the_order_of_frames_does_not_matter_after_the_start(rng):
    truth = random_truth(rng, 60)
    run = random_run(rng, truth, failing=0)
    order = np.r_[:10, rng.permutation(np.arange(10, 60))]
    here = score_supervised([sequence("s", truth)], {"s": [Regions.from_rows(run)]}, SHORT)
    there = score_supervised(
        [sequence("s", [truth[i] for i in order])],
        {"s": [Regions.from_rows([run[i] for i in order])]},
        SHORT,
    )
    np.testing.assert_allclose(here.overall, there.overall, rtol=1e-12)
    assert 0.1 < here.overall.accuracy < 0.9


def test_accuracy_leaves_out_ten_frames_from_each_start():
    truth = [[10, 10, 20, 20]] * 30
    # wrong in frames 1 to 9 and 16 to 24, right in 10 and from 25 on, failed in 11
    wrong, right = [15, 15, 20, 20], truth[0]
    run = [[1], *[wrong] * 9, right, [2], *[[0]] * 4, [1], *[wrong] * 8, *[right] * 5]
    scores = score_supervised([sequence("s", truth)], {"s": [Regions.from_rows(run)]}, SHORT)
    expected = (1 + 4 + 0.0) / 5  # frame 10, then 26 to 29; frame 25 is the tenth of its start
    assert len(run) == 30
    assert scores.overall.accuracy == pytest.approx(expected)
    assert scores.overall.lost_number == 1
    assert scores.overall.robustness == pytest.approx(100 / 30)


def measured(overlap, failures=(), starts=(0,)):
    overlap = np.array(overlap, float)
    run = MeasuredRun(overlap, overlap, np.array(starts, int), np.array(failures, int))
    return MeasuredSequence([run], len(overlap), {})


def test_a_curve_by_hand():
    one = measured([0, 1, 1, 0.4, 0])
    failing = measured([0, 1, 0, 0, 0, 0, 0, 0, 0.5, 0.5], failures=[2], starts=[0, 7])
    # its first piece runs to the frame where it starts again, then counts as 0
    curve = eao_curve([one, failing], SHORT)
    second = np.array([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8, 1 / 9])
    expected = second.copy()
    expected[0] = (1 + 1 + 0.5) / 3
    expected[1] = (1 + 1 / 2 + 0.5) / 3
    expected[2] = (2.4 / 3 + 1 / 3) / 2
    expected[3] = (2.4 / 4 + 1 / 4) / 2
    np.testing.assert_allclose(curve, [1, *expected])
    shortest = dataclasses.replace(SHORT, eao_low=2, eao_high=3)
    assert expected_average(curve, shortest) == pytest.approx(expected[:2].mean())
    later = expected_average(curve, shortest, "vot-toolkit")
    assert later == pytest.approx(expected[1:3].mean())


def test_a_curve_that_is_too_short_says_nothing():
    assert np.isnan(expected_average(eao_curve([measured([0, 1, 1])], VOT2018), VOT2018))


def test_attributes_have_their_own_numbers():
    truth = [[10, 10, 20, 20]] * 40
    run = [[1], *[truth[0]] * 19, *[[15, 15, 20, 20]] * 19, [2]]
    dim = np.arange(40) >= 20
    scores = score_supervised(
        [sequence("s", truth, {"illum_change": dim})], {"s": [Regions.from_rows(run)]}, SHORT
    )
    light, dark = scores.attributes[UNTAGGED][0], scores.attributes["illum_change"][0]
    assert light == (1.0, 0.0, 0.0)
    assert dark.accuracy == pytest.approx(16**2 / (2 * 21**2 - 16**2))  # pixels, edges included
    assert (dark.lost_number, dark.robustness) == (1, 5.0)


def test_values_that_are_not_finite_count_as_misses():
    truth = [[10, 10, 20, 20]] * 22
    run = [[1], *[truth[0]] * 19, [np.nan] * 4, truth[0]]
    scores = score_supervised([sequence("s", truth)], {"s": [Regions.from_rows(run)]}, SHORT)
    assert scores.overall.accuracy == pytest.approx(11 / 12)


def test_sequences_without_a_run_count_for_nothing(rng):
    _, _, _, sequences, given = random_set(rng, 1)
    whole = score_supervised(sequences[:2], given, SHORT)
    partial = score_supervised(sequences, {n: given[n] for n in ("s0", "s1")}, SHORT)
    assert partial.overall == whole.overall
    assert partial.eao == whole.eao
    with pytest.raises(ValueError, match="no sequence has a run"):
        score_supervised(sequences, {}, SHORT)


def test_a_run_of_another_length_is_refused(rng):
    truth = random_truth(rng, 20)
    run = Regions.from_rows(random_run(rng, truth)[:-1])
    with pytest.raises(ValueError, match="19 regions cannot be compared with 20"):
        score_supervised([sequence("s", truth)], {"s": [run]}, SHORT)


def test_reliability_is_the_share_that_survives():
    assert reliability(0, 1000, 30) == 1
    assert reliability(10, 1000, 30) == pytest.approx(np.exp(-0.3))


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("vot2016", (108, 371)),
        ("VOT-2017", (100, 356)),
        ("VOT2018", (100, 356)),
        ("VOT 2019", (46, 291)),
    ],
)
def test_constants_of_the_challenges(name, constants):
    protocol = find_vot_protocol(name)
    assert (protocol.eao_low, protocol.eao_high) == constants
    assert (protocol.burnin, protocol.skip, protocol.repetitions) == (10, 5, 15)
    assert find_vot_protocol("OTB100") is None
