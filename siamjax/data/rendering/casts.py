"""The objects of a scene, drawn or photographed: target, distractors and others.

A cast draws roles: a `target` that is visible on the background, a `rival` of its kind, any
`other`. A role is what an actor is made of: its `category` (equal numbers mean the same kind;
-1 where unknown), its `aspect`, the `region` `[4]` _xyxy of its square of side 2 that is the
target (None for all of it), and `build`, which makes its parts from back to front.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from siamjax.config import SyntheticConfig
from siamjax.data.formats.cutting import category_number
from siamjax.data.rendering import motion, objects, photographs, sprites
from siamjax.data.rendering.actors import Part
from siamjax.data.rendering.photographs import SpriteFile, View

_TRIES = 8  # to find a suitable object, before the last one is taken
_TOO_ALIKE = 0.7  # intersection of colour histograms at which objects cannot be told apart
_CROWD = 16  # minimum size of a category; in smaller ones, "another object" is often the same
_COVERED = 0.9  # minimum opaque fraction of a part of an object
_THIN = 0.05  # of the root of the box area: thinner structures are no body
_BODY = 0.7  # minimum fraction of the box that the body fills
_PART_SIDES = 0.25, 0.6  # of a part, relative to the object's


class Manner(NamedTuple):
    """Distributions of the actors' parameters; tuples of choices are equally likely."""

    sizes: tuple[float, float]  # range of a target, square root of its area, pixels
    largest: float  # maximum, as a fraction of the frame's shorter side
    must_show: bool  # whether a target that blends into the background is redrawn
    size_swings: tuple[float, ...]  # log of the largest change
    size_terms: int  # sines that make up the change; with fewer it comes closer to the largest
    aspect_swings: tuple[float, ...]
    turn_swings: tuple[float, ...]  # radians
    spins: tuple[float, ...]  # radians per frame
    most_others: int  # maximum number of objects that cross the target's path
    largest_other: float  # their maximum size, relative to the target
    most_clutter: int  # maximum number of static objects in the background


class DrawnRole(NamedTuple):
    """A drawn object."""

    design: objects.Design
    region: None = None

    @property
    def category(self) -> int:
        """The index of its kind in `objects.CATEGORIES`."""
        return objects.category_of(self.design)

    @property
    def aspect(self) -> float:
        """Width / height at rest."""
        return self.design.aspect

    def build(self, rng: np.random.Generator) -> tuple[Part, ...]:
        """Its limbs and body."""
        return objects.build_object(rng, self.design)


class DrawnCast:
    """Drawn objects of textured shapes; needs no files."""

    manner = Manner(
        sizes=(24.0, 90.0),
        largest=0.55,
        must_show=False,
        size_swings=(0.05, 0.15, 0.25),
        size_terms=3,
        aspect_swings=(0.02, 0.06, 0.14),
        turn_swings=(0.05, 0.05, 0.15, 0.4),
        spins=(0, 0, 0, 0, 0.01, -0.015),
        most_others=1,
        largest_other=0.7,
        most_clutter=0,
    )

    def __init__(self, background: np.ndarray):
        self._background = background

    def target(self, rng: np.random.Generator) -> DrawnRole:
        """A target whose colours vary or differ from the scene's mean."""
        palette = None
        if rng.random() < 0.05:  # camouflage: the colours of the background
            pixels = self._background.reshape(-1, 3)
            palette = pixels[rng.integers(0, len(pixels), 4)].astype(np.float32)
        scene = self._background.mean((0, 1))
        for _ in range(_TRIES):
            design = objects.draw_design(rng, palette)
            colors = design.looks[0].palette
            if abs(colors.mean(0) - scene).max() + colors.std(0).max() > 60:
                break
            palette = None
        return DrawnRole(design)

    def rival(self, rng: np.random.Generator, target: DrawnRole) -> DrawnRole:
        """Always of the target's kind."""
        return DrawnRole(objects.similar_design(rng, target.design))

    def other(self, rng: np.random.Generator, target: DrawnRole) -> DrawnRole:
        """A new object."""
        return DrawnRole(objects.draw_design(rng))


class Views(NamedTuple):
    """A photographed object that shows one view at a time."""

    views: Sequence[tuple[tuple[np.ndarray, ...], np.ndarray]]  # pyramids and their maps
    turning: motion.Turning
    gain: tuple[float, float, float]  # of its colours, BGR

    def at(self, frame: float) -> tuple[list[np.ndarray], np.ndarray]:
        """The view at a frame, with the scene's illumination."""
        levels, matrix = self.views[self.turning(frame)]
        # OpenCV's stubs know no scalars
        lit = [cv2.multiply(v, (*self.gain, 1.0)) for v in levels]  # ty: ignore[no-matching-overload]
        # premultiplied colours never exceed alpha
        return [cv2.min(v, cv2.merge([v[..., 3]] * 4)) for v in lit], matrix


