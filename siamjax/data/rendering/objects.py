"""Drawn objects: one sprite, or several that are attached and swing against each other.

Object coordinates are a square of side 2 about the origin, x to the right and y down.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from siamjax.data.rendering import sprites
from siamjax.data.rendering.sprites import Look


class Part(NamedTuple):
    """One sprite of an object, and where it is attached."""

    sprite: list[np.ndarray]
    offset: np.ndarray  # [2] its centre
    size: np.ndarray  # [2] its half width and half height
    swing: float  # amplitude of its rotation, radians
    period: float  # of the swing, frames
    phase: float

    def at(self, frame: float) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """The sprite at a frame, and its `matrix`."""
        return self.sprite, self.matrix(frame)

    def matrix(self, frame: float) -> np.ndarray:
        """The `[2, 3]` map from the sprite's square [-1, 1]^2 to the object's at a frame."""
        angle = self.swing * np.sin(2 * np.pi * frame / self.period + self.phase)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]]) * self.size
        return np.hstack([turn, self.offset[:, None]])


class Limb(NamedTuple):
    """A part of a design: the index of its look, its place, and its own shape if it has one."""

    look: int
    offset: tuple[float, float]
    size: tuple[float, float]
    shape: str | None = None
    swing: float = 0.0


class Design(NamedTuple):
    """The parameters of an object's appearance; one plan with similar looks looks alike."""

    looks: tuple[Look, ...]
    limbs: tuple[Limb, ...]  # from back to front
    aspect: float  # width / height


_FIGURE = (  # upright: legs, trunk, arm, head
    Limb(1, (-0.4, 0.55), (0.4, 0.45), "capsule", 0.3),
    Limb(1, (0.4, 0.55), (0.4, 0.45), "capsule", -0.3),
    Limb(0, (0, -0.15), (0.95, 0.45)),
    Limb(2, (0.2, -0.1), (0.3, 0.38), "capsule", 0.5),
    Limb(3, (0, -0.78), (0.55, 0.22), "ellipse", 0.1),
)
_VEHICLE = (  # cabin, body, window, wheels
    Limb(0, (-0.1, -0.45), (0.62, 0.5), "box"),
    Limb(0, (0, 0.15), (1, 0.5)),
    Limb(1, (-0.1, -0.5), (0.4, 0.25), "box"),
    Limb(2, (-0.58, 0.65), (0.22, 0.35), "ellipse"),
    Limb(2, (0.58, 0.65), (0.22, 0.35), "ellipse"),
)
_FACE = (  # hair, head, eyes, mouth
    Limb(1, (0, -0.35), (0.95, 0.65)),
    Limb(0, (0, 0.1), (0.8, 0.9), "ellipse"),
    Limb(2, (-0.35, -0.1), (0.17, 0.1), "ellipse"),
    Limb(2, (0.35, -0.1), (0.17, 0.1), "ellipse"),
    Limb(3, (0, 0.55), (0.3, 0.08), "ellipse", 0.1),
)
_PLANS = {"figure": (_FIGURE, 0.45), "vehicle": (_VEHICLE, 1.9), "face": (_FACE, 0.8)}


# The kinds of objects: a body plan, or the shape of the body.
CATEGORIES = (*sprites.SHAPES, *_PLANS)


def category_of(design: Design) -> int:
    """The index of the design's kind in `CATEGORIES`."""
    for plan, (limbs, _) in _PLANS.items():
        if design.limbs is limbs:
            return CATEGORIES.index(plan)
    return CATEGORIES.index(design.looks[0].shape)


def draw_design(rng: np.random.Generator, palette: np.ndarray | None = None) -> Design:
    """A random design: one shape, a shape with limbs, or one of the body plans."""
    body = sprites.draw_look(rng, palette)
    plan = str(rng.choice(["single", "limbs", *_PLANS], p=[0.35, 0.3, 0.15, 0.1, 0.1]))
    if plan in _PLANS:
        limbs, aspect = _PLANS[plan]
        looks = [body, *(sprites.draw_look(rng) for _ in range(3))]
        return Design(tuple(looks), limbs, aspect * np.exp(rng.uniform(-0.25, 0.25)))
    looks, limbs = [body], [Limb(0, (0, 0), (1, 1))]
    for number in range(1, 1 if plan == "single" else int(rng.integers(2, 5))):
        looks.append(sprites.draw_look(rng))
        place, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1)
        limb = Limb(
            number,
            (reach * np.cos(place), reach * np.sin(place)),
            tuple(rng.uniform(0.2, 0.6, 2)),
            swing=rng.uniform(0, 0.7),
        )
        limbs.insert(len(limbs) if rng.random() < 0.5 else 0, limb)
    return Design(tuple(looks), tuple(limbs), np.exp(rng.uniform(-0.9, 0.9)))


def similar_design(rng: np.random.Generator, design: Design) -> Design:
    """Another object of the same kind."""
    return design._replace(
        looks=tuple(sprites.similar_look(rng, look) for look in design.looks),
        aspect=design.aspect * np.exp(rng.uniform(-0.2, 0.2)),
    )


def build_object(rng: np.random.Generator, design: Design) -> tuple[Part, ...]:
    """Renders the parts, from back to front; limbs of one look and shape share a sprite."""
    made: dict[tuple[int, str | None], list[np.ndarray]] = {}
    period, phase = rng.uniform(8, 40), rng.uniform(0, 2 * np.pi)
    parts = []
    for limb in design.limbs:
        key = limb.look, limb.shape
        if key not in made:
            look = design.looks[limb.look]
            made[key] = sprites.make_sprite(
                look if limb.shape is None else look._replace(shape=limb.shape)
            )
        offset, size = np.array(limb.offset, float), np.array(limb.size, float)
        parts.append(Part(made[key], offset, size, limb.swing, period, phase))
    return tuple(parts)
