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
    return logits, label, loc, label_loc, weight


def torch_losses(torch, logits, label, loc, label_loc, weight):
    """The definitions of the reference, written out with PyTorch's own cross entropy."""
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


def test_values_and_gradients_equal_pytorch(rng):
    torch = pytest.importorskip("torch")
    logits, label, loc, label_loc, weight = random_case(rng)
    their_logits = torch.from_numpy(logits).requires_grad_()
    their_loc = torch.from_numpy(loc).requires_grad_()
    cls, loc_loss = torch_losses(torch, their_logits, label, their_loc, label_loc, weight)
    (cls + 1.2 * loc_loss).backward()

    batch = Batch(None, None, label, label_loc, weight, None, None, None)

    @jax.jit
    def ours(prediction):
        losses = pair_losses(prediction, batch, LossConfig())
        return losses.total, losses

    (total, losses), gradient = jax.value_and_grad(ours, has_aux=True)(Prediction(logits, loc))
    np.testing.assert_allclose(losses.cls, cls.item(), rtol=1e-6)
    np.testing.assert_allclose(losses.loc, loc_loss.item(), rtol=1e-6)
    np.testing.assert_allclose(total, (cls + 1.2 * loc_loss).item(), rtol=1e-6)
    np.testing.assert_allclose(gradient.cls_logits, their_logits.grad.numpy(), atol=1e-7)
    np.testing.assert_allclose(gradient.loc, their_loc.grad.numpy(), atol=1e-7)


def test_smooth_l1_equals_pytorch(rng):
    torch = pytest.importorskip("torch")
    _, _, loc, label_loc, weight = random_case(rng)
    their_loc = torch.from_numpy(loc).requires_grad_()
    each = torch.nn.functional.smooth_l1_loss(
        their_loc, torch.from_numpy(label_loc), reduction="none"
    )
    theirs = (each.sum(-1) * torch.from_numpy(weight)).sum() / len(loc)
    theirs.backward()
    ours, gradient = jax.value_and_grad(location_loss)(loc, label_loc, weight, smooth=True)
    np.testing.assert_allclose(ours, theirs.item(), rtol=1e-6)
    np.testing.assert_allclose(gradient, their_loc.grad.numpy(), atol=1e-7)
    batch = Batch(None, None, np.zeros((3, 5, 5, 4), int), label_loc, weight, None, None, None)
    prediction = Prediction(np.zeros((3, 5, 5, 4, 2), np.float32), loc)
    smooth = pair_losses(prediction, batch, LossConfig(loc_distance="smooth_l1"))
    np.testing.assert_allclose(smooth.loc, theirs.item(), rtol=1e-6)


def test_the_response_s_loss_equals_pytorch(rng):
    """Weights of 1 / positives and 1 / negatives, divided by their sum: SiamFC's balance."""
    torch = pytest.importorskip("torch")
    logits = rng.normal(0, 4, (3, 5, 5, 1, 1)).astype(np.float32)
    label = rng.choice([-1, 0, 1], (3, 5, 5, 1), p=[0.2, 0.6, 0.2]).astype(np.int32)
    weight = np.zeros(label.shape, np.float32)
    for kind in (0, 1):
        weight[label == kind] = 1 / (label == kind).sum()
    weight /= weight.sum()
    their_logits = torch.from_numpy(logits[..., 0]).requires_grad_()
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        their_logits,
        torch.from_numpy((label == 1).astype(np.float32)),
        torch.from_numpy(weight),
        reduction="sum",
    )
    theirs.backward()

    batch = Batch(None, None, label, None, None, None, None, None)

    def ours(logits):
        losses = pair_losses(Prediction(logits, None), batch, LossConfig())
        return losses.total, losses

    (total, losses), gradient = jax.value_and_grad(ours, has_aux=True)(jnp.asarray(logits))
    np.testing.assert_allclose(total, theirs.item(), rtol=1e-6)
    assert losses.cls == total and losses.loc == 0
    np.testing.assert_allclose(gradient[..., 0], their_logits.grad.numpy(), atol=1e-7)
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
