"""Stored crops: the recipe looked up pixel by pixel, and what happens at the border."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamjax.data.crops import crop_target, encode_jpeg
from siamjax.images import decode_image


@st.composite
def boxes(draw):
    """Boxes of whole pixels that touch a frame of 120 x 160, also at its very corner."""
    w, h = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    x, y = draw(st.integers(1 - w, 159)), draw(st.integers(1 - h, 119))
    return np.array([x, y, w, h], np.float32)


@pytest.mark.parametrize("box", [(60, 50, 30, 20), (0, 0, 12, 40), (140, 100, 40, 40)])
@pytest.mark.parametrize(("crop_size", "template_size"), [(511, 127), (255, 63)])
def test_crop_is_the_recipe(box, crop_size, template_size, rng):
    small = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8)
    frame = cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)
    crop, box_xyxy = crop_target(frame, np.array(box, np.float32), crop_size, template_size)
    assert crop.shape == (crop_size, crop_size, 3) and crop.dtype == np.uint8
    x, y, w, h = box
    side = np.sqrt((w + 0.5 * (w + h)) * (h + 0.5 * (w + h))) * crop_size / template_size
    # pixel u of the crop shows this place of the frame, counted in pixels
    steps = np.arange(crop_size) / (crop_size - 1) * side - side / 2
    map_x, map_y = np.meshgrid(x + (w - 1) / 2 + steps, y + (h - 1) / 2 + steps)
    mean = frame.mean((0, 1))
    expected = cv2.remap(
        frame,
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=mean.tolist(),
    )
    assert np.abs(crop.astype(int) - expected).max() <= 4
    assert np.abs(crop.astype(int) - expected).mean() < 0.5
    middle = crop_size // 2
    scale = template_size / (side * template_size / crop_size)
    np.testing.assert_allclose(
        box_xyxy,
        [middle - w * scale / 2, middle - h * scale / 2] * 1
        + [middle + w * scale / 2, middle + h * scale / 2],
        rtol=1e-5,
    )


@given(boxes())
def test_crops_at_the_border(box):
    """Inside the frame a crop shows the frame; outside, its mean colour."""
    y, x = np.mgrid[:120, :160].astype(np.uint8)
    frame = np.dstack([x, y, np.full_like(x, 200)])
    crop, box_xyxy = crop_target(frame, box, 255, 63)
    mean = frame.mean((0, 1))
    half = np.array([box_xyxy[2] - 127, box_xyxy[3] - 127])
    assert np.all(half > 0) and np.all(half < 63)
    assert half[0] / half[1] == pytest.approx(box[2] / box[3], rel=1e-4)
    middle = box[:2] + (box[2:] - 1) / 2
    if np.all(middle >= 0) and np.all(middle <= [159, 119]):
        np.testing.assert_allclose(crop[127, 127], [*middle, 200], atol=2)
    side = np.sqrt(np.prod(box[2:] + box[2:].sum() / 2)) * 255 / 63
    if middle[0] - side / 2 < -1 and middle[1] - side / 2 < -1:
        np.testing.assert_allclose(crop[0, 0], mean, atol=1)


def test_jpeg_round_trip_and_damage(rng):
    image = cv2.GaussianBlur(rng.integers(0, 256, (64, 48, 3)).astype(np.uint8), (0, 0), 3)
    data = encode_jpeg(image)
    assert np.abs(decode_image(data).astype(int) - image).mean() < 3
    place = data.find(b"\xff\xc0")  # where the sides are: 65,535 pixels each
    vast = data[: place + 5] + b"\xff" * 4 + data[place + 9 :]
    for damaged in (data[: len(data) // 2], b"", b"not an image", data[:20], vast):
        with pytest.raises(ValueError, match="image"):
            decode_image(damaged)
