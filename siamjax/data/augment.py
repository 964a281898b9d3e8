"""Augmentation of one image: grey, shift and scale, colour, blur, flip, in this order.

What is random is drawn first, as numbers; applying the numbers is a pure function. Images
are BGR. Reference: PySOT's augmentation (SiamRPN++, section 3: the target is shifted
uniformly, so that no position is learnt).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from siamjax.config import AugmentConfig
from siamjax.data.jpeg import TiledJpeg
from siamjax.data.offsets import OFFSET_LAWS

# What one standard normal number on each of three axes does to the RGB values.
_COLOR_AXES = np.array(
    [
        [-0.55919361, 0.98062831, -0.41940627],
        [1.72091413, 0.19879334, -1.82968581],
        [4.64467907, 4.73710203, 4.88324118],
    ]
)
_BLUR_SIZES = np.arange(5, 46, 2)


class Augmentation(NamedTuple):
    """Numbers that decide what happens to one image."""

    scale: np.ndarray = np.ones(2)  # [2] x, y: side of the window, relative to the output
    shift: np.ndarray = np.zeros(2)  # [2] x, y: how far the window is moved, stored pixels
    color: np.ndarray | None = None  # [3] BGR, subtracted; None for none
    blur_size: int = 0  # pixels, odd; 0 for none
    blur_mix: float = 0.0  # share of the stroke that runs down the column
    flip: bool = False


def draw_augmentation(
    rng: np.random.Generator, config: AugmentConfig, size: int
) -> Augmentation:
    """The numbers of one image of `size` pixels.

    The same count of random numbers is drawn whatever the configuration.
    """
    scale, shift = rng.uniform(-1, 1, (2, 2))
    color, blur, flip, mix = rng.random(4)
    offset = rng.standard_normal(3)
    blur_size = int(_BLUR_SIZES[rng.integers(len(_BLUR_SIZES))])
    return Augmentation(
        scale=1 + config.scale * scale,
        shift=OFFSET_LAWS[config.shift_law](shift, config.shift, size),
        color=(_COLOR_AXES @ offset)[::-1] if color < config.color else None,
        blur_size=blur_size if blur < config.blur else 0,
        blur_mix=float(mix),
        flip=bool(flip < config.flip),
    )


def to_gray(image: np.ndarray) -> np.ndarray:
    """Luminance in all three channels, `[h, w, 3]` uint8."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def window_xyxy(params: Augmentation, crop_size: int, size: int) -> np.ndarray:
    """The part of a stored crop that becomes the image: corners `[4]`, stored pixels.

    Its corners land on the centres of the image's corner pixels, so the undisturbed window
    is `size - 1` wide about the crop's centre. It may reach beyond the stored crop: the
    reference moves it back inside, which would make large shifts less uniform, and differs
    only where the stored crop is too small for the shift.
    """
    half = (size - 1) / 2 * np.minimum(params.scale, crop_size / (size - 1))
    center = crop_size // 2 + params.shift
    return np.concatenate([center - half, center + half])


def cut(
    image: np.ndarray, box_xyxy: np.ndarray, window: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Resamples a window (corners `[4]`) of a stored crop to `[size, size, 3]` uint8.

    Returns the image and `box_xyxy` `[4]` float32 moved with it. What lies beyond the stored
    crop is filled with the crop's mean colour, as the frame's border was.
    """
    low, high = window[:2], window[2:]
    zoom = (size - 1) / (high - low)
    matrix = np.array([[zoom[0], 0, -zoom[0] * low[0]], [0, zoom[1], -zoom[1] * low[1]]])
    height, width = image.shape[:2]
    inside = low.min() >= 0 and high[0] <= width - 1 and high[1] <= height - 1
    # with a fourth channel: OpenCV warps four in two thirds of the time of three
    cropped = cv2.warpAffine(
        cv2.cvtColor(image, cv2.COLOR_BGR2BGRA),
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0, 0) if inside else cv2.mean(image),
    )
    cropped = cv2.cvtColor(cropped, cv2.COLOR_BGRA2BGR)
    moved = (box_xyxy.reshape(2, 2) - low) * zoom
    return cropped, moved.reshape(4).astype(np.float32)


def finish_image(image: np.ndarray, params: Augmentation) -> np.ndarray:
    """Colour, blur and flip of a cut image `[size, size, 3]` uint8; float32."""
    image = image.astype(np.float32)
    if params.color is not None:
        cv2.subtract(image, (*params.color, 0.0), dst=image)
    if params.blur_size:
        image = motion_blur(image, params.blur_size, params.blur_mix)
    if params.flip:
        image = cv2.flip(image, 1)
    return image


def flip_box(box_xyxy: np.ndarray, params: Augmentation, size: int) -> np.ndarray:
    """The box `[4]` in the flipped image, if it is flipped."""
    if not params.flip:
        return box_xyxy
    return np.array(
        [size - 1 - box_xyxy[2], box_xyxy[1], size - 1 - box_xyxy[0], box_xyxy[3]],
        np.float32,
    )


def as_arrays(drawn: Sequence[Augmentation]) -> dict[str, np.ndarray]:
    """What `finish_image` and `flip_box` need of `n` images, as arrays `[n, ...]`.

    The fields of `schema.DrawnBatch` of these names: no colour is an offset of 0, no blur a
    stroke of one pixel.
    """
    none = np.zeros(3)
    return {
        "color": np.array([none if p.color is None else p.color for p in drawn], np.float32),
        "blur_size": np.array([max(1, p.blur_size) for p in drawn], np.int32),
        "blur_mix": np.array([p.blur_mix for p in drawn], np.float32),
        "flip": np.array([p.flip for p in drawn]),
    }


def cut_tiled(
    image: TiledJpeg, box_xyxy: np.ndarray, params: Augmentation, size: int, *, gray: bool
) -> tuple[np.ndarray, np.ndarray]:
    """As `cut` of the whole image (made `gray` or not), decoding no more than is needed.

    The window reaches beyond the stored crop now and then, and its mean colour is needed;
    then everything is decoded. Raises ValueError when it cannot be decoded.
    """
    window = window_xyxy(params, image.height, size)
    last = min(image.width, image.height) - 1
    if window.min() < 0 or window.max() > last:
        part, left, top = image.decode(0, 0, image.width - 1, image.height - 1)
    else:
        # a pixel more for the interpolation between two
        low, high = np.floor(window[:2]) - 1, np.ceil(window[2:]) + 1
        low, high = np.clip([low, high], 0, last).astype(int).tolist()
        part, left, top = image.decode(*low, *high)
    if gray:
        part = to_gray(part)
    origin = np.array([left, top, left, top], np.float32)
    return cut(part, box_xyxy - origin, window - origin, size)


def motion_blur(image: np.ndarray, size: int, mix: float) -> np.ndarray:
    """A cross-shaped stroke: `mix` of it along the column, the rest along the row.

    The kernel of size x size holds two lines, and each of them is a box filter, which costs
    the same whatever its length.
    """
    column = cv2.blur(image, (1, size))
    row = cv2.blur(image, (size, 1))
    return cv2.addWeighted(column, mix, row, 1 - mix, 0)
