"""The metrics against brute force, hand arithmetic and published trackers' result files."""

import numpy as np
import pytest

from siamjax.evaluation.metrics import ope
from siamjax.evaluation.metrics.ope import OPE_CONVENTIONS


def random_boxes(rng, t):
    return np.concatenate([rng.uniform(1, 80, (t, 2)), rng.uniform(5, 60, (t, 2))], axis=1)


def moved_by(x, y):
    return np.array([x, y, 0.0, 0.0])


def brute_force_overlap(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def brute_force_scores(gt, predicted):
    """The three numbers, frame by frame and threshold by threshold."""
    n = len(gt)
    passed = [0] * 21
    close = norm_close = 0
    for a, b in zip(gt.tolist(), predicted.tolist(), strict=True):
        for i in range(21):
            passed[i] += brute_force_overlap(a, b) > i / 20
        dx = (a[0] + a[2] / 2) - (b[0] + b[2] / 2)
        dy = (a[1] + a[3] / 2) - (b[1] + b[3] / 2)
        # half a pixel of (w - 1) / 2 cancels where the sizes are equal on both sides
        close += (dx**2 + dy**2) ** 0.5 <= 20
        norm_close += ((dx / a[2]) ** 2 + (dy / a[3]) ** 2) ** 0.5 <= 0.20
    return sum(passed) / 21 / n, close / n, norm_close / n


@pytest.mark.parametrize("t", [1, 7, 300])
def test_equals_brute_force(rng, t):
    gt = random_boxes(rng, t)
    predicted = gt + rng.normal(0, 12, (t, 4)) * [1, 1, 0.4, 0.4]
    predicted[:, 2:] = np.maximum(predicted[:, 2:], 1)
    found = ope.scores(ope.curves(gt, predicted))
    np.testing.assert_allclose(found, brute_force_scores(gt, predicted), atol=1e-12)


def test_hand_arithmetic():
    gt = np.array([[10.0, 10, 16, 16]] * 4)
    predicted = gt + np.array([[0, 0, 0, 0], [8, 0, 0, 0], [8, 8, 0, 0], [100, 0, 0, 0]])
    np.testing.assert_allclose(ope.overlaps(gt, predicted), [1, 1 / 3, 1 / 7, 0])
    np.testing.assert_allclose(ope.center_errors(gt, predicted), [0, 8, 128**0.5, 100])
    np.testing.assert_allclose(
        ope.norm_center_errors(gt, predicted), [0, 0.5, 0.5**0.5, 100 / 16]
    )
    curves = ope.curves(gt, predicted)
    # above 0, 0.05 and 0.10: three frames; up to 0.30: two; up to 0.95: one; above 1: none
    assert curves.success.tolist() == [0.75] * 3 + [0.5] * 4 + [0.25] * 13 + [0]
    assert curves.precision[[7, 8, 11, 12, 50]].tolist() == [0.25, 0.5, 0.5, 0.75, 0.75]
    assert curves.norm_precision[[0, 49, 50]].tolist() == [0.25, 0.25, 0.5]


def test_a_perfect_tracker_has_20_of_21_thresholds(rng):
    gt = random_boxes(rng, 50)
    found = ope.scores(ope.curves(gt, gt.copy()))
    assert found.success_auc == pytest.approx(20 / 21)
    assert found.precision_20px == found.norm_precision == 1


def test_order_of_frames_and_translation_do_not_matter(rng):
    gt, predicted = random_boxes(rng, 60), random_boxes(rng, 60)
    expected = ope.scores(ope.curves(gt, predicted))
    order = rng.permutation(60)
    assert ope.scores(ope.curves(gt[order], predicted[order])) == pytest.approx(expected)
    moved = ope.scores(ope.curves(gt + moved_by(7, 9), predicted + moved_by(7, 9)))
    assert moved == pytest.approx(expected)


def test_true_boxes_without_area_never_succeed_and_stay_in_the_denominator():
    gt = np.array([[10.0, 10, 20, 20], [10.0, 10, 0, 20]])
    curves = ope.curves(gt, gt.copy())
    assert ope.overlaps(gt, gt).tolist() == [1, -1]
    assert curves.success[0] == 0.5
    assert curves.precision[0] == 1


def test_true_centres_that_are_not_positive_count_as_hits():
    gt = np.array([[-30.0, 10, 20, 20], [10.0, 10, 20, 20]])
    far = gt + moved_by(500, 0)
    assert ope.center_errors(gt, far).tolist() == [-1, 500]
    assert ope.curves(gt, far).precision[0] == 0.5


def test_rows_without_truth_are_what_the_reference_makes_of_them(rng):
    # PySOT's code compares NaN with 0 and finds neither a size nor a centre: no success, and
    # a distance of -1, which is within every threshold
    gt, predicted = random_boxes(rng, 30), random_boxes(rng, 30)
    alone = ope.curves(gt[::2], predicted[::2])
    gt[1::2] = np.nan
    found = ope.curves(gt, predicted)
    np.testing.assert_allclose(found.success, alone.success / 2)
    np.testing.assert_allclose(found.precision, (alone.precision + 1) / 2)


CONVENTIONS = {convention.name: convention for convention in OPE_CONVENTIONS}


def test_absent_frames_by_both_conventions(rng):
    gt, predicted = random_boxes(rng, 40), random_boxes(rng, 40)
    visible = np.arange(40) % 4 != 0
    alone = ope.curves(gt[visible], predicted[visible])
    kept = ope.curves(gt, predicted, visible=visible)
    left_out = ope.curves(gt, predicted, visible=visible, convention=CONVENTIONS["got10k"])
    for one, other, third in zip(alone, kept, left_out, strict=True):
        np.testing.assert_allclose(other, one * 0.75)
        np.testing.assert_allclose(third, one)


def test_the_matlab_toolkits_ignore_the_first_answer_and_repeat_broken_ones():
    gt = np.array([[10.0, 10, 20, 20]] * 4)
    predicted = gt.copy()
    predicted[0] += [300, 0, 0, 0]
    predicted[2] = [10, 10, 0, 20]  # no area: the answer of frame 1 again
    predicted[3] = np.nan
    found = ope.curves(gt, predicted, convention=CONVENTIONS["matlab"])
    assert found.success[0] == found.precision[0] == found.norm_precision[0] == 1
    assert ope.curves(gt, predicted).success[0] == 0.25


@pytest.mark.parametrize(
    "name, precision, norm_precision, success",
    [("matlab", 1, 1, 0.5), ("pytracking", 0.5, 1, 0.5), ("got10k", 1, 1, 1)],
)
def test_frames_without_a_true_box_by_other_conventions(
    name, precision, norm_precision, success
):
    gt = np.array([[10.0, 10, 20, 20], [np.nan] * 4])
    predicted = np.array([[10.0, 10, 20, 20]] * 2)
    found = ope.curves(gt, predicted, convention=CONVENTIONS[name])
    assert (found.precision[20], found.success[0]) == (precision, success)
    assert found.norm_precision[20] == norm_precision


def test_a_true_box_at_the_border_is_valid_for_some():
    gt = np.array([[0.0, 10, 20, 20]] * 2)  # x = 0: MATLAB's toolkits count pixels from 1
    far = gt + moved_by(500, 0)
    hits = {n: ope.curves(gt, far, convention=c).precision[0] for n, c in CONVENTIONS.items()}
    assert hits == {"pysot": 0, "matlab": 1, "got10k": 0.5, "pytracking": 0}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_misses(value):
    gt = np.array([[10.0, 10, 20, 20]] * 2)
    predicted = gt.copy()
    predicted[1] = value
    found = ope.curves(gt, predicted)
    assert found.success[0] == found.precision[50] == found.norm_precision[50] == 0.5


def test_lengths_must_agree_and_something_must_count():
    box = np.array([[1.0, 1, 5, 5]])
    with pytest.raises(ValueError, match=r"expected 1 boxes, as in the ground truth, got 2"):
        ope.curves(box, box.repeat(2, axis=0))
    with pytest.raises(ValueError, match="no frame"):
        ope.curves(box * np.nan, box)


def test_sequences_weigh_the_same_whatever_their_length():
    good, bad = np.array([[10.0, 10, 20, 20]] * 90), np.array([[10.0, 10, 20, 20]] * 10)
    curves = [ope.curves(good, good), ope.curves(bad, bad + moved_by(500, 0))]
    assert ope.scores(ope.mean_curves(curves)).precision_20px == 0.5
