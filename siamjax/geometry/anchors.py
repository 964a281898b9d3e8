"""Anchors of the region proposal network: sizes, grid, and the coding of boxes.

Anchors are `[h, w, a, 4]` in `_cxcywh`, pixels of the search image. Reference: PySOT's
anchors (SiamRPN, section 3.2; ratios outer, scales inner).
"""

import math

import numpy as np


def anchor_sizes(stride: int, ratios, scales) -> np.ndarray:
    """Width and height of each anchor, `[a, 2]` float32, pixels.

    The base area is stride * stride; sides are truncated to whole pixels before they are
    scaled, as in the reference implementation (104 x 32 for ratio 0.33 and scale 8).
    """
    sizes = []
    for ratio in ratios:
        width = int(math.sqrt(stride * stride / ratio))
        height = int(width * ratio)
        sizes += [(width * scale, height * scale) for scale in scales]
    return np.array(sizes, np.float32)


def anchor_grid(
    sizes: np.ndarray, stride: int, score_size: int, center: float = 0.0
) -> np.ndarray:
    """Anchors at every cell, `[h, w, a, 4]` `_cxcywh` float32, h = w = `score_size`.

    `center` is the coordinate of the map's middle cell (index score_size // 2): half the
    search size, rounded down, in training; 0 in tracking, where boxes are relative to the
    centre of the crop.
    """
    line = center + stride * (np.arange(score_size) - score_size // 2)
    grid = np.zeros((score_size, score_size, len(sizes), 4), np.float32)
    grid[..., 0] = line[None, :, None]
    grid[..., 1] = line[:, None, None]
    grid[..., 2:] = sizes
    return grid


def encode(box_cxcywh, anchors):
    """Regression target `(dx, dy, dw, dh)` of boxes against anchors, broadcast: `[..., 4]`.

    dx = (cx - ax) / aw, dw = ln(w / aw), and likewise for y and h; not normalised further.
    """
    xp = anchors.__array_namespace__()
    offset = (box_cxcywh[..., :2] - anchors[..., :2]) / anchors[..., 2:]
    size = xp.log(box_cxcywh[..., 2:] / anchors[..., 2:])
    return xp.concatenate([offset, size], axis=-1)


def decode(loc, anchors):
    """The inverse of `encode`: boxes `_cxcywh` `[..., 4]` from `loc` and anchors."""
    xp = anchors.__array_namespace__()
    center = loc[..., :2] * anchors[..., 2:] + anchors[..., :2]
    size = xp.exp(loc[..., 2:]) * anchors[..., 2:]
    return xp.concatenate([center, size], axis=-1)
