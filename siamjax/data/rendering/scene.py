"""A rendered sequence: a target among distractors and occluders over a moving background.

Every frame is a pure function of the configuration, the sequence index and the frame index.
The two splits use separate random streams.
"""

import dataclasses
import functools
import math
from typing import Any

import cv2
import numpy as np

from siamjax.config import SyntheticConfig
from siamjax.data.rendering import casts, motion, textures
from siamjax.data.rendering.actors import Actor
from siamjax.data.rendering.backgrounds import make_background

_STREAMS = {"train": 1, "test": 2}
_MARGIN = 1.5  # side of the background relative to the frame: room for camera motion
_TARGETS = 4  # attempts to find a visible target
_LOOKS = 5, 25, 45  # frames at which visibility is checked
_FINE = 75  # JPEG quality above which compression is invisible
_NOISE_SIDE = 1024


class Sequence:
    """One rendered sequence; `render(frame)` returns its frames in any order.

    Attributes:
        width, height: of a frame, pixels.
        category: category number of the target, -1 where unknown.
    """

    def __init__(self, config: SyntheticConfig, index: int):
        """Draws everything that is constant over the sequence (tens of milliseconds)."""
        self._config = config
        self._seed = [_STREAMS[config.split], config.seed, index]
        rng = np.random.default_rng(self._seed)
        self.width, self.height = config.width, config.height
        canvas = round(_MARGIN * config.height), round(_MARGIN * config.width)
        self._background = make_background(rng, config, *canvas)
        # photographs have JPEG artefacts, and what is pasted on them needs them too
        self._quality = int(rng.integers(25, 96)) if config.sprites or config.backgrounds else 0
        self._draw_camera(rng)
        self._draw_actors(rng)
        self._draw_light(rng)
        self._noise = rng.uniform(0, 7) if rng.random() < 0.7 else 0.0
        self._exposure = rng.choice(
            [0, 0, 0.25, 0.5, 0.8]
        )  # fraction of the time between frames

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
        cast: Any = casts.make_cast(self._config, self._background)
        manner = cast.manner
        frame = np.array([self.width, self.height])
        low = manner.sizes[0]
        high = min(manner.sizes[1], manner.largest * min(self.width, self.height))
        for _ in range(_TARGETS):
            role = cast.target(rng)
            swing = min(rng.choice(manner.size_swings), math.log(high / low) / 2)
            size = _log_uniform(rng, low * math.exp(swing), high * math.exp(-swing))
            speed = size * _log_uniform(rng, 0.035, 0.1)
            reach = np.maximum(frame / 2 - 0.45 * size, 1)
            path = motion.draw_wander(rng, frame / 2, reach, speed)
            target = _draw_actor(rng, manner, role, path, size, swing)
            if not manner.must_show or self._shows(target):
                break
        self.category = role.category

        behind, front = [], []
        for _ in range(1 + (rng.random() < 0.3)):  # distractors
            own = motion.draw_wander(rng, frame / 2, frame / 2, speed)
            away = size * rng.uniform(1.2, 2.2) * _direction(rng)
            near = motion.Encounter(
                own, path, away, rng.uniform(50, 150), rng.uniform(0, 150), rng.uniform(3, 7)
            )
            rival = cast.rival(rng, role)
            actor = _draw_actor(rng, manner, rival, near, size * rng.uniform(0.75, 1.25), 0.2)
            (behind if rng.random() < 0.85 else front).append(actor)
        for _ in range(
            rng.integers(0, manner.most_others + 1)
        ):  # objects that cross the target's path
            when = rng.uniform(5, 60)
            passing = motion.Passing(path(when), when, rng.uniform(1, 6) * _direction(rng))
            other = cast.other(rng, role)
            other_size = size * rng.uniform(0.3, manner.largest_other)
            actor = _draw_actor(rng, manner, other, passing, other_size, 0.05)
            (front if rng.random() < 0.6 else behind).append(actor)
        self._actors = [*behind, target, *front]
        self._target = len(behind)
        if manner.most_clutter:
            self._add_clutter(rng, cast, role)

    def _shows(self, target):
        """Whether most of a target differs from the background, in most of `_LOOKS`."""
        shown = 0
        least = 0.12 * (self._background.mean() + 30)
        for frame in _LOOKS:
            scene = self._render_background(frame)
            drawn = [scene.copy(), np.zeros_like(scene), np.full_like(scene, 255)]
            for image in drawn:
                x, y, w, h = target.draw(image, frame, self._shake(frame), exposure=0)
            over_scene, over_black, over_white, without = (
                image[y : y + h, x : x + w] for image in (*drawn, scene)
            )
            if w and h:
                covered = cv2.subtract(over_white, over_black)[..., 0] < 128
                differs = cv2.absdiff(over_scene, without).max(-1) > least
                shown += (covered & differs).sum() > 0.7 * covered.sum()
        return shown > len(_LOOKS) / 2

    def _add_clutter(self, rng, cast, target):
        """Draws static objects into the background."""
        height, width = self._background.shape[:2]
        for _ in range(rng.integers(cast.manner.most_clutter + 1)):
            place = rng.uniform(0, 1, 2) * [width, height]
            here = motion.Passing(place, 0, np.zeros(2))
            size = _log_uniform(rng, *cast.manner.sizes)
            actor = _draw_actor(rng, cast.manner, cast.other(rng, target), here, size, 0.0)
            actor.draw(self._background, 0, np.zeros(2), exposure=0)

    def _draw_light(self, rng):
        self._gain = motion.draw_wave(rng, 15, 90)
        # photographs are well exposed already: more gain would saturate
        self._gain_swing = rng.choice([0.0, 0.1, 0.25] if self._quality else [0.0, 0.15, 0.4])
        self._tint = motion.draw_wave(rng, 40, 150)
        self._tint_swing = rng.uniform(-0.12, 0.12, 3)
        self._gamma = math.exp(rng.uniform(-0.3, 0.3))
        self._softness = rng.uniform(0.4, 1.1) if rng.random() < 0.4 else 0.0
        self._grayness = rng.uniform(0.3, 1.0) if rng.random() < 0.15 else 0.0
        self._shadow = None
        brightness = self._background.mean() + 5
        if rng.random() < 0.35:
            height, width = self._background.shape[:2]
            light = textures.fractal_noise(rng, height, width, height * rng.uniform(0.3, 1.0))
            light = np.clip((light - 0.5) * rng.choice([2.0, 8.0]) + 0.5, 0, 1)
            depth = rng.uniform(0.3, 0.7)
            gray = ((1 - depth * light) * 255).astype(np.uint8)
            self._shadow = cv2.merge([gray] * 3)
            reach = np.array([width - self.width, height - self.height]) / 2
            brightness *= gray.mean() / 255
            self._shadow_path = motion.draw_wander(rng, reach, reach, rng.uniform(0, 3))
        # partial auto-exposure: dark scenes are brightened, bright ones dimmed
        level = rng.uniform(60, 170) / brightness
        self._level = float(np.clip(level, 0.6, 3)) ** 0.7

    def render(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The image `[h, w, 3]` uint8 BGR and the ground-truth box `[4]` `_xywh` float32."""
        image = self._render_background(frame)
        shake = self._shake(frame)
        box = np.full(4, np.nan, np.float32)  # the target is always among the actors
        for number, actor in enumerate(self._actors):
            covered = actor.draw(image, frame, shake, self._exposure)
            if number == self._target:
                box = np.array(covered, np.float32)
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

    def _develop(self, image, frame):
        """Applies shadows, defocus, exposure, colour cast, sensor noise and compression."""
        if self._shadow is not None:
            x, y = (int(v) for v in self._shadow_path(frame))
            cv2.multiply(
                image, self._shadow[y : y + self.height, x : x + self.width], image, 1 / 255
            )
        if self._softness:
            image = cv2.GaussianBlur(image, (5, 5), self._softness)
        if self._grayness:
            gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            image = cv2.addWeighted(image, 1 - self._grayness, gray, self._grayness, 0)
        gain = self._level * math.exp(self._gain_swing * self._gain(frame))
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
        if self._quality and self._quality < _FINE:
            _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        return image


def _draw_actor(rng, manner, role, path, size, size_swing):
    actor = Actor(
        parts=role.build(rng),
        aspect=role.aspect,
        path=path,
        size=size,
        size_wave=motion.draw_wave(rng, 40, 150, manner.size_terms),
        size_swing=size_swing,
        aspect_wave=motion.draw_wave(rng, 25, 100),
        aspect_swing=rng.choice(manner.aspect_swings),
        turn_wave=motion.draw_wave(rng, 30, 120),
        turn_swing=rng.choice(manner.turn_swings),
        spin=rng.choice(manner.spins),
        region=role.region,
    )
    if role.region is None:
        return actor
    # axis-aligned boxes are exact only for a part that hardly rotates
    return dataclasses.replace(actor, turn_swing=min(actor.turn_swing, 0.08), spin=0)


def _log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _direction(rng):
    angle = rng.uniform(0, 2 * math.pi)
    return np.array([math.cos(angle), math.sin(angle)])


@functools.cache
def _noise_field():
    """Gaussian noise, mean 128 and standard deviation 32, from which frames take crops."""
    noise = np.random.default_rng(0).normal(128, 32, (_NOISE_SIDE, _NOISE_SIDE, 3))
    return noise.clip(0, 255).astype(np.uint8)
