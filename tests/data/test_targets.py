"""Anchor targets against PySOT's arrays (tests/goldens) and against rules spelled out."""

import math

import numpy as np
import pytest

from siamjax.data.targets import Rules, assign_negative_targets, assign_targets
from siamjax.geometry.anchors import anchor_grid, anchor_sizes
from siamjax.geometry.assignment import assign_ranked, assign_response

SCORE_SIZES = {"r50": 25, "alex": 17}
CASES = [(model, number) for model in SCORE_SIZES for number in range(6)]


def published_anchors(model):
    sizes = anchor_sizes(8, (0.33, 0.5, 1, 2, 3), (8,))
    return anchor_grid(sizes, 8, SCORE_SIZES[model], center=127)


@pytest.fixture(scope="module")
def arrays(goldens):
    with np.load(goldens / "targets.npz") as loaded:
        return dict(loaded)


@pytest.mark.parametrize(("model", "number"), CASES)
def test_positive_pair_is_the_reference(model, number, arrays, rng):
    box = arrays["boxes_xyxy"][number]
    label, loc, weight = assign_targets(rng, box, published_anchors(model), Rules())
    assert (label.dtype, loc.dtype, weight.dtype) == (np.int32, np.float32, np.float32)
    overlap = arrays[f"{model}_{number}_overlap"].transpose(1, 2, 0)
    positives, negatives, positive_weight, *_ = arrays[f"{model}_{number}_counts"]
    assert ((label == 1).sum(), (label == 0).sum()) == (positives, negatives)
    assert np.all(overlap[label == 1] > 0.6)
    assert np.all(overlap[label == 0] < 0.3)
    np.testing.assert_allclose(weight[label == 1], positive_weight, rtol=1e-5)
    assert not weight[label != 1].any()
    expected = arrays[f"{model}_{number}_delta"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(loc, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("model", "number"), CASES)
def test_negative_pair_is_the_reference(model, number, arrays, rng):
    box = arrays["boxes_xyxy"][number]
    side = SCORE_SIZES[model]
    # section by section from the recipe: the cell of the object, and three to each side
    cells = [side // 2 + math.ceil(((box[k] + box[k + 2]) / 2 - 127) / 8 + 0.5) for k in (0, 1)]
    allowed = {
        (row, column, anchor)
        for row in range(side)
        for column in range(side)
        for anchor in range(5)
        if abs(column - cells[0]) <= 3 and abs(row - cells[1]) <= 3
    }
    for limit, rules in ((16, Rules()), (5**6, Rules(negatives_in_negative_pair=5**6))):
        label, _, weight = assign_negative_targets(
            rng, box, published_anchors(model), rules, search_size=255, stride=8
        )
        background = {tuple(index) for index in np.argwhere(label == 0).tolist()}
        assert background <= allowed
        assert len(background) == min(limit, len(allowed))
        assert not (label == 1).any() and not weight.any()
    assert arrays[f"{model}_{number}_neg_counts"].tolist() == [0, min(16, len(allowed))]


def test_choice_is_random_bounded_and_repeatable():
    anchors = published_anchors("r50")
    box = np.array([80, 80, 175, 175], np.float32)
    rules = Rules(positive_iou=0.3, positives=5, anchors=12)
    first, again = (
        assign_targets(np.random.default_rng(1), box, anchors, rules) for _ in range(2)
    )
    other = assign_targets(np.random.default_rng(2), box, anchors, rules)
    assert ((first.label_cls == 1).sum(), (first.label_cls == 0).sum()) == (5, 7)
    np.testing.assert_array_equal(first.label_cls, again.label_cls)
    assert not np.array_equal(first.label_cls, other.label_cls)
    assert first.label_loc_weight.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("model", "number"), CASES)
def test_ranked_choice_keeps_the_rules(model, number, arrays):
    """The golden's counts and offsets, and the choice is the first by rank."""
    box = arrays["boxes_xyxy"][number]
    anchors = published_anchors(model)
    rank = np.random.default_rng(number).permutation(anchors[..., 0].size)
    rank = rank.reshape(anchors.shape[:-1]).astype(np.int32)
    for negative in (False, True):
        label, loc, weight = (
            a[0]
            for a in assign_ranked(
                box[None].astype(np.float32),
                np.array([negative]),
                rank[None],
                anchors,
                Rules(),
                search_size=255,
                stride=8,
            )
        )
        overlap = arrays[f"{model}_{number}_overlap"].transpose(1, 2, 0)
        positives, negatives, positive_weight, *_ = arrays[f"{model}_{number}_counts"]
        if negative:
            assert [(label == 1).sum(), (label == 0).sum()] == arrays[
                f"{model}_{number}_neg_counts"
            ].tolist()
            assert not weight.any()
            continue
        assert ((label == 1).sum(), (label == 0).sum()) == (positives, negatives)
        # by hand: sort the allowed by rank
        for value, allowed, count in ((1, overlap > 0.6, 16), (0, overlap < 0.3, 48)):
            first = np.sort(rank[allowed])[:count]
            np.testing.assert_array_equal(np.sort(rank[label == value]), first)
        np.testing.assert_allclose(weight[label == 1], positive_weight, rtol=1e-5)
        expected = arrays[f"{model}_{number}_delta"].transpose(2, 3, 1, 0)
        np.testing.assert_allclose(loc, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("distance", "cells"), [("manhattan", 13), ("euclidean", 13)])
def test_response_labels_of_siamfc(distance, cells):
    """A centred target: two cells of 8 pixels away, 13 of them either way; a corner is not."""
    place = {"search_size": 239, "stride": 8, "radius": 16.0, "distance": distance}
    boxes = np.array([[99, 99, 139, 139], [99, 99, 139, 139], [107, 91, 147, 131]], np.float32)
    label = assign_response(boxes, np.array([False, True, False]), 15, **place)
    assert label.shape == (3, 15, 15, 1) and label.dtype == np.int32
    assert label[0].sum() == cells and not label[1].any()
    assert label[0, 7, 9] == label[0, 5, 7] == label[0, 6, 6] == 1
    assert label[0, 5, 6] == 0  # one and two away: 24 pixels, or 17.9
    # the target one cell to the right and up
    np.testing.assert_array_equal(label[2], np.roll(label[0], (-1, 1), (0, 1)))
