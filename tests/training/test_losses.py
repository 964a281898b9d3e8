"""Losses against an independent PyTorch computation and against hand arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import LossConfig
from siamjax.data.schema import Batch
from siamjax.models.siamese import Prediction
from siamjax.training.losses import (
    classification_loss,
    count,
    iou_loss,
    location_loss,
    pair_losses,
    response_loss,
)

LN2 = float(np.log(2))


def random_case(rng, b=3, n=5, a=4):
    logits = rng.normal(0, 3, (b, n, n, a, 2)).astype(np.float32)
    loc, label_loc = rng.normal(0, 1, (2, b, n, n, a, 4)).astype(np.float32)
    label = rng.choice([-1, 0, 1], (b, n, n, a), p=[0.6, 0.3, 0.1]).astype(np.int32)
    weight = ((label == 1) / rng.integers(1, 17, (b, 1, 1, 1))).astype(np.float32)
    return logits, label, loc.clip(-2.7, 2.7), label_loc.clip(-2.7, 2.7), weight


def torch_losses(logits, label, loc, label_loc, weight):
    """The definitions of the reference, written out with PyTorch's own cross entropy."""
    import torch

    flat, chosen = logits.reshape(-1, 2), torch.from_numpy(label.astype(np.int64)).reshape(-1)
    cls = 0.0
    for kind in (0, 1):
        picked = flat[chosen == kind]
        cls = cls + 0.5 * torch.nn.functional.cross_entropy(
            picked, torch.full((len(picked),), kind)
        )
    distance = torch.nn.functional.l1_loss(loc, torch.from_numpy(label_loc), reduction="none")
    loc_loss = (distance.sum(-1) * torch.from_numpy(weight)).sum() / len(loc)
    return cls, loc_loss


def values_and_gradients(inputs, losses):
    """As NumPy: the losses of these arrays, and the gradients of the first."""
    import torch

    tensors = [torch.from_numpy(array).requires_grad_() for array in inputs]
    values = losses(*tensors)
    values[0].backward()
    return [value.detach().numpy() for value in values], [x.grad.numpy() for x in tensors]


def test_values_and_gradients_equal_pytorch(rng, against):
    logits, label, loc, label_loc, weight = random_case(rng)

    def their_losses(logits, loc):
        cls, loc_loss = torch_losses(logits, label, loc, label_loc, weight)
        return cls + 1.2 * loc_loss, cls, loc_loss

    batch = Batch(None, None, label, label_loc, weight, None, None, None)

    @jax.jit
    def ours(prediction):
        losses = pair_losses(prediction, batch, LossConfig())
        return losses.total, losses

    (total, losses), gradient = jax.value_and_grad(ours, has_aux=True)(Prediction(logits, loc))
    assert_close(
        against(
            "torch",
            ([total, losses.cls, losses.loc], [gradient.cls_logits, gradient.loc]),
            lambda: values_and_gradients((logits, loc), their_losses),
        )
    )


