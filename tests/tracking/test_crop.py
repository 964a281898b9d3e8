import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamjax.tracking import crop
from siamjax.tracking.frames import pad_frame
from tests.tracking import oracle

subwindow = jax.jit(crop.subwindow, static_argnames="size")
mean_color = jax.jit(crop.mean_color)


def size_of(frame):
    return jnp.array(frame.shape[1::-1], jnp.float32)


def cut(frame, center, side, size, mean=None, padded=True):
    mean = np.floor(frame.mean(axis=(0, 1))) if mean is None else mean
    return np.asarray(
        subwindow(
            jnp.asarray(pad_frame(frame) if padded else frame),
            size_of(frame),
            jnp.array(center, jnp.float32),
            jnp.float32(side),
            jnp.array(mean, jnp.float32),
            size=size,
        )
    )


def test_crops_equal_the_goldens_to_one_grey_level(goldens):
    stored = np.load(goldens / "crops.npz")
    frame = stored["frame"]
    for k, (cx, cy, size, side) in enumerate(stored["cases"]):
        ours = cut(frame, (cx, cy), side, int(size))
        assert np.abs(ours - stored[f"crop_{k}"].astype(np.float32)).max() <= 1, k
    assert k == 6


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 3),
    # Sixteenths: a float32 cannot hold a centre that is off a boundary by far less.
    x=st.integers(-60 * 16, 260 * 16).map(lambda k: k / 16),
    y=st.integers(-60 * 16, 220 * 16).map(lambda k: k / 16),
    side=st.integers(1, 700),
)
def test_any_window_equals_opencv_on_a_padded_canvas(seed, x, y, side):
    frame = np.random.default_rng(seed).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    mean = frame.mean(axis=(0, 1))
    # The canvas of the plain version only reaches as far as a window that meets the frame.
    x, y = (
        float(np.clip(v, -side / 2 + 2, extent + side / 2 - 3))
        for v, extent in ((x, 200), (y, 160))
    )
    expected = oracle.subwindow(frame, (x, y), side, 63, mean)
    ours = cut(frame, (x, y), side, 63)
    assert np.abs(ours - expected.astype(np.float32)).max() <= 1


def test_a_window_of_the_output_size_is_a_copy(rng):
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    # floor(60 - 32 / 2 + 0.5) = 44, floor(45 - 16 + 0.5) = 29
    np.testing.assert_array_equal(cut(frame, (60, 45), 31, 31), frame[29:60, 44:75])


def test_a_window_outside_the_frame_holds_the_padding_colour(rng):
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    ours = cut(frame, (-500.0, 40.0), 100, 63, mean=(10, 20, 30))
    np.testing.assert_array_equal(ours, np.broadcast_to(np.float32([10, 20, 30]), ours.shape))


def test_the_bucket_does_not_matter(rng):
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    with_padding = cut(frame, (118.0, 3.0), 77, 63)
    without = cut(frame, (118.0, 3.0), 77, 63, padded=False)
    np.testing.assert_array_equal(with_padding, without)


@pytest.mark.parametrize(("side", "whole"), [(62.5, 62), (63.5, 64), (0.2, 1)])
def test_the_side_is_rounded_half_to_even_and_at_least_one(rng, side, whole):
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        cut(frame, (60, 45), side, 63), cut(frame, (60, 45), whole, 63)
    )


@pytest.mark.parametrize("shape", [(37, 53), (1200, 1700)])
def test_the_mean_is_truncated_and_exact(rng, shape):
    frame = rng.integers(180, 256, (*shape, 3), dtype=np.uint8)
    expected = frame.astype(np.int64).sum(axis=(0, 1)) // (shape[0] * shape[1])
    padded = np.full((1280, 1792, 3), 7, np.uint8)  # what lies outside does not count
    padded[: shape[0], : shape[1]] = frame
    ours = mean_color(jnp.asarray(padded), size_of(frame))
    assert ours.dtype == jnp.float32
    np.testing.assert_array_equal(ours, expected)


def test_the_mean_of_a_uniform_frame_is_its_colour():
    frame = np.full((301, 299, 3), (255, 128, 1), np.uint8)
    np.testing.assert_array_equal(mean_color(jnp.asarray(frame), size_of(frame)), (255, 128, 1))


def test_a_batch_of_windows_equals_one_at_a_time(rng):
    frame = pad_frame(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    centers = jnp.array([(10.0, 20.0), (100.0, 80.0), (60.0, 45.0)])
    sides = jnp.array([31.0, 127.0, 200.0])
    pad, size = jnp.full(3, 99.0), jnp.array([120.0, 90.0])
    frame = jnp.asarray(frame)
    batched = jax.vmap(lambda c, s: subwindow(frame, size, c, s, pad, size=63))(centers, sides)
    single = [
        subwindow(frame, size, c, s, pad, size=63) for c, s in zip(centers, sides, strict=True)
    ]
    np.testing.assert_array_equal(batched, jnp.stack(single))


def test_opencv_is_the_resize_that_the_oracle_means():
    ramp = np.arange(4, dtype=np.uint8).reshape(1, 4) * 40
    # Half-pixel centres: outputs at -0.25, 0.25, 0.75 ... held at the edge.
    np.testing.assert_array_equal(
        cv2.resize(ramp, (8, 1))[0], [0, 10, 30, 50, 70, 90, 110, 120]
    )
