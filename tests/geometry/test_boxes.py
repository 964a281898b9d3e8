"""Box formats and overlap, against counting pixels and against each other."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siamjax.geometry import boxes

coordinates = st.floats(-500, 500, width=32)
sizes = st.floats(0.125, 500, width=32)


def boxes_xywh(count):
    """`count` random boxes with an area, float64 so that only the maths is judged."""
    corner = hnp.arrays(np.float64, (count, 2), elements=coordinates)
    size = hnp.arrays(np.float64, (count, 2), elements=sizes)
    return st.tuples(corner, size).map(np.hstack)


def count_iou(a_xyxy, b_xyxy, side=40):
    """Overlap by counting the unit pixels that lie inside integer boxes."""
    y, x = np.mgrid[:side, :side]
    inside = [
        (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3]) for box in (a_xyxy, b_xyxy)
    ]
    return (inside[0] & inside[1]).sum() / max(1, (inside[0] | inside[1]).sum())


def test_formats_of_one_box():
    xywh = np.array([10.0, 20.0, 30.0, 50.0])
    xyxy = boxes.xywh_to_xyxy(xywh)
    np.testing.assert_array_equal(xyxy, [10, 20, 40, 70])
    cxcywh = boxes.xyxy_to_cxcywh(xyxy)
    np.testing.assert_array_equal(cxcywh, [25, 45, 30, 50])
    np.testing.assert_array_equal(boxes.cxcywh_to_xywh(cxcywh), xywh)


@given(boxes_xywh(4))
def test_conversions_are_inverse(xywh):
    xyxy = boxes.xywh_to_xyxy(xywh)
    cxcywh = boxes.xyxy_to_cxcywh(xyxy)
    np.testing.assert_allclose(xyxy[..., 2:] - xyxy[..., :2], xywh[..., 2:], atol=1e-9)
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(cxcywh), xyxy, atol=1e-9)
    np.testing.assert_allclose(boxes.cxcywh_to_xywh(cxcywh), xywh, atol=1e-9)


@given(boxes_xywh(5), boxes_xywh(3))
def test_iou_is_symmetric_bounded_and_one_for_itself(a, b):
    a, b = boxes.xywh_to_xyxy(a), boxes.xywh_to_xyxy(b)
    overlap = boxes.iou_xyxy(a[:, None], b[None])
    assert overlap.shape == (5, 3)
    np.testing.assert_array_equal(overlap, boxes.iou_xyxy(b[:, None], a[None]).T)
    assert np.all((overlap >= 0) & (overlap <= 1 + 1e-12))
    np.testing.assert_allclose(boxes.iou_xyxy(a, a), 1, rtol=1e-9)


def test_iou_counts_pixels(rng):
    for _ in range(50):
        a, b = np.sort(rng.integers(0, 40, (2, 2, 2)), axis=1).reshape(2, 4).astype(float)
        assert boxes.iou_xyxy(a, b) == pytest.approx(count_iou(a, b))


def test_boxes_without_area_have_no_overlap():
    empty = np.array([5.0, 5.0, 5.0, 5.0])
    full = np.array([0.0, 0.0, 10.0, 10.0])
    np.testing.assert_array_equal(
        [boxes.iou_xyxy(empty, empty), boxes.iou_xyxy(empty, full)], [0, 0]
    )


def test_jax_and_numpy_agree(rng):
    a, b = rng.uniform(0, 50, (2, 6, 2)).astype(np.float32), rng.uniform(1, 50, (2, 6, 2))
    xyxy = np.concatenate([a, a + b.astype(np.float32)], -1)
    for convert in (boxes.xyxy_to_cxcywh, boxes.cxcywh_to_xywh):
        ours = convert(jnp.asarray(xyxy))
        np.testing.assert_allclose(ours, convert(xyxy), rtol=1e-6)
    overlap = boxes.iou_xyxy(jnp.asarray(xyxy[0]), jnp.asarray(xyxy[1]))
    assert overlap.dtype == jnp.float32
    np.testing.assert_allclose(overlap, boxes.iou_xyxy(*xyxy), rtol=1e-5)