class Shelf:
    """The sprites of a split, by kind and by category."""

    def __init__(self, files: Iterable[SpriteFile]):
        self._kinds: dict[str, list[SpriteFile]] = {}
        self.alike: dict[str, list[SpriteFile]] = {}
        for sprite in files:
            self._kinds.setdefault(sprite.kind, []).append(sprite)
            self.alike.setdefault(sprite.category, []).append(sprite)

    def draw(self, rng: np.random.Generator) -> SpriteFile:
        """A random sprite, all kinds equally likely."""
        some = list(self._kinds.values())[rng.integers(len(self._kinds))]
        return some[rng.integers(len(some))]

    def number(self, sprite: SpriteFile) -> int:
        """Its category number, the same in every set; -1 for small categories."""
        category = sprite.category
        return category_number(category) if len(self.alike[category]) >= _CROWD else -1


class PhotographedRole(NamedTuple):
    """An object from a file."""

    sprite: SpriteFile
    views: Sequence[View]
    aspect: float
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of its colours, BGR
    is_mirrored: bool = False
    category: int = -1
    part_xyxy: np.ndarray | None = None  # [4] pixels of the first view's cell

    @property
    def region(self) -> np.ndarray | None:
        """The part that is the target, about its own centre."""
        if self.part_xyxy is None:
            return None
        half = (self.part_xyxy[2:] - self.part_xyxy[:2]) / 2 / self._unit
        return np.concatenate([-half, half])

    @property
    def _unit(self):
        """Scale: half the square root of the mean area, pixels of the cell."""
        boxes = [v.box_xyxy for v in self.views] if self.part_xyxy is None else [self.part_xyxy]
        areas = [np.prod(box[2:] - box[:2]) for box in boxes]
        return np.sqrt(np.exp(np.mean(np.log(areas)))) / 2

    def build(self, rng: np.random.Generator) -> tuple[Part, ...]:
        """Its views, shown in turn."""
        origin = 0 if self.part_xyxy is None else self.part_xyxy.reshape(2, 2).mean(0)
        flip = np.array([[-1.0 if self.is_mirrored else 1.0], [1.0]])
        placed = [
            (v.levels, flip * np.hstack([np.diag(v.half), (v.middle - origin)[:, None]]) / unit)
            for unit in [self._unit]
            for v in self.views
        ]
        return (Views(placed, motion.draw_turning(rng, len(placed)), self.gain),)


class PhotographedCast:
    """Objects from the user's folders of photographs, all kinds equally likely."""

    manner = Manner(
        sizes=(20.0, 140.0),
        largest=0.4,
        must_show=True,
        size_swings=(0.05, 0.15, 0.25, 0.25, 0.6, 0.7),
        size_terms=1,
        aspect_swings=(0.02, 0.08, 0.16, 0.25),
        turn_swings=(0.03, 0.05, 0.15, 0.4),
        spins=(0, 0, 0, 0, 0, 0, 0.01, -0.015),
        most_others=2,
        largest_other=0.9,
        most_clutter=4,
    )

    def __init__(self, shelf: Shelf, part_prob: float, background: np.ndarray):
        self._shelf, self._part_prob = shelf, part_prob
        self._scene = np.array(cv2.mean(background)[:3])

    def target(self, rng: np.random.Generator) -> PhotographedRole:
        """A target that stands out and fills its box; sometimes a part of an object."""
        as_part = rng.random() < self._part_prob
        for _ in range(_TRIES):
            role = self._role(rng, self._shelf.draw(rng))
            if as_part:
                role = _part_of(rng, role)
            colors = _colors(role)
            stands_out = abs(colors.mean(0) - self._scene).max() + colors.std(0).max() > 50
            as_wanted = as_part == (role.part_xyxy is not None)
            if stands_out and as_wanted and (as_part or _is_compact(role)):
                break
        return role

    def rival(self, rng: np.random.Generator, target: PhotographedRole) -> PhotographedRole:
        """Two times out of three another object of the target's category, else any object."""
        alike = self._shelf.alike[target.sprite.category]
        return self._unlike(rng, target, alike if rng.random() < 2 / 3 else ())

    def other(self, rng: np.random.Generator, target: PhotographedRole) -> PhotographedRole:
        """Any object that can be told from the target."""
        return self._unlike(rng, target, ())

    def _unlike(self, rng, target, preferred):
        """Another object that differs from the target, from `preferred` if possible."""
        own = _histogram(target)
        for attempt in range(2 * _TRIES):
            if attempt < _TRIES and len(preferred) > 1:
                sprite = preferred[rng.integers(len(preferred))]
            else:
                sprite = self._shelf.draw(rng)
            role = self._role(rng, sprite)
            if sprite.path != target.sprite.path and (
                np.minimum(own, _histogram(role)).sum() < _TOO_ALIKE
            ):
                return role
        # all objects look alike: at least another view, mirrored
        return role._replace(
            views=role.views[::-1], is_mirrored=not target.is_mirrored, part_xyxy=None
        )

    def _role(self, rng, sprite):
        views = photographs.read_views(sprite)
        stretch = rng.uniform(-0.25, 0.25)
        x0, y0, x1, y1 = views[0].box_xyxy
        if x1 - x0 < 0.9 * (y1 - y0) and rng.random() < 0.6:
            stretch -= rng.uniform(0.2, 0.7)  # upright objects are often thin, such as people
        plain = PhotographedRole(sprite, views, float(np.exp(stretch)))
        toward = (self._scene.mean() + 5) / (_colors(plain).mean() + 5)
        gain = toward ** rng.uniform(0, 0.4) * np.exp(rng.normal(0, [0.12] + 3 * [0.04]))
        return plain._replace(
            gain=tuple(np.clip(gain[0] * gain[1:], 0.5, 1.8).tolist()),
            is_mirrored=bool(rng.random() < 0.5),
            category=self._shelf.number(sprite),
        )