def assert_close(pairs):
    for (values, gradients), (their_values, their_gradients) in pairs:
        np.testing.assert_allclose(values, their_values, rtol=1e-6)
        for ours, theirs in zip(gradients, their_gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_smooth_l1_equals_pytorch(rng, against):
    _, _, loc, label_loc, weight = random_case(rng)

    def their_loss(loc):
        import torch

        distance = torch.nn.functional.smooth_l1_loss
        each = distance(loc, torch.from_numpy(label_loc), reduction="none")
        return [(each.sum(-1) * torch.from_numpy(weight)).sum() / len(loc)] * 2

    ours, gradient = jax.value_and_grad(location_loss)(loc, label_loc, weight, smooth=True)
    batch = Batch(None, None, np.zeros((3, 5, 5, 4), int), label_loc, weight, None, None, None)
    prediction = Prediction(np.zeros((3, 5, 5, 4, 2), np.float32), loc)
    smooth = pair_losses(prediction, batch, LossConfig(loc_distance="smooth_l1"))
    assert_close(
        against(
            "torch",
            ([ours, smooth.loc], [gradient]),
            lambda: values_and_gradients([loc], their_loss),
        )
    )


def test_the_response_s_loss_equals_pytorch(rng, against):
    """Weights of 1 / positives and 1 / negatives, divided by their sum: SiamFC's balance."""
    logits = rng.normal(0, 4, (3, 5, 5, 1, 1)).astype(np.float32)
    label = rng.choice([-1, 0, 1], (3, 5, 5, 1), p=[0.2, 0.6, 0.2]).astype(np.int32)
    weight = np.zeros(label.shape, np.float32)
    for kind in (0, 1):
        weight[label == kind] = 1 / (label == kind).sum()
    weight /= weight.sum()

    def their_loss(logits):
        import torch

        positive = torch.from_numpy((label == 1).astype(np.float32))
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return [cross_entropy(logits, positive, torch.from_numpy(weight), reduction="sum")]

    batch = Batch(None, None, label, None, None, None, None, None)

    def ours(logits):
        losses = pair_losses(Prediction(logits, None), batch, LossConfig())
        return losses.total, losses

    (total, losses), gradient = jax.value_and_grad(ours, has_aux=True)(jnp.asarray(logits))
    assert_close(
        against(
            "torch",
            ([total], [gradient[..., 0]]),
            lambda: values_and_gradients([logits[..., 0]], their_loss),
        )
    )
    assert losses.cls == total and losses.loc == 0
    assert np.isfinite(response_loss(1e4 * logits, label))
    with pytest.raises(ValueError, match="`label_cls` has shape"):
        response_loss(logits, label[:, :4])


def labels(**chosen):
    """`[2, 2, 2, 1]`: ignored everywhere but in the cells given as p0=1, n3=0, ..."""
    label = np.full(8, -1, np.int32)
    for cell, value in chosen.items():
        label[int(cell[1:])] = value
    return label.reshape(2, 2, 2, 1)


def test_classification_by_hand():
    # Logits (0, ln 3) give the scores 1/4 and 3/4, so that a positive there costs ln 4/3
    # and a negative ln 4; logits (0, 0) cost ln 2 either way.
    logits = np.zeros((2, 2, 2, 1, 2), np.float32)
    logits[0, 0, 0, 0, 1] = np.log(3)
    logits[0, 0, 1, 0, 1] = np.log(3)
    label = labels(p0=1, p5=1, p6=1, n1=0, n7=0)
    positives = (np.log(4 / 3) + LN2 + LN2) / 3
    negatives = (np.log(4) + LN2) / 2
    np.testing.assert_allclose(
        classification_loss(logits, label), 0.5 * positives + 0.5 * negatives, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, 0.0),
        ({"p0": 1, "p1": 1}, 0.5 * LN2),
        ({"n0": 0, "n1": 0}, 0.5 * LN2),
        # One positive counts, where the reference implementation would drop it.
        ({"p0": 1, "n1": 0, "n2": 0}, LN2),
        ({"p0": 1, "p2": 1, "n1": 0}, LN2),
    ],
)
def test_empty_and_single_sets(chosen, expected):
    logits = np.zeros((2, 2, 2, 1, 2), np.float32)
    np.testing.assert_allclose(classification_loss(logits, labels(**chosen)), expected)
    gradient = jax.grad(classification_loss)(logits, labels(**chosen))
    assert np.isfinite(gradient).all()


def test_ignored_anchors_change_nothing():
    logits = np.zeros((2, 2, 2, 1, 2), np.float32)
    label = labels(p0=1, n1=0)
    loud = logits.copy()
    loud[label == -1] = 1e4
    np.testing.assert_array_equal(
        classification_loss(loud, label), classification_loss(logits, label)
    )


def test_location_by_hand():
    loc, label_loc = np.zeros((2, 2, 2, 2, 1, 4), np.float32)
    label_loc[0, 0, 0, 0] = [1, -2, 0.5, 0]  # distance 3.5
    label_loc[1, 1, 0, 0] = [0, 0, 0, -4]  # distance 4
    label_loc[1, 0, 1, 0] = [9, 9, 9, 9]  # not a positive
    weight = np.zeros((2, 2, 2, 1), np.float32)
    weight[0, 0, 0, 0], weight[1, 1, 0, 0] = 0.5, 0.25
    # (0.5 * 3.5 + 0.25 * 4) / 2 pairs
    np.testing.assert_allclose(location_loss(loc, label_loc, weight), 1.375)


def overlaps(a, b):
    """IoU and GIoU of two boxes (cx, cy, w, h), one interval after the other."""
    inside, around = 1.0, 1.0
    for axis in (0, 1):
        low = [box[axis] - box[axis + 2] / 2 for box in (a, b)]
        high = [box[axis] + box[axis + 2] / 2 for box in (a, b)]
        inside *= max(0.0, min(high) - max(low))
        around *= max(high) - min(low)
    union = a[2] * a[3] + b[2] * b[3] - inside
    return inside / union, inside / union - (around - union) / around


def in_pixels(loc, anchor):
    """The box that (dx, dy, dw, dh) makes of an anchor (cx, cy, w, h), by its definition."""
    (dx, dy, dw, dh), (cx, cy, w, h) = loc, anchor
    return cx + dx * w, cy + dy * h, w * np.exp(dw), h * np.exp(dh)


