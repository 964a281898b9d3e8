"""Backgrounds: photographs, or textured areas with clutter, haze and blur."""

import cv2
import numpy as np

from siamjax.config import SyntheticConfig
from siamjax.data.rendering import sprites, textures
from siamjax.data.rendering.photographs import list_backgrounds, read_background

_DRAWN = 0.1  # fraction of drawn backgrounds where there are photographs


def make_background(
    rng: np.random.Generator, config: SyntheticConfig, height: int, width: int
) -> np.ndarray:
    """A static scene, `[height, width, 3]` uint8 BGR, from photographs if there are any.

    Raises `InputError` for folders of backgrounds that cannot be used.
    """
    if not config.backgrounds or rng.random() < _DRAWN:
        return draw_background(rng, height, width)
    files = [f for b in config.backgrounds for f in list_backgrounds(b, config.split)]
    photograph = read_background(files[rng.integers(len(files))])
    return place_photograph(rng, photograph, height, width)


def place_photograph(
    rng: np.random.Generator, photograph: np.ndarray, height: int, width: int
) -> np.ndarray:
    """A random part of a photograph at a random scale, extended by reflection if needed.

    Small ones are reflected rather than enlarged more than about twice, since sharp objects
    on a soft background would be too easy to find.
    """
    rows, columns = photograph.shape[:2]
    cover = max(height / rows, width / columns)
    zoom = min(cover * np.exp(rng.uniform(0, 0.4)), np.exp(rng.uniform(0.2, 1.0)))
    zoom = max(zoom, cover) if cover < 1 else zoom
    left = rng.uniform(min(0, columns - width / zoom), max(0, columns - width / zoom))
    top = rng.uniform(min(0, rows - height / zoom), max(0, rows - height / zoom))
    matrix = np.array([[zoom, 0, -zoom * left], [0, zoom, -zoom * top]])
    if rng.random() < 0.5:
        matrix[0] = [-zoom, 0, width - 1 + zoom * left]
    if zoom < 0.7:  # warping alone would alias
        size = round(columns * zoom), round(rows * zoom)
        photograph = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= zoom
    image = cv2.warpAffine(
        photograph, matrix, (width, height), None, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    )
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.0))
    return image


def draw_background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A drawn static scene, `[height, width, 3]` uint8 BGR."""
    palettes = [textures.draw_palette(rng, 4) for _ in range(rng.integers(1, 4))]

    def tile(h, w):
        palette = palettes[rng.integers(len(palettes))]
        return textures.texture(rng, h, w, palette)

    # Drawn at half size where it should be soft anyway.
    soft = rng.random() < 0.4
    h, w = (height // 2, width // 2) if soft else (height, width)
    image = tile(h, w)
    if rng.random() < 0.6:
        _add_ground(rng, image, tile(h, w))
    tiles = [tile(128, 128) for _ in range(rng.integers(2, 5))]
    largest = rng.uniform(0.12, 0.5)
    for _ in range(int(np.exp(rng.uniform(np.log(2), np.log(90))))):
        _add_shape(rng, image, tiles, palettes, largest)
    if rng.random() < 0.3:  # haze
        veil = palettes[0].mean(0) * 0.5 + rng.uniform(40, 130)
        strength = rng.uniform(0.2, 0.7)
        image = (image * (1 - strength) + veil * strength).astype(np.uint8)
    if rng.random() < 0.4:
        sigma = rng.uniform(0.6, 2.5)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _add_ground(rng, image, ground):
    """Another texture below a slanted, bumpy horizon."""
    h, w = image.shape[:2]
    bumps = textures.fractal_noise(rng, 2, w, w * rng.uniform(0.1, 0.6))[0] - 0.5
    horizon = h * (rng.uniform(0.2, 0.8) + rng.uniform(0, 0.3) * bumps)
    horizon = horizon + np.linspace(-1, 1, w) * rng.uniform(-0.2, 0.2) * h
    below = np.arange(h)[:, None] > horizon[None]
    image[below] = ground[below]


def _add_shape(rng, image, tiles, palettes, largest):
    """One shape, at most `largest` of the scene: flat, outlined or textured."""
    h, w = image.shape[:2]
    size = min(h, w) * np.exp(rng.uniform(np.log(0.02), np.log(largest))) / 2
    turn = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    stretch = np.exp(rng.uniform(-0.9, 0.9))
    matrix = size * np.array([[cos, -sin], [sin, cos]]) * [stretch, 1 / stretch]
    place = rng.uniform(0, 1, 2) * [w, h]
    contours = [
        np.round((part @ matrix.T + place) * 16).astype(np.int32)
        for part in sprites.outline(rng, str(rng.choice(sprites.SHAPES)))
    ]
    palette = palettes[rng.integers(len(palettes))]
    color = tuple(float(c) for c in palette[rng.integers(len(palette))])
    style = rng.random()
    if style < 0.5:
        for part in contours:
            cv2.fillPoly(image, [part], color, cv2.LINE_AA, shift=4)
    elif style < 0.65:
        thick = int(rng.integers(1, 4))
        cv2.polylines(image, contours, True, color, thick, cv2.LINE_AA, shift=4)
    else:
        points = np.concatenate(contours) // 16
        x0, y0 = np.maximum(points.min(0), 0)
        x1, y1 = np.minimum(points.max(0) + 1, [w, h])
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for part in contours:
            cv2.fillPoly(mask, [part - np.array([x0, y0]) * 16], 1, shift=4)
        tile = cv2.resize(tiles[rng.integers(len(tiles))], (x1 - x0, y1 - y0))
        cv2.copyTo(tile, mask, image[y0:y1, x0:x1])
