"""Sprites: textured shapes with soft edges.

A sprite is a pyramid of square BGRA images with premultiplied alpha; the silhouette fills the
square except for a thin border.
"""

from typing import NamedTuple

import cv2
import numpy as np

from siamjax.data.rendering import textures

SIDE = 96  # pixels of a sprite's finest level
BORDER = 3  # transparent pixels around the silhouette
SHAPES = ("ellipse", "box", "polygon", "star", "blob", "flower", "capsule", "cross", "union")


def outline(rng: np.random.Generator, shape: str) -> list[np.ndarray]:
    """Closed outlines `[n, 2]` about the origin, of any size, whose union is the shape."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    if shape == "union":
        kinds = rng.choice([s for s in SHAPES if s != "union"], rng.integers(2, 5))
        return [
            part * rng.uniform(0.35, 0.9, 2) + rng.uniform(-0.6, 0.6, 2)
            for kind in kinds
            for part in outline(rng, str(kind))
        ]
    if shape == "ellipse":
        radius = np.ones_like(angle)
    elif shape == "box":  # a superellipse: from round to square
        power = rng.uniform(3, 12)
        radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (
            -1 / power
        )
    elif shape == "polygon":
        corners = int(rng.integers(3, 8))
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        angle = angle + rng.uniform(-0.8, 0.8, corners) / corners
        radius = rng.uniform(0.7, 1, corners)
    elif shape == "star":
        points = int(rng.integers(4, 9))
        angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False)
        radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.4, 0.75), 1.0)
    elif shape == "flower":
        radius = 1 + rng.uniform(0.1, 0.35) * np.cos(rng.integers(3, 8) * angle)
    elif shape == "blob":
        radius = 1 + sum(
            rng.uniform(0, 0.6 / k) * np.cos(k * angle + rng.uniform(0, 7)) for k in range(2, 7)
        )
    elif shape == "capsule":
        half = rng.uniform(0.4, 1.5)
        x, y = np.cos(angle), np.sin(angle)
        return [np.stack([x, y + half * np.sign(y)], -1)]
    else:  # cross
        arm = rng.uniform(0.2, 0.55)
        bar = np.array([[-1, -arm], [1, -arm], [1, arm], [-1, arm]])
        return [bar, bar[:, ::-1]]
    return [np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)]


def silhouette(outlines: list[np.ndarray]) -> np.ndarray:
    """The union of outlines as `[SIDE, SIDE]` uint8 coverage, filling all but the border."""
    points = np.concatenate(outlines)
    low, high = points.min(0), points.max(0)
    # drawn four times as large and averaged, for anti-aliasing
    large = 4 * SIDE
    mask = np.zeros((large, large), np.uint8)
    for part in outlines:
        place = (part - low) / (high - low) * (SIDE - 2 * BORDER) + BORDER
        cv2.fillPoly(mask, [np.round(place * 4 * 16).astype(np.int32)], 255, shift=4)
    return cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


class Look(NamedTuple):
    """The parameters of a sprite's appearance; looks that share fields look alike."""

    shape: str
    shape_seed: int
    kind: str  # of the texture
    texture_seed: int
    period: float  # of the texture, pixels of the sprite
    palette: np.ndarray  # [n, 3] BGR
    marks: int  # letters and lines drawn on top
    shading: float  # strength of the shading
    rim: int  # width of a contour in another colour, pixels; 0 for none


def draw_look(rng: np.random.Generator, palette: np.ndarray | None = None) -> Look:
    """A random look, with a random palette unless one is given."""
    return Look(
        shape=str(rng.choice(SHAPES)),
        shape_seed=int(rng.integers(2**31)),
        kind=textures.draw_kind(rng),
        texture_seed=int(rng.integers(2**31)),
        period=float(SIDE * np.exp(rng.uniform(np.log(0.12), np.log(0.8)))),
        palette=textures.draw_palette(rng, int(rng.integers(2, 6)))
        if palette is None
        else palette,
        marks=int(rng.choice([0, 0, 1, 2, 4])),
        shading=float(rng.uniform(0, 0.6)),
        rim=int(rng.choice([0, 0, 0, 1, 3])),
    )


def similar_look(rng: np.random.Generator, look: Look) -> Look:
    """A similar look: other colours, another shape, or small changes of both."""
    palette = look.palette + rng.normal(0, 12, look.palette.shape)
    changed: dict = {}
    match rng.integers(3):
        case 0:  # the same shape in other colours
            palette = textures.draw_palette(rng, len(look.palette))
        case 1:  # the same colours on another shape
            changed = {"shape": str(rng.choice(SHAPES)), "shape_seed": int(rng.integers(2**31))}
        case _:  # another individual of the same species
            changed = {"shape_seed": int(rng.integers(2**31))}
    return look._replace(
        palette=palette.clip(0, 255).astype(np.float32),
        texture_seed=int(rng.integers(2**31)),
        **changed,
    )


def make_sprite(look: Look) -> list[np.ndarray]:
    """Renders a look: `[s, s, 4]` uint8 BGRA, premultiplied, s = SIDE, SIDE/2 ..."""
    alpha = silhouette(outline(np.random.default_rng(look.shape_seed), look.shape))
    rng = np.random.default_rng(look.texture_seed)
    image = textures.texture(rng, SIDE, SIDE, look.palette, look.kind, look.period)
    for _ in range(look.marks):
        _draw_mark(rng, image, look.palette[rng.integers(len(look.palette))])
    if look.rim:
        inner = cv2.erode(alpha, np.ones((2 * look.rim + 1,) * 2, np.uint8))
        color = look.palette[rng.integers(len(look.palette))] * rng.uniform(0.2, 1.0)
        image[inner < 128] = color
    shaded = image * _shade(rng, alpha, look.shading)[..., None]
    color = np.clip(shaded, 0, 255) * (alpha[..., None] / np.float32(255))
    levels = [np.dstack([color.round().astype(np.uint8), alpha])]
    while len(levels) < 3:
        half = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (half, half), interpolation=cv2.INTER_AREA))
    return levels


def _draw_mark(rng, image, color):
    start, end = (tuple(int(v) for v in rng.integers(0, SIDE, 2)) for _ in range(2))
    color = tuple(float(c) for c in 255 - color)
    match rng.integers(3):
        case 0:
            cv2.line(image, start, end, color, int(rng.integers(2, 9)), cv2.LINE_AA)
        case 1:
            letter = chr(rng.integers(ord("0"), ord("Z") + 1))
            place = (start[0] // 2, SIDE - end[1] // 2)
            cv2.putText(
                image, letter, place, cv2.FONT_HERSHEY_DUPLEX, rng.uniform(1, 3), color, 4
            )
        case _:
            radius = int(rng.integers(3, SIDE // 4))
            thick = int(rng.choice([-1, 3]))
            cv2.circle(image, start, radius, color, thick, cv2.LINE_AA)


def _shade(rng, alpha, strength):
    """Brightness [SIDE, SIDE]: a gradient, half of the time darker towards the contour."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 + strength * (np.cos(angle) * x + np.sin(angle) * y)
    if rng.random() < 0.5:
        depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
        slope = slope * (1 - strength + strength * np.sqrt(np.minimum(1, depth / (SIDE / 4))))
    return slope