def brute_force(loc, label_loc, rng):
    """IoU and GIoU at every anchor, in pixels, whatever the anchors are."""
    both = np.zeros((2, *loc.shape[:-1]))
    for place in np.ndindex(loc.shape[:-1]):
        anchor = (*rng.uniform(-50, 50, 2), *rng.uniform(5, 100, 2))
        boxes = (in_pixels(np.float64(array[place]), anchor) for array in (loc, label_loc))
        both[(slice(None), *place)] = overlaps(*boxes)
    return both


def test_iou_loss_equals_pixels_of_any_anchors(rng):
    logits, label, loc, label_loc, weight = random_case(rng)
    expected = ((1 - brute_force(loc, label_loc, rng)[1]) * weight).sum() / len(loc)
    np.testing.assert_allclose(iou_loss(loc, label_loc, weight), expected, rtol=1e-5)
    batch = Batch(None, None, label, label_loc, weight, None, None, None)
    losses = pair_losses(Prediction(logits, loc), batch, LossConfig(iou_weight=2.0))
    plain = pair_losses(Prediction(logits, loc), batch, LossConfig())
    np.testing.assert_allclose(losses.iou, expected, rtol=1e-5)
    np.testing.assert_allclose(losses.total, plain.total + 2 * expected, rtol=1e-6)
    assert plain.iou == 0 and plain.loc == losses.loc


def test_iou_loss_by_hand_and_far_away():
    # Boxes of the anchor's size, one width apart, so that they touch: 1 - GIoU is 1. Then
    # two widths apart: a third of the box around is empty.
    loc, label_loc = np.zeros((2, 2, 1, 1, 1, 4), np.float32)
    loc[0, ..., 0], loc[1, ..., 0] = 1, 2
    weight = np.float32([[[[0.5]]], [[[1.0]]]])
    np.testing.assert_allclose(iou_loss(loc, label_loc, weight), (0.5 + 4 / 3) / 2)
    wild = loc + np.float32([1e3, -1e3, 1e4, -1e4])
    value, gradient = jax.value_and_grad(iou_loss)(wild, label_loc, weight)
    assert 0 < value <= 2 and np.isfinite(gradient).all()


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_positives_are_taught_their_overlap(rng, power):
    logits, label, loc, label_loc, weight = random_case(rng)
    overlap = brute_force(loc, label_loc, rng)[0] ** power
    scores = np.exp(logits - logits.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    soft = -(overlap * np.log(scores[..., 1]) + (1 - overlap) * np.log(scores[..., 0]))
    expected = 0.5 * soft[label == 1].mean() - 0.5 * np.log(scores[label == 0][:, 0]).mean()
    batch = Batch(None, None, label, label_loc, weight, None, None, None)
    config = LossConfig(loc_weight=0.0, iou_aware=power)

    def total(loc):
        losses = pair_losses(Prediction(logits, loc), batch, config)
        return losses.total, losses

    (_, losses), gradient = jax.value_and_grad(total, has_aux=True)(jnp.asarray(loc))
    np.testing.assert_allclose(losses.cls, expected, rtol=1e-5)
    assert not gradient.any()  # boxes do not get worse to make scores right


def test_losses_of_parts_add_up_to_the_whole_s(rng):
    logits, label, loc, label_loc, weight = random_case(rng, b=4)
    config = LossConfig(iou_weight=1.5, iou_aware=0.5)

    def of(rows, counts):
        arrays = (label[rows], label_loc[rows], weight[rows])
        batch = Batch(None, None, *arrays, None, None, None)
        return pair_losses(Prediction(logits[rows], loc[rows]), batch, config, counts)

    counts = count(Batch(None, None, label, None, None, None, None, None))
    parts = [of(rows, counts) for rows in (slice(0, 1), slice(1, 4))]
    np.testing.assert_allclose(np.sum(parts, axis=0), of(slice(None), None), rtol=1e-5)


def test_losses_of_bfloat16_predictions_are_float32(rng):
    logits, label, loc, label_loc, weight = random_case(rng)
    low = jnp.asarray(logits, jnp.bfloat16), jnp.asarray(loc, jnp.bfloat16)
    cls, loc_loss = classification_loss(low[0], label), location_loss(low[1], label_loc, weight)
    assert cls.dtype == loc_loss.dtype == jnp.float32
    rounded = np.asarray(low[0], np.float32), np.asarray(low[1], np.float32)
    np.testing.assert_array_equal(cls, classification_loss(rounded[0], label))
    np.testing.assert_array_equal(loc_loss, location_loss(rounded[1], label_loc, weight))


def test_labels_of_another_score_map_are_refused(rng):
    logits, label, loc, label_loc, weight = random_case(rng)
    with pytest.raises(ValueError, match=r"`label_cls` has shape \(3, 4, 5, 4\)"):
        classification_loss(logits, label[:, :4])
    with pytest.raises(ValueError, match="`label_loc_weight` has shape"):
        location_loss(loc, label_loc, weight[..., :1])
