"""What people see: boxes, outlines and words drawn into frames, and a window that shows them.

Frames are `[h, w, 3]` uint8 BGR.
"""

import os
import sys

import cv2
import numpy as np


def draw_box(
    frame: np.ndarray, box_xywh, label: str = "", color: tuple[int, int, int] = (60, 220, 60)
) -> np.ndarray:
    """A copy of the frame with a box `[4]` (pixels, 0-based) and a label; `color` is BGR.

    A box that is not finite is not drawn.
    """
    frame = frame.copy()
    box = np.asarray(box_xywh, np.float64)
    if not np.isfinite(box).all():
        return frame
    x, y, w, h = np.clip(box, -1e6, 1e6)
    left, top, right, bottom = (round(float(v)) for v in (x, y, x + w, y + h))
    thickness = max(1, round(max(frame.shape[:2]) / 400))
    cv2.rectangle(frame, (left, top), (right, bottom), color, thickness)
    _write(frame, label, (min(max(left, 0), frame.shape[1] - 1), top - 4), color)
    return frame


def draw_text(frame: np.ndarray, text: str) -> np.ndarray:
    """A copy of the frame with a line of text in its upper left corner."""
    frame = frame.copy()
    _write(frame, text, (4, 0), (255, 255, 255))
    return frame


def _write(frame: np.ndarray, text: str, at: tuple[int, int], color) -> None:
    """Writes into the frame, outlined, from `at` (x, y of the line) or as low as it must."""
    side = max(frame.shape[:2])
    scale, thickness = 0.4 * max(1.0, side / 640), max(1, round(side / 400))
    at = (at[0], max(at[1], round(28 * scale)))
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(frame, text, at, font, scale, (0, 0, 0), thickness + 2, cv2.LINE_AA)
    cv2.putText(frame, text, at, font, scale, color, thickness, cv2.LINE_AA)


def draw_polygon(
    frame: np.ndarray, corners: np.ndarray, color: tuple[int, int, int] = (60, 220, 60)
) -> np.ndarray:
    """A copy of the frame with a closed line through `corners` `[k, 2]`; `color` is BGR.

    Corners that are not finite are not drawn.
    """
    frame, corners = frame.copy(), np.asarray(corners, np.float64)
    if np.isfinite(corners).all():
        points = np.round(np.clip(corners, -1e6, 1e6)).astype(np.int32)
        thickness = max(1, round(max(frame.shape[:2]) / 400))
        cv2.polylines(frame, [points], True, color, thickness, cv2.LINE_AA)
    return frame


class Window:
    """A window on the screen that shows frames.

    Raises `OSError` where there is no display, or where the installed OpenCV has no windows.
    """

    def __init__(self, title: str):
        self.title = title
        if sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):
            raise OSError(
                "a window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set"
            )
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except (cv2.error, AttributeError) as error:
            raise OSError(
                "the installed OpenCV shows no windows; install opencv-python in the place of "
                "opencv-python-headless"
            ) from error

    def show(self, frame: np.ndarray) -> bool:
        """Shows a frame; False when q or Esc was pressed."""
        cv2.imshow(self.title, frame)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def close(self) -> None:
        """Takes the window off the screen."""
        cv2.destroyWindow(self.title)
