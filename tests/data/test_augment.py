"""Augmentation against the reference recipe written out with cv2.remap and filter2D."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from siamjax.config import AugmentConfig
from siamjax.data.augment import (
    Augmentation,
    cut,
    draw_augmentation,
    finish_image,
    flip_box,
    to_gray,
    window_xyxy,
)

CROP, SIZE = 255, 143
BOX = np.array([97, 107, 157, 147], np.float32)


def augmented(image, box_xyxy, params, size):
    """What the pipeline makes of a stored crop and the target's box in it."""
    image, box_xyxy = cut(image, box_xyxy, window_xyxy(params, image.shape[0], size), size)
    return finish_image(image, params), flip_box(box_xyxy, params, size)


@pytest.fixture(scope="module")
def image():
    """Smooth noise, as smooth as photographs are."""
    noise = np.random.default_rng(3).integers(0, 256, (CROP, CROP, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def recipe(image, box, params, size):
    """The published steps, each pixel looked up on its own."""
    center = image.shape[0] // 2
    side = (size - 1) * params.scale
    x1, y1 = center - side / 2 + params.shift
    x2, y2 = center + side / 2 + params.shift
    steps = np.arange(size) / (size - 1)
    map_x, map_y = np.meshgrid(x1 + steps * (x2 - x1), y1 + steps * (y2 - y1))
    out = cv2.remap(
        image, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR
    ).astype(np.float64)
    box = np.array(
        [
            (box[0] - x1) / params.scale[0],
            (box[1] - y1) / params.scale[1],
            (box[2] - x1) / params.scale[0],
            (box[3] - y1) / params.scale[1],
        ]
    )
    if params.color is not None:
        out = out - params.color
    if params.blur_size:
        k = params.blur_size
        kernel = np.zeros((k, k))
        kernel[:, k // 2] += params.blur_mix / k
        kernel[k // 2, :] += (1 - params.blur_mix) / k
        out = cv2.filter2D(out, -1, kernel)
    if params.flip:
        out = out[:, ::-1]
        box = np.array([size - 1 - box[2], box[1], size - 1 - box[0], box[3]])
    return out, box


def test_equals_the_reference_recipe(image):
    config = AugmentConfig(shift=32, scale=0.18, blur=0.5, flip=0.5, color=0.8)
    seen = set()
    for seed in range(40):
        params = draw_augmentation(np.random.default_rng(seed), config, SIZE)
        ours, box = augmented(image, BOX, params, SIZE)
        expected, expected_box = recipe(image, BOX, params, SIZE)
        assert ours.dtype == np.float32
        assert np.abs(ours - expected).max() <= 2
        np.testing.assert_allclose(box, expected_box, atol=1e-3)
        seen.add((params.color is None, params.blur_size > 0, params.flip))
    assert len(seen) == 8  # every combination was there


def test_undisturbed_image_is_the_middle_of_the_crop(image):
    ours, box = augmented(image, BOX, Augmentation(), SIZE)
    edge = (CROP - SIZE) // 2
    np.testing.assert_array_equal(ours, image[edge : edge + SIZE, edge : edge + SIZE])
    np.testing.assert_allclose(box, BOX - edge, atol=1e-4)


@pytest.mark.parametrize("shift", [0.0, 8.0, 32.0, 64.0, 200.0])
def test_position_is_uniform_over_the_range(image, shift):
    """Kolmogorov-Smirnov, for a range of zero and for one that leaves the crop, too."""
    rng = np.random.default_rng(11)
    config = AugmentConfig(shift=shift)
    centers = []
    for _ in range(1500):
        params = draw_augmentation(rng, config, SIZE)
        _, box = cut(image[:2, :2], BOX, window_xyxy(params, CROP, SIZE), SIZE)
        centers.append((box[:2] + box[2:]) / 2 - SIZE // 2)
    centers = np.array(centers)
    if shift == 0:
        np.testing.assert_allclose(centers, 0, atol=1e-4)
        return
    for axis in (0, 1):
        uniform = stats.uniform(-shift, 2 * shift)
        assert stats.kstest(centers[:, axis], uniform.cdf).pvalue > 0.01
    assert abs(stats.pearsonr(*centers.T).statistic) < 0.08


def test_scale_is_uniform_and_free_on_each_axis():
    rng = np.random.default_rng(12)
    config = AugmentConfig(scale=0.18)
    scales = np.array([draw_augmentation(rng, config, SIZE).scale for _ in range(1500)])
    for axis in (0, 1):
        assert stats.kstest(scales[:, axis], stats.uniform(0.82, 0.36).cdf).pvalue > 0.01
    assert abs(stats.pearsonr(*scales.T).statistic) < 0.08


def test_probabilities_are_kept():
    rng = np.random.default_rng(13)
    config = AugmentConfig(blur=0.2, flip=0.4, color=0.7)
    drawn = [draw_augmentation(rng, config, SIZE) for _ in range(3000)]
    assert np.mean([p.blur_size > 0 for p in drawn]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([p.flip for p in drawn]) == pytest.approx(0.4, abs=0.03)
    assert np.mean([p.color is not None for p in drawn]) == pytest.approx(0.7, abs=0.03)
    assert {p.blur_size for p in drawn} == {0, *range(5, 46, 2)}
    none = AugmentConfig(color=0)
    params = draw_augmentation(rng, none, SIZE)
    assert (params.color, params.blur_size, params.flip) == (None, 0, False)


def test_color_offset_has_the_published_spread():
    """Variance of V n is the diagonal of V V^T, reversed to BGR."""
    axes = np.array(
        [
            [-0.55919361, 0.98062831, -0.41940627],
            [1.72091413, 0.19879334, -1.82968581],
            [4.64467907, 4.73710203, 4.88324118],
        ]
    )
    rng = np.random.default_rng(14)
    offsets = np.array(
        [draw_augmentation(rng, AugmentConfig(), SIZE).color for _ in range(4000)]
    )
    np.testing.assert_allclose(np.cov(offsets.T), (axes @ axes.T)[::-1, ::-1], atol=3)


@given(
    shift=st.tuples(*[st.floats(-60, 60)] * 2),
    scale=st.tuples(*[st.floats(0.7, 1.5)] * 2),
    flip=st.booleans(),
)
def test_box_follows_the_picture(shift, scale, flip):
    """A bright rectangle is where the box says, found again by its centre of mass."""
    image = np.zeros((CROP, CROP, 3), np.uint8)
    image[115:140, 110:145] = 255
    # pixels 110..144 and 115..139, each reaching half a pixel further
    box = np.array([109.5, 114.5, 144.5, 139.5], np.float32)
    # inside the crop, so that nothing is filled in
    assume(all(abs(m) + SIZE / 2 * s < CROP / 2 for m, s in zip(shift, scale, strict=True)))
    params = Augmentation(scale=np.array(scale), shift=np.array(shift), flip=flip)
    picture, moved = augmented(image, box, params, SIZE)
    assume(1 <= moved.min() and moved.max() <= SIZE - 2)
    bright = picture[..., 0]
    y, x = np.mgrid[:SIZE, :SIZE]
    mass = bright.sum()
    center = np.array([(x * bright).sum(), (y * bright).sum()]) / mass
    np.testing.assert_allclose(center, (moved[:2] + moved[2:]) / 2, atol=0.25)
    area = np.prod(moved[2:] - moved[:2])
    assert mass / 255 == pytest.approx(area, rel=0.03)


def test_beyond_the_crop_is_its_mean_colour(image):
    params = Augmentation(shift=np.array([-120.0, 0.0]))
    ours, _ = augmented(image, BOX, params, SIZE)
    np.testing.assert_allclose(ours[70, 3], image.mean((0, 1)), atol=1)


def test_gray_is_the_luminance(image):
    gray = to_gray(image)
    expected = image @ np.array([0.114, 0.587, 0.299])
    assert np.abs(gray - expected[..., None]).max() <= 1
