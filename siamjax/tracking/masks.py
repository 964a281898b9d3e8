"""SiamMask's masks: the chosen cell's on the device; on the host, its pixels of the frame and
the rotated rectangle around them.
"""

from collections.abc import Callable

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.config import TrackingConfig
from siamjax.models.siamese import MaskFeatures
from siamjax.tracking.state import Mask, TrackerState

# From mask features and cells `[b, 2]` (row, column) to logits `[b, s, s]`.
Refine = Callable[[MaskFeatures, Array], Array]

MIN_AREA = 100.0  # pixels: a smaller patch is not a target


def mask_at(
    refine: Refine,
    features: MaskFeatures,
    cell: Array,
    state: TrackerState,
    scale: Array,
    *,
    config: TrackingConfig,
    search_size: int | None = None,
) -> Mask:
    """The mask at `cell` `[2]` (row, column) of one search image (b = 1).

    `state` is that before the frame, whose centre the search image was cut around; `scale`
    as in `step.search_crops`. Reference: PySOT's SiamMask tracker, whose search image
    begins half its rounded side before the centre here.
    """
    search_size = search_size or config.tracker.search_size
    side = jnp.round(search_size / scale)
    pixel = side / search_size  # of the search image, in pixels of the frame
    steps = cell[::-1].astype(jnp.float32) - config.model.base_size / 2
    corner = state.center - side / 2 + steps * (config.model.anchors.stride * pixel)
    sides = jnp.full(2, config.model.template_size, jnp.float32) * pixel
    probabilities = jax.nn.sigmoid(refine(features, cell[None])[0])
    return Mask(probabilities, jnp.concatenate([corner, sides]))


def paste(mask: Mask, width: int, height: int) -> np.ndarray:
    """The mask in a frame of that size: `[height, width]` float32, 0 outside of the mask.

    Bilinear. Reference: PySOT's SiamMask tracker, which maps the frame's width onto its last
    pixel's centre, so that the scale is (width - 1) / width of the mask's.
    """
    probabilities = np.asarray(mask.probabilities, np.float32)
    x, y, w, h = np.asarray(mask.box_xywh, np.float64)
    across = (width - 1) / width * w / probabilities.shape[1]
    down = (height - 1) / height * h / probabilities.shape[0]
    # In the mask's pixels the frame begins at minus its corner.
    to_frame = np.array(
        [[across, 0, x * (width - 1) / width], [0, down, y * (height - 1) / height]]
    )
    return cv2.warpAffine(probabilities, to_frame, (width, height), flags=cv2.INTER_LINEAR)


def rotated_rectangle(pasted: np.ndarray, threshold: float) -> np.ndarray | None:
    """Corners `[4, 2]` float32 of the smallest rectangle around the largest patch.

    A patch is a connected component above `threshold`. None where the area inside the largest
    contour does not exceed `MIN_AREA`.
    """
    above = (pasted > threshold).astype(np.uint8)
    contours, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) <= MIN_AREA:
        return None
    return cv2.boxPoints(cv2.minAreaRect(largest))


def polygon_of(pasted: np.ndarray | None, box_xywh: np.ndarray, threshold: float) -> np.ndarray:
    """Corners `[4, 2]` float32 of the mask in the frame `[h, w]`, above a threshold.

    The corners of the box where there is no mask, or where nothing in it is large enough.
    """
    corners = None if pasted is None else rotated_rectangle(pasted, threshold)
    if corners is not None:
        return corners
    x, y, w, h = box_xywh
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
