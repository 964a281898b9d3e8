"""Augmentation of one image: grey, shift and scale, colour, blur, flip, in this order.

Random parameters are drawn first; applying them is a pure function. Images
are BGR. Reference: PySOT's augmentation (SiamRPN++, section 3: the target is shifted
uniformly, so that the network learns no position).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from siamjax.config import AugmentConfig
from siamjax.data.jpeg import TiledJpeg
from siamjax.data.offsets import OFFSET_LAWS

# RGB offsets for a standard normal number on each of three axes.
_COLOR_AXES = np.array(
    [
        [-0.55919361, 0.98062831, -0.41940627],
        [1.72091413, 0.19879334, -1.82968581],
        [4.64467907, 4.73710203, 4.88324118],
    ]
)
_BLUR_SIZES = np.arange(5, 46, 2)


class Augmentation(NamedTuple):
    """Parameters of the augmentation of one image."""

    scale: np.ndarray = np.ones(2)  # [2] x, y: side of the window, relative to the output size
    shift: np.ndarray = np.zeros(2)  # [2] x, y: shift of the window, pixels of the stored crop
    color: np.ndarray | None = None  # [3] BGR, subtracted; None for none
    blur_size: int = 0  # pixels, odd; 0 for none
    blur_mix: float = 0.0  # fraction of the stroke along the column
    flip: bool = False


def draw_augmentation(
    rng: np.random.Generator, config: AugmentConfig, size: int
) -> Augmentation:
    """Draws the parameters for one image of `size` pixels.

    The same number of random numbers is drawn whatever the configuration.
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
    """The window of a stored crop that becomes the image: corners `[4]`, pixels of the crop.

    Its corners fall on the centres of the image's corner pixels, so without augmentation the
    window is `size - 1` wide about the crop's centre. It may reach beyond the stored crop; the
    reference moves it back inside, which makes large shifts less uniform, and differs only
    where the stored crop is too small for the shift.
    """
    half = (size - 1) / 2 * np.minimum(params.scale, crop_size / (size - 1))
    center = crop_size // 2 + params.shift
    return np.concatenate([center - half, center + half])


def cut(
    image: np.ndarray, box_xyxy: np.ndarray, window: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Resamples a window (corners `[4]`) of a stored crop to `[size, size, 3]` uint8.

    Returns the image and `box_xyxy` `[4]` float32 in it. Beyond the stored crop it is padded
    with the crop's mean colour, as the crop was beyond the frame.
    """
    low, high = window[:2], window[2:]
    zoom = (size - 1) / (high - low)
    matrix = np.array([[zoom[0], 0, -zoom[0] * low[0]], [0, zoom[1], -zoom[1] * low[1]]])
    height, width = image.shape[:2]
    inside = low.min() >= 0 and high[0] <= width - 1 and high[1] <= height - 1
    # OpenCV warps four channels in two thirds of the time of three
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
    """Applies colour, blur and flip to a cut image `[size, size, 3]` uint8; returns float32."""
    image = image.astype(np.float32)
    if params.color is not None:
        # OpenCV's stubs know no scalars
        cv2.subtract(image, (*params.color, 0.0), dst=image)  # ty: ignore[no-matching-overload]
    if params.blur_size:
        image = motion_blur(image, params.blur_size, params.blur_mix)
    if params.flip:
        image = cv2.flip(image, 1)
    return image


def flip_box(box_xyxy: np.ndarray, params: Augmentation, size: int) -> np.ndarray:
    """The box `[4]` after the flip, if there is one."""
    if not params.flip:
        return box_xyxy
    return np.array(
        [size - 1 - box_xyxy[2], box_xyxy[1], size - 1 - box_xyxy[0], box_xyxy[3]], np.float32
    )


def as_arrays(drawn: Sequence[Augmentation]) -> dict[str, np.ndarray]:
    """The parameters of `finish_image` and `flip_box` for `n` images, as arrays `[n, ...]`.

    They are fields of `schema.DrawnBatch`: no colour is an offset of 0, no blur a stroke of
    one pixel.
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
    """As `cut` of the whole image (in grey if `gray`), decoding only the part that is needed.

    All of it is decoded when the window reaches beyond the stored crop, whose mean colour is
    needed then. Raises `InputError` when it cannot be decoded.
    """
    window = window_xyxy(params, image.height, size)
    last = min(image.width, image.height) - 1
    if window.min() < 0 or window.max() > last:
        part, left, top = image.decode(0, 0, image.width - 1, image.height - 1)
    else:
        # one more pixel for the interpolation
        low, high = np.floor(window[:2]) - 1, np.ceil(window[2:]) + 1
        low, high = np.clip([low, high], 0, last).astype(int).tolist()
        part, left, top = image.decode(*low, *high)
    if gray:
        part = to_gray(part)
    origin = np.array([left, top, left, top], np.float32)
    return cut(part, box_xyxy - origin, window - origin, size)


def motion_blur(image: np.ndarray, size: int, mix: float) -> np.ndarray:
    """Blurs with a cross-shaped kernel: `mix` of it along the column, the rest along the row.

    Each line of the size x size kernel is a box filter, whose cost does not depend on its
    length.
    """
    column = cv2.blur(image, (1, size))
    row = cv2.blur(image, (size, 1))
    return cv2.addWeighted(column, mix, row, 1 - mix, 0)
