"""Decoding parts of JPEGs: the pixels of the whole image, exactly."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamjax.config import AugmentConfig
from siamjax.data.augment import (
    Augmentation,
    cut,
    cut_tiled,
    draw_augmentation,
    to_gray,
    window_xyxy,
)
from siamjax.data.crops import encode_jpeg
from siamjax.data.jpeg import TiledJpeg, encode_tiled, open_tiled
from siamjax.images import decode_image


def photograph(side):
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


IMAGES = {side: photograph(side) for side in (127, 255, 511)}
FILES = {side: encode_tiled(image) for side, image in IMAGES.items()}


@pytest.mark.parametrize("side", IMAGES)
def test_tiles_change_no_pixel_and_hardly_the_size(side):
    plain = encode_jpeg(IMAGES[side])
    np.testing.assert_array_equal(decode_image(FILES[side]), decode_image(plain))
    assert len(FILES[side]) < 1.04 * len(plain)


@given(
    st.sampled_from(sorted(IMAGES)),
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(0, 1)] * 2),
)
def test_a_part_is_the_whole_there(side, x, y):
    whole = decode_image(FILES[side])
    (x0, x1), (y0, y1) = (sorted(int(v * (side - 1)) for v in axis) for axis in (x, y))
    part, left, top = TiledJpeg(FILES[side]).decode(x0, y0, x1, y1)
    ours = part[y0 - top : y1 - top + 1, x0 - left : x1 - left + 1]
    np.testing.assert_array_equal(ours, whole[y0 : y1 + 1, x0 : x1 + 1])
    # no more than the pieces that are touched: 64 x 16 pixels each, and two for the colour
    assert part.shape[1] <= x1 - x0 + 1 + 2 * 66 and part.shape[0] <= y1 - y0 + 1 + 2 * 18


def test_cutting_of_a_part_is_cutting_of_the_whole():
    """Also for windows that reach beyond the crop, and in grey."""
    box = np.array([200, 210, 310, 300], np.float32)
    config = AugmentConfig(shift=150, scale=0.18)
    whole, image = decode_image(FILES[511]), TiledJpeg(FILES[511])
    beyond = 0
    for seed in range(40):
        params = draw_augmentation(np.random.default_rng(seed), config, 255)
        window = window_xyxy(params, 511, 255)
        beyond += window.min() < 0 or window.max() > 510
        gray = bool(seed % 2)
        expected, expected_box = cut(to_gray(whole) if gray else whole, box, window, 255)
        ours, ours_box = cut_tiled(image, box, params, 255, gray=gray)
        # the place between two pixels is rounded to a 32nd, and may fall the other way
        away = np.abs(ours.astype(int) - expected)
        assert away.max() <= 2 and (away > 0).mean() < 0.01
        np.testing.assert_allclose(ours_box, expected_box, atol=1e-3)
    assert 0 < beyond < 40


@pytest.mark.parametrize("side", [97, 300, 303, 383])
def test_any_size_can_be_taken_apart(side):
    data = encode_tiled(IMAGES[511][:side, :side])
    part, left, top = TiledJpeg(data).decode(40, 50, 60, 70)
    whole = decode_image(data)[top : top + len(part), left : left + part.shape[1]]
    assert part.shape[1] < side and left <= 40 and top <= 50
    np.testing.assert_array_equal(part[2:-2, 2:-2], whole[2:-2, 2:-2])


def test_other_pictures_are_not_taken_apart():
    image = IMAGES[127]
    assert open_tiled(encode_jpeg(image)) is None
    assert open_tiled(cv2.imencode(".png", image)[1].tobytes()) is None
    assert open_tiled(b"") is None and open_tiled(FILES[127][:300]) is None
    # markers that do not come at the same places in every row
    flags = [cv2.IMWRITE_JPEG_RST_INTERVAL, 7]
    assert open_tiled(cv2.imencode(".jpg", image, flags)[1].tobytes()) is None


def test_a_lost_marker_is_damage():
    data = FILES[255]
    place = data.rfind(b"\xff\xd3")
    with pytest.raises(ValueError, match="restart markers is wrong"):
        TiledJpeg(data[:place] + data[place + 2 :])


def test_undisturbed_template_decodes_little():
    image = TiledJpeg(FILES[511])
    seen = []
    real = image.decode
    image.decode = lambda *a: seen.append(real(*a)[0].shape) or real(*a)
    cut_tiled(image, np.zeros(4, np.float32), Augmentation(), 127, gray=False)
    assert seen[0][0] * seen[0][1] < 511 * 511 / 6
