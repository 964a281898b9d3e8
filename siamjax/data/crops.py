"""Square crops of a target with context: PySOT's crop511 recipe at any size."""

import cv2
import numpy as np

from siamjax.geometry.crops import context_side

JPEG_QUALITY = 95  # OpenCV's default, as in the reference preparation


def crop_target(
    frame: np.ndarray, box_xywh: np.ndarray, crop_size: int, template_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """A square crop around a target and the target's box in it.

    `frame` `[h, w, 3]` uint8; `box_xywh` `[4]` counts whole pixels, so that its centre is
    x + (w - 1) / 2. The crop `[crop_size, crop_size, 3]` covers context_side * crop_size /
    template_size of the frame, is padded with the frame's mean colour, and has the
    target's centre at pixel crop_size // 2. Reference: PySOT's preparation of its
    training sets, whose boxes ignore that crop_size pixels are only crop_size - 1 steps apart.
    """
    x, y, w, h = (float(v) for v in box_xywh)
    template_side = context_side(w, h)
    side = template_side * crop_size / template_size
    zoom = (crop_size - 1) / side
    left, top = x + (w - 1) / 2 - side / 2, y + (h - 1) / 2 - side / 2
    crop = cv2.warpAffine(
        frame,
        np.array([[zoom, 0, -zoom * left], [0, zoom, -zoom * top]]),
        (crop_size, crop_size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=cv2.mean(frame)[:3],
    )
    half = np.array([w, h]) * (template_size / template_side / 2)
    center = crop_size // 2
    return crop, np.concatenate([center - half, center + half]).astype(np.float32)


def encode_jpeg(image: np.ndarray) -> bytes:
    """An image as JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
