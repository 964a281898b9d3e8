"""From a mask to pixels of the frame and a rotated rectangle, on the host. (SiamMask)"""

import cv2
import numpy as np

from siamjax.tracking.state import Mask

MIN_AREA = 100.0  # pixels: a smaller patch is no target


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
        [
            [across, 0, x * (width - 1) / width],
            [0, down, y * (height - 1) / height],
        ]
    )
    return cv2.warpAffine(probabilities, to_frame, (width, height), flags=cv2.INTER_LINEAR)


def rotated_rectangle(pasted: np.ndarray, threshold: float) -> np.ndarray | None:
    """Corners `[4, 2]` float32 of the smallest rectangle around the largest patch.

    A patch is what lies above `threshold` and hangs together. None where the area within the
    largest one's outline does not exceed `MIN_AREA`.
    """
    above = (pasted > threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea, default=None)
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
