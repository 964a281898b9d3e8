"""A rendered sequence: a target among distractors and occluders over a moving background.

Every frame is a pure function of the configuration, the sequence's number and the frame's
number. The two splits draw from separate random streams.
"""

import dataclasses
import functools
import math

import cv2
import numpy as np

from siamjax.config import SyntheticConfig
from siamjax.data.rendering import motion, sprites
from siamjax.data.rendering.backgrounds import make_background

_STREAMS = {"train": 1, "test": 2}
_MARGIN = 1.5  # side of the background, in frames: room for the camera
_NOISE_SIDE = 1024


@dataclasses.dataclass(frozen=True)
class Actor:
    """An object on its way. `size(frame)` is the root of its area at rest, pixels."""

    shape: sprites.Object
    path: motion.Path
    size: float
    size_wave: motion.Wave
    size_swing: float  # log of the largest change of size
    aspect_wave: motion.Wave
    aspect_swing: float
    turn_wave: motion.Wave
    turn_swing: float  # radians
    spin: float  # radians a frame

    def matrix(self, frame: float) -> np.ndarray:
        """The `[2, 3]` map from the object's square of side 2 to pixels of the frame."""
        size = self.size * math.exp(self.size_swing * self.size_wave(frame)) / 2
        stretch = math.sqrt(self.shape.aspect) * math.exp(
            self.aspect_swing * self.aspect_wave(frame)
        )
        angle = self.turn_swing * self.turn_wave(frame) + self.spin * frame
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) * [size * stretch, size / stretch]
        return np.hstack([turn, self.path(frame)[:, None]])


