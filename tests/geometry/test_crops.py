"""Crop arithmetic: sub-windows cut with it are PySOT's (tests/goldens), sizes by hand."""

import math

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamjax.geometry.crops import context_side, window_origin


@pytest.fixture(scope="module")
def crops(goldens):
    """`frame`, `cases` rows (cx, cy, model size, original size), and `crop_k`."""
    with np.load(goldens / "crops.npz") as arrays:
        return dict(arrays)


def cut(frame, cx, cy, size, side):
    """A window of `side` pixels, padded with the mean colour, resized to `size`."""
    x, y = (window_origin(c, side, math.floor) for c in (cx, cy))
    border = side + max(frame.shape)
    mean = frame.mean((0, 1)).astype(np.uint8).tolist()
    padded = cv2.copyMakeBorder(frame, *[border] * 4, cv2.BORDER_CONSTANT, value=mean)
    window = padded[y + border : y + border + side, x + border : x + border + side]
    return window if side == size else cv2.resize(window, (size, size))


@pytest.mark.parametrize("case", range(7))
def test_windows_are_the_reference_windows(case, crops):
    cx, cy, size, side = crops["cases"][case]
    ours = cut(crops["frame"], cx, cy, int(size), int(side)).astype(int)
    assert np.abs(ours - crops[f"crop_{case}"]).max() <= 1


def test_context_by_hand():
    # a square target fills half of its template
    assert context_side(50, 50) == pytest.approx(100)
    # w + p = 30 + 25 = 55, h + p = 20 + 25 = 45
    assert context_side(30, 20) == pytest.approx(math.sqrt(55 * 45))
    assert context_side(30.0, 20.0, 0.0) == pytest.approx(math.sqrt(600))


@given(st.floats(-200, 500), st.integers(1, 300))
def test_window_lies_where_the_reference_puts_it(center, side):
    """The reference's windows lie a pixel to the top left, give or take half of one."""
    middle = window_origin(center, side, math.floor) + (side - 1) / 2
    assert -1.5 - 1e-9 < middle - center <= -0.5 + 1e-9


def test_jax_and_numpy_agree(rng):
    sizes = rng.uniform(1, 200, (2, 8)).astype(np.float32)
    ours = context_side(*jnp.asarray(sizes))
    np.testing.assert_allclose(ours, context_side(*sizes), rtol=1e-6)
    centers = rng.uniform(-50, 300, 32).astype(np.float32)
    ours = window_origin(jnp.asarray(centers), 63, jnp.floor)
    np.testing.assert_array_equal(ours, window_origin(centers, 63, np.floor))
