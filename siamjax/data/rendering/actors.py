"""Actors: moving objects, and their compositing into an image."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from siamjax.data.rendering import motion, sprites


class Part(Protocol):
    """A part of an actor."""

    def at(self, frame: float) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """The sprite at a frame, and the `[2, 3]` map from its own [-1, 1]^2.

        The sprite is a pyramid of premultiplied BGRA images within `sprites.BORDER`
        transparent pixels; the map leads to the object's square of side 2.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Actor:
    """A moving object. `size` is the square root of its area at rest, pixels."""

    parts: tuple[Part, ...]
    aspect: float  # width / height at rest
    path: motion.Path
    size: float
    size_wave: motion.Wave
    size_swing: float  # log of the largest change of size
    aspect_wave: motion.Wave
    aspect_swing: float
    turn_wave: motion.Wave
    turn_swing: float  # radians
    spin: float  # radians per frame
    region: np.ndarray | None = None  # [4] _xyxy in its square: the part that is the target

    def matrix(self, frame: float) -> np.ndarray:
        """The `[2, 3]` map from the object's square of side 2 to pixels of the frame."""
        size = self.size * math.exp(self.size_swing * self.size_wave(frame)) / 2
        stretch = math.sqrt(self.aspect) * math.exp(self.aspect_swing * self.aspect_wave(frame))
        angle = self.turn_swing * self.turn_wave(frame) + self.spin * frame
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) * [size * stretch, size / stretch]
        return np.hstack([turn, self.path(frame)[:, None]])

    def draw(
        self, image: np.ndarray, frame: float, shake: np.ndarray, exposure: float
    ) -> tuple[int, int, int, int]:
        """Draws the actor into `image` `[h, w, 3]` uint8, in place; returns its tight box.

        The box is `_xywh`, whole pixels, clipped to the image, around the pixels that the
        actor covers by more than half without motion blur, or around its `region` if it has
        one. Motion blur lasts `exposure`, a fraction of the time between frames. `shake` `[2]`
        is added to the position, pixels.
        """
        matrix = self.matrix(frame)
        matrix[:, 2] += shake
        placed = [
            (sprite, matrix @ np.vstack([own, [0, 0, 1]]))
            for sprite, own in (part.at(frame) for part in self.parts)
        ]
        moved = exposure * (self.path(frame + 0.5) - self.path(frame - 0.5))
        blurred = np.hypot(*moved) >= 1.5
        # A map's image of [-1, 1]^2 has half the extent of the sum of its columns' magnitudes.
        reach = [np.abs(m[:, :2]).sum(1) for _, m in placed]
        pad = 1 + (abs(moved).max() / 2 if blurred else 0)
        low = np.min([m[:, 2] - r for (_, m), r in zip(placed, reach, strict=True)], 0) - pad
        high = np.max([m[:, 2] + r for (_, m), r in zip(placed, reach, strict=True)], 0) + pad
        height, width = image.shape[:2]
        x0, y0 = (max(0, math.floor(v)) for v in low)
        x1, y1 = min(width, math.ceil(high[0]) + 1), min(height, math.ceil(high[1]) + 1)
        if x1 <= x0 or y1 <= y0:
            return 0, 0, 0, 0
        patch = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
        for sprite, m in placed:
            _over(patch, _warp(sprite, m, (x0, y0), (x1 - x0, y1 - y0)))
        box = self._region_box(matrix, width, height)
        if box is None:
            x, y, w, h = cv2.boundingRect((patch[..., 3] > 127).view(np.uint8))
            box = x + x0, y + y0, w, h
        if blurred:
            patch = cv2.filter2D(patch, -1, _stroke(moved), borderType=cv2.BORDER_CONSTANT)
        _over(image[y0:y1, x0:x1], patch)
        return box

    def _region_box(self, matrix, width, height):
        if self.region is None:
            return None
        x0, y0, x1, y1 = self.region
        corners = matrix @ np.array([[x0, x1, x1, x0], [y0, y0, y1, y1], [1, 1, 1, 1]])
        # coordinates are those of pixel centres, boxes start at pixel edges
        low, high = np.round(corners.min(1) + 0.5), np.round(corners.max(1) + 0.5)
        x0, y0 = np.clip(low, 0, [width, height]).astype(int).tolist()
        x1, y1 = np.clip(high, 0, [width, height]).astype(int).tolist()
        return x0, y0, x1 - x0, y1 - y0


def _warp(sprite, matrix, corner, size):
    """Warps a sprite by `matrix` (from [-1, 1]^2 to the frame) into a patch at `corner`."""
    extent = 2 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    finest = np.array(sprite[0].shape[1::-1])
    finer = math.sqrt(finest[0] * finest[1]) / max(extent, 1)
    level = min(len(sprite) - 1, max(0, int(math.log2(finer))))
    sides = np.array(sprite[level].shape[1::-1])
    half = (sides - 2 * sprites.BORDER * (sides / finest)) / 2
    scaled = matrix[:, :2] / half
    shift = matrix[:, 2] - corner - scaled @ ((sides - 1) / 2)
    return cv2.warpAffine(
        sprite[level], np.hstack([scaled, shift[:, None]]), size, flags=cv2.INTER_LINEAR
    )


def _over(below, above):
    """Composites a premultiplied BGRA patch over an image of 3 or 4 channels, in place."""
    channels = below.shape[2]
    clear = cv2.merge([255 - above[..., 3]] * channels)
    cv2.multiply(below, clear, below, 1 / 255)
    below += above[..., :channels]


def _stroke(move):
    """A motion blur kernel: a line along `move` (pixels) that sums to one."""
    reach = max(1, math.ceil(abs(move).max() / 2))
    kernel = np.zeros((2 * reach + 1,) * 2, np.uint8)
    ends = [tuple(int(v) for v in np.round((reach + s * move / 2) * 16)) for s in (-1, 1)]
    cv2.line(kernel, *ends, 255, 1, cv2.LINE_AA, shift=4)
    return kernel.astype(np.float32) / max(1, kernel.sum(dtype=np.int64))