class Sequence:
    """One rendered sequence; `render(frame)` gives its frames in any order."""

    def __init__(self, config: SyntheticConfig, index: int):
        """Draws everything that stays the same over the sequence (tens of milliseconds)."""
        self._seed = [_STREAMS[config.split], config.seed, index]
        rng = np.random.default_rng(self._seed)
        self.width, self.height = config.width, config.height
        canvas = round(_MARGIN * config.height), round(_MARGIN * config.width)
        self._background = make_background(rng, *canvas)
        self._draw_camera(rng)
        self._draw_actors(rng)
        self._draw_light(rng)
        self._noise = rng.uniform(0, 10) if rng.random() < 0.7 else 0.0
        self._exposure = rng.choice([0, 0, 0.3, 0.6, 1.0])  # share of the time between frames

    def _draw_camera(self, rng):
        speed = rng.choice([0.0, 0.5, 1.5, 3.0])
        reach = (_MARGIN - 1) / 2 * 0.8 * np.array([self.width, self.height])
        reach = reach if speed else np.zeros(2)
        self._pan = motion.draw_wander(rng, np.zeros(2), reach, speed)
        self._shake = motion.draw_wander(
            rng, np.zeros(2), np.full(2, rng.choice([0.0, 0.0, 1.0, 2.5])), 1.0
        )
        self._roll = motion.draw_wave(rng, 40, 150)
        self._roll_swing = rng.choice([0.0, 0.05, 0.12])
        self._zoom = motion.draw_wave(rng, 40, 150)
        self._zoom_swing = rng.choice([0.0, 0.06, 0.12])

    def _draw_actors(self, rng):
        size = math.exp(rng.uniform(math.log(28), math.log(72)))
        palette = None
        if rng.random() < 0.12:  # camouflage: the colours of the background
            pixels = self._background.reshape(-1, 3)
            palette = pixels[rng.integers(0, len(pixels), 4)].astype(np.float32)
        looks = [sprites.draw_look(rng, palette)]
        looks += [sprites.draw_look(rng) for _ in range(rng.choice([0, 0, 1, 2, 3]))]
        aspect = math.exp(rng.uniform(-0.9, 0.9))
        frame = np.array([self.width, self.height])
        speed = size * rng.uniform(0.05, 0.17)
        path = motion.draw_wander(rng, frame / 2, np.maximum(frame / 2 - 0.45 * size, 1), speed)
        target = self._draw_actor(rng, sprites.make_object(rng, looks, aspect), path, size)

        behind, front = [], []
        for _ in range(rng.integers(1, 4)):  # distractors
            similar = [sprites.similar_look(rng, look) for look in looks]
            own = motion.draw_wander(rng, frame / 2, frame / 2, speed)
            angle = rng.uniform(0, 2 * math.pi)
            away = size * rng.uniform(0.8, 1.6) * np.array([math.cos(angle), math.sin(angle)])
            near = motion.Encounter(
                own, path, away, rng.uniform(40, 120), rng.uniform(0, 120), rng.uniform(6, 14)
            )
            shape = sprites.make_object(rng, similar, aspect * math.exp(rng.uniform(-0.2, 0.2)))
            actor = self._draw_actor(rng, shape, near, size * rng.uniform(0.75, 1.25))
            (behind if rng.random() < 0.75 else front).append(actor)
        for _ in range(rng.integers(0, 4)):  # things that pass in front or behind
            shape = sprites.make_object(
                rng, [sprites.draw_look(rng)], math.exp(rng.uniform(-1.2, 1.2))
            )
            when = rng.uniform(5, 60)
            angle = rng.uniform(0, 2 * math.pi)
            velocity = rng.uniform(1, 6) * np.array([math.cos(angle), math.sin(angle)])
            passing = motion.Passing(path(when), when, velocity)
            actor = self._draw_actor(rng, shape, passing, size * rng.uniform(0.35, 0.85))
            (front if rng.random() < 0.7 else behind).append(actor)
        self._actors = [*behind, target, *front]
        self._target = len(behind)

    def _draw_actor(self, rng, shape, path, size):
        return Actor(
            shape=shape,
            path=path,
            size=size,
            size_wave=motion.draw_wave(rng, 40, 150),
            size_swing=rng.choice([0.05, 0.2, 0.35]),
            aspect_wave=motion.draw_wave(rng, 25, 100),
            aspect_swing=rng.choice([0.02, 0.1, 0.25]),
            turn_wave=motion.draw_wave(rng, 30, 120),
            turn_swing=rng.choice([0.05, 0.3, 0.8]),
            spin=rng.choice([0, 0, 0, 0.02, -0.04]),
        )

    def _draw_light(self, rng):
        self._gain = motion.draw_wave(rng, 15, 90)
        self._gain_swing = rng.choice([0.0, 0.15, 0.5])
        self._tint = motion.draw_wave(rng, 40, 150)
        self._tint_swing = rng.uniform(-0.12, 0.12, 3)
        self._gamma = math.exp(rng.uniform(-0.4, 0.4))

    def render(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The picture `[h, w, 3]` uint8 BGR and the true box `[4]` `_xywh` float32."""
        image = self._render_background(frame)
        shake = self._shake(frame)
        box = None
        for number, actor in enumerate(self._actors):
            mask, corner = self._draw(image, actor, frame, shake)
            if number == self._target:
                x, y, w, h = cv2.boundingRect((mask > 127).view(np.uint8))
                box = np.array([x + corner[0], y + corner[1], w, h], np.float32)
        return self._develop(image, frame), box

    def _render_background(self, frame):
        pan = self._pan(frame) + self._shake(frame)
        angle = self._roll_swing * self._roll(frame)
        zoom = math.exp(self._zoom_swing * self._zoom(frame))
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        height, width = self._background.shape[:2]
        middle = np.array([self.width, self.height]) / 2
        shift = middle + pan - turn @ (np.array([width, height]) / 2)
        return cv2.warpAffine(
            self._background,
            np.hstack([turn, shift[:, None]]),
            (self.width, self.height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )

    def _draw(self, image, actor, frame, shake):
        """Draws an actor into `image`; returns its coverage and where that patch lies."""
        matrix = actor.matrix(frame)
        matrix[:, 2] += shake
        placed = [
            (part, matrix @ np.vstack([sprites.swung(part, frame), [0, 0, 1]]))
            for part in actor.shape.parts
        ]
        # Half the extent of a map of [-1, 1]^2 is the sum of its columns' magnitudes.
        reach = [np.abs(m[:, :2]).sum(1) for _, m in placed]
        blur = self._blur(actor, frame)
        pad = 1 + (abs(blur).max() / 2 if blur is not None else 0)
        low = np.min([m[:, 2] - r for (_, m), r in zip(placed, reach, strict=True)], 0) - pad
        high = np.max([m[:, 2] + r for (_, m), r in zip(placed, reach, strict=True)], 0) + pad
        x0, y0 = (max(0, math.floor(v)) for v in low)
        x1, y1 = (
            min(limit, math.ceil(v) + 1)
            for v, limit in zip(high, (self.width, self.height), strict=True)
        )
        if x1 <= x0 or y1 <= y0:
            return np.zeros((1, 1), np.uint8), (0, 0)
        patch = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
        for part, m in placed:
            _over(patch, _warp(part.sprite, m, (x0, y0), (x1 - x0, y1 - y0)))
        mask = patch[..., 3]
        if blur is not None:
            patch = cv2.filter2D(patch, -1, _line(blur), borderType=cv2.BORDER_CONSTANT)
        _over(image[y0:y1, x0:x1], patch)
        return mask, (x0, y0)

    def _blur(self, actor, frame):
        """How far the actor moves while the shutter is open, `[2]` pixels; None if barely."""
        if self._exposure == 0:
            return None
        moved = self._exposure * (actor.path(frame + 0.5) - actor.path(frame - 0.5))
        return moved if np.hypot(*moved) >= 1.5 else None

    def _develop(self, image, frame):
        """Light, colour cast and sensor noise."""
        gain = math.exp(self._gain_swing * self._gain(frame))
        cast = 1 + self._tint_swing * self._tint(frame)
        ramp = (np.arange(256) / 255) ** self._gamma
        table = np.clip(255 * gain * ramp[:, None] * cast, 0, 255).round().astype(np.uint8)
        image = cv2.LUT(image, table.reshape(256, 1, 3))
        if self._noise:
            rng = np.random.default_rng([*self._seed, frame])
            y, x = rng.integers(0, _NOISE_SIDE - max(self.width, self.height), 2)
            grain = _noise_field()[y : y + self.height, x : x + self.width]
            scale = self._noise / 32
            image = cv2.addWeighted(image, 1, grain, scale, -128 * scale)
        return image


@functools.cache
def _noise_field():
    """Gaussian noise about 128 with deviation 32, cut from at random places."""
    noise = np.random.default_rng(0).normal(128, 32, (_NOISE_SIDE, _NOISE_SIDE, 3))
    return noise.clip(0, 255).astype(np.uint8)


def _warp(sprite, matrix, corner, size):
    """A sprite through `matrix` (from [-1, 1]^2 to the frame), cut out at `corner`."""
    extent = 2 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    level = min(len(sprite) - 1, max(0, int(math.log2(sprites.SIDE / max(extent, 1)))))
    side = sprite[level].shape[0]
    border = sprites.BORDER / 2**level
    half = (side - 2 * border) / 2
    scaled = matrix[:, :2] / half
    shift = matrix[:, 2] - corner - scaled @ np.full(2, (side - 1) / 2)
    return cv2.warpAffine(
        sprite[level], np.hstack([scaled, shift[:, None]]), size, flags=cv2.INTER_LINEAR
    )


def _over(below, above):
    """Lays a BGRA patch with alpha-multiplied colours over an image of 3 or 4 channels."""
    channels = below.shape[2]
    clear = cv2.merge([255 - above[..., 3]] * channels)
    cv2.multiply(below, clear, below, 1 / 255)
    below += above[..., :channels]


def _line(move):
    """A blur kernel: a straight stroke along `move` (pixels), summing to one."""
    reach = max(1, math.ceil(abs(move).max() / 2))
    kernel = np.zeros((2 * reach + 1,) * 2, np.uint8)
    ends = [tuple(int(v) for v in np.round((reach + s * move / 2) * 16)) for s in (-1, 1)]
    cv2.line(kernel, *ends, 255, 1, cv2.LINE_AA, shift=4)
    return kernel.astype(np.float32) / max(1, kernel.sum(dtype=np.int64))
