"""Procedural textures: patterns in [0, 1], coloured by a palette."""

import cv2
import numpy as np

# The patterns and their frequencies: natural textures are more common than regular ones.
KINDS = ("noise", "ridges", "patches", "plain", "stripes", "bricks", "dots", "checks", "rings")
_SHARES = (0.3, 0.13, 0.14, 0.09, 0.1, 0.07, 0.07, 0.06, 0.04)
_VIVIDNESS = ((1.2, 5.0), (2.0, 2.5), (4.0, 1.5))  # of the saturation: beta distributions


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cell: float, persistence: float = 0.5
) -> np.ndarray:
    """Smooth noise of several octaves, `[height, width]` float32 in [0, 1].

    `cell` is the cell size of the coarsest grid, pixels; each octave halves it and scales the
    amplitude by `persistence`.
    """
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    while True:
        rows, columns = max(2, int(height / cell) + 2), max(2, int(width / cell) + 2)
        grid = rng.random((rows, columns), np.float32)
        total += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cell, strength = cell / 2, strength * persistence
        if cell < 2 or strength < 0.05:
            # OpenCV's stubs want an array for the result
            return cv2.normalize(total, None, 0, 1, cv2.NORM_MINMAX)  # ty: ignore[no-matching-overload]


def pattern(
    rng: np.random.Generator, height: int, width: int, kind: str, period: float
) -> np.ndarray:
    """One of `KINDS` as `[height, width]` float32 in [0, 1]; `period` in pixels."""
    if kind == "plain":
        return np.full((height, width), 0.5, np.float32)
    if kind in ("noise", "ridges"):
        field = fractal_noise(rng, height, width, 2 * period, rng.uniform(0.35, 0.75))
        return np.abs(2 * field - 1) if kind == "ridges" else field
    if kind == "patches":
        return _patches(rng, height, width, period)
    u, v = _coordinates(rng, height, width, period)
    if kind == "stripes":
        return _edge(rng, np.sin(u))
    if kind == "checks":
        return _edge(rng, np.sin(u) * np.sin(v))
    if kind == "dots":
        return _edge(rng, np.sin(u) * np.sin(v) - rng.uniform(0.1, 0.6))
    if kind == "rings":
        center = rng.uniform(-np.pi, np.pi, 2)
        return _edge(rng, np.sin(np.hypot(u - center[0], v - center[1])))
    # bricks: every other row is shifted by half a brick
    row = np.floor(v / np.pi)
    joint = np.minimum(np.abs(np.sin(v)), np.abs(np.sin(u / 2 + np.pi / 2 * (row % 2))))
    return np.clip(joint * rng.uniform(2, 8), 0, 1).astype(np.float32)


def _coordinates(rng, height, width, period):
    """Phases along two rotated axes, radians, half of the time distorted by noise."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(2 * np.pi / period)
    u = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(0, 2 * np.pi)
    v = np.cos(angle) * y - np.sin(angle) * x + rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        bend = rng.uniform(1, 5)
        u += bend * fractal_noise(rng, height, width, 4 * period)
        v += bend * fractal_noise(rng, height, width, 4 * period)
    return u.astype(np.float32), v.astype(np.float32)


def _edge(rng, wave):
    """A wave in [-1, 1] as bands in [0, 1] with soft to hard edges."""
    return np.clip(0.5 + wave * rng.choice([0.5, 1.5, 6.0]), 0, 1).astype(np.float32)


def _patches(rng, height, width, period):
    """Voronoi cells of random points, each of one value."""
    count = max(3, int(height * width / period**2))
    seeds = np.full((height, width), 255, np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    return rng.random(labels.max() + 1, np.float32)[labels]


def draw_kind(rng: np.random.Generator) -> str:
    """One of `KINDS` at random."""
    return KINDS[rng.choice(len(KINDS), p=_SHARES)]


def draw_palette(rng: np.random.Generator, count: int = 4) -> np.ndarray:
    """`count` colours that harmonise, `[count, 3]` float32 BGR 0..255.

    From nearly grey to vivid, mostly muted, as in real scenes.
    """
    spread = float(rng.choice([6, 20, 90]))  # OpenCV's hue, 0..180: one, neighbours, any
    hue = rng.uniform(0, 180) + rng.uniform(-spread, spread, count)
    vividness = _VIVIDNESS[rng.choice(3, p=[0.45, 0.35, 0.2])]
    saturation = 255 * rng.beta(*vividness, count)
    low = rng.uniform(0.03, 0.65)
    value = 255 * np.clip(rng.uniform(low, low + rng.uniform(0.25, 0.6), count), 0, 1)
    hsv = np.stack([hue % 180, saturation, value], -1).astype(np.uint8)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0].astype(np.float32)


def colorize(field: np.ndarray, palette: np.ndarray, hard: bool) -> np.ndarray:
    """A pattern in [0, 1] as `[h, w, 3]` uint8: interpolated along the palette, or in steps."""
    place = np.linspace(0, len(palette) - 1, 256)
    if hard:
        table = palette[np.round(place).astype(int)]
    else:
        table = np.stack(
            [np.interp(place, range(len(palette)), palette[:, c]) for c in range(3)], -1
        )
    index = cv2.convertScaleAbs(field, alpha=255)
    return cv2.LUT(cv2.merge([index] * 3), table.astype(np.uint8).reshape(256, 1, 3))


def texture(
    rng: np.random.Generator,
    height: int,
    width: int,
    palette: np.ndarray,
    kind: str | None = None,
    period: float | None = None,
) -> np.ndarray:
    """A coloured texture, `[height, width, 3]` uint8 BGR: one pattern, often over another.

    `kind` (one of `KINDS`) and `period` (pixels) of the first pattern are drawn when not
    given.
    """
    side = min(height, width)

    def layer(kind, period):
        kind = kind or draw_kind(rng)
        period = period or side * np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
        field = pattern(rng, height, width, kind, max(3.0, period))
        return colorize(field, rng.permutation(palette), rng.random() < 0.4)

    image = layer(kind, period)
    if rng.random() < 0.4:
        mask = fractal_noise(rng, height, width, side * rng.uniform(0.3, 1.2))
        mask = (mask - rng.uniform(0.4, 0.6)) * float(rng.choice([4, 40]))
        mask = np.clip(mask, 0, 1)
        image = cv2.blendLinear(image, layer(None, None), 1 - mask, mask)
    if rng.random() < 0.6:
        grain = rng.normal(0, rng.uniform(2, 14), (height, width, 1)).astype(np.float32)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    return image
