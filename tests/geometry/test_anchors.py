"""Anchors and the coding of boxes, against PySOT's arrays (tests/goldens) and by inversion."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamjax.geometry.anchors import anchor_grid, anchor_sizes, decode, encode
from siamjax.geometry.boxes import cxcywh_to_xyxy, iou_xyxy, xyxy_to_cxcywh

RATIOS = (0.33, 0.5, 1, 2, 3)
SCORE_SIZES = {"r50": 25, "alex": 17}


def published_anchors(score_size, center=127):
    """The five anchors of the published models on their grid."""
    return anchor_grid(anchor_sizes(8, RATIOS, (8,)), 8, score_size, center)


@pytest.fixture(scope="module")
def targets(goldens):
    """PySOT's arrays: `[4, a, h, w]`, `[a, h, w]`."""
    with np.load(goldens / "targets.npz") as arrays:
        return dict(arrays)


def test_sizes_are_those_of_the_paper():
    np.testing.assert_array_equal(
        anchor_sizes(8, RATIOS, (8,)), [[104, 32], [88, 40], [64, 64], [40, 80], [32, 96]]
    )


def test_scales_vary_fastest():
    np.testing.assert_array_equal(
        anchor_sizes(8, (1, 2), (4, 8)), [[32, 32], [64, 64], [20, 40], [40, 80]]
    )


@pytest.mark.parametrize("model", SCORE_SIZES)
def test_grid_is_the_reference_grid(model, targets):
    anchors = published_anchors(SCORE_SIZES[model])
    assert anchors.dtype == np.float32
    expected = targets[f"{model}_anchors_center"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(anchors, expected)
    corners = targets[f"{model}_anchors_corner"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(cxcywh_to_xyxy(anchors), corners, atol=1e-5)


def test_tracking_grid_is_centred_on_zero():
    anchors = published_anchors(25, center=0)
    np.testing.assert_array_equal(anchors[0, 0, :, :2], np.full((5, 2), -96))
    np.testing.assert_array_equal(anchors[24, 0, 0, :2], [-96, 96])
    np.testing.assert_array_equal(anchors[0, 24, 0, :2], [96, -96])


@pytest.mark.parametrize("model", SCORE_SIZES)
@pytest.mark.parametrize("number", range(6))
def test_overlap_and_coding_are_the_reference(model, number, targets):
    anchors = published_anchors(SCORE_SIZES[model])
    box = targets["boxes_xyxy"][number]
    overlap = iou_xyxy(box, cxcywh_to_xyxy(anchors))
    expected = targets[f"{model}_{number}_overlap"].transpose(1, 2, 0)
    np.testing.assert_allclose(overlap, expected, atol=1e-6)
    delta = encode(xyxy_to_cxcywh(box), anchors)
    expected = targets[f"{model}_{number}_delta"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(delta, expected, rtol=1e-5, atol=1e-6)


def test_coding_by_hand():
    anchor = np.array([100.0, 50.0, 40.0, 20.0])
    box = np.array([120.0, 45.0, 40.0 * np.e, 10.0])
    expected = [0.5, -0.25, 1, -np.log(2)]
    np.testing.assert_allclose(encode(box, anchor), expected, rtol=1e-12)


@given(
    hnp.arrays(np.float64, (2,), elements=st.floats(-300, 300)),
    hnp.arrays(np.float64, (2,), elements=st.floats(1, 300)),
)
def test_decode_inverts_encode(center, size):
    box = np.concatenate([center, size])
    anchors = published_anchors(5).astype(np.float64)
    decoded = decode(encode(box, anchors), anchors)
    np.testing.assert_allclose(decoded, np.broadcast_to(box, anchors.shape), atol=1e-9)


def test_jax_and_numpy_agree(rng):
    anchors = published_anchors(5)
    loc = rng.normal(0, 0.5, anchors.shape).astype(np.float32)
    ours = decode(jnp.asarray(loc), jnp.asarray(anchors))
    np.testing.assert_allclose(ours, decode(loc, anchors), rtol=1e-5, atol=1e-4)
    box = np.array([120, 130, 50, 60], np.float32)
    ours = encode(jnp.asarray(box), jnp.asarray(anchors))
    np.testing.assert_allclose(ours, encode(box, anchors), rtol=1e-5, atol=1e-6)