def make_cast(config: SyntheticConfig, background: np.ndarray) -> DrawnCast | PhotographedCast:
    """The cast of a scene before `background` `[h, w, 3]` uint8 BGR.

    Raises `InputError` for folders of sprites that cannot be used.
    """
    if not config.sprites:
        return DrawnCast(background)
    files = [f for s in config.sprites for f in photographs.list_sprites(s, config.split)]
    return PhotographedCast(Shelf(files), config.part_prob, background)


def _part_of(rng, role):
    """A rectangular part of one view: nearly opaque, and the one with the most detail."""
    view = role.views[rng.integers(len(role.views))]
    image = view.levels[0]
    solid = cv2.integral((image[..., 3] > 127).astype(np.uint8))
    gray = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)
    left, top, width, height = cv2.boundingRect((image[..., 3] > 127).view(np.uint8))
    best, most = None, 4.0
    for _ in range(4 * _TRIES):
        w, h = np.maximum(4, rng.uniform(*_PART_SIDES, 2) * [width, height]).astype(int)
        if w > width or h > height:
            continue
        x, y = left + rng.integers(width - w + 1), top + rng.integers(height - h + 1)
        covered = solid[y + h, x + w] - solid[y, x + w] - solid[y + h, x] + solid[y, x]
        detail = gray[y : y + h, x : x + w].std()
        if covered >= _COVERED * w * h and detail > most:
            best, most = (x, y, x + w, y + h), detail
    if best is None:
        return role
    sides = np.array(image.shape[1::-1]) - 2 * sprites.BORDER
    place = (np.array(best).reshape(2, 2) - sprites.BORDER) / sides * 2 - 1
    corners = view.middle + place * view.half
    return role._replace(views=(view,), part_xyxy=corners.reshape(4), category=-1)


def _is_compact(role):
    """Whether the body fills most of the box, without long thin ends."""
    shares = []
    for view in role.views[:: max(1, len(role.views) // 3)]:
        opaque = (view.levels[0][..., 3] > 127).view(np.uint8)
        _, _, width, height = cv2.boundingRect(opaque)
        thin = max(3, round(_THIN * np.sqrt(width * height)))
        body = cv2.morphologyEx(opaque, cv2.MORPH_OPEN, np.ones((thin, thin), np.uint8))
        _, _, w, h = cv2.boundingRect(body)
        shares.append(w * h / (width * height))
    return np.mean(shares) > _BODY


def _colors(role):
    """Colours `[n, 3]` of the first view's opaque pixels, with the scene's illumination."""
    coarse = role.views[0].levels[-1]
    opaque = coarse[coarse[..., 3] > 200][:, :3]
    shown = opaque if len(opaque) else coarse[..., :3].reshape(-1, 3)
    return np.minimum(shown * np.array(role.gain), 255)


def _histogram(role):
    """Normalised histogram of 64 colours over the first, a middle and the last view."""
    total = np.zeros(64)
    for number in {0, len(role.views) // 2, len(role.views) - 1}:
        coarse = role.views[number].levels[min(1, len(role.views[number].levels) - 1)]
        bins = (coarse[coarse[..., 3] > 200][:, :3] >> 6) @ np.array([16, 4, 1])
        total += np.bincount(bins, minlength=64)
    return total / max(1, total.sum())
