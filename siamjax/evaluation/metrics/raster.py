"""Scanline polygon fill, and the number of pixels that two polygons share.

The rules are those of VOT's scanline fill, in double precision, so that counts agree with the
compiled toolkits to the pixel. Vertices have whole coordinates, relative
to the mask's first pixel; a row's crossings are truncated towards zero, sorted and filled in
pairs, both ends included.
"""

from typing import NamedTuple

import numpy as np

# Array elements per step: few enough to stay in the CPU cache.
_STEP = 1 << 15
_OUTSIDE = float(1 << 40)  # position of crossings that do not exist: beyond every mask


class Polygons(NamedTuple):
    """n polygons of at most k corners."""

    corners: np.ndarray  # [n, k, 2] integers; the last one is repeated as padding
    count: np.ndarray  # [n] how many corners each has


def count_pixels(first: Polygons, second: Polygons, width, height, *, thin: bool):
    """Pixels of each of two polygons and of both, inside a mask, for n pairs: three `[n]`.

    `width` and `height` are the masks' `[n]`. With `thin`, single pixels count and level
    edges cross their row; without, a pair of equal crossings fills nothing.
    """
    counts = np.zeros((3, len(width)))
    simple = _is_simple(first, thin) & _is_simple(second, thin)
    for fill, pairs in ((_fill_simple, simple), (_fill_any, ~simple)):
        # sorted by height, so that masks of similar height share a step
        order = np.flatnonzero(pairs)
        order = order[np.argsort(height[order])]
        start = 0
        while start < len(order):
            stop = _end_of_step(height[order], start, first.corners.shape[1])
            step = order[start:stop]
            pair = (Polygons(p.corners[step], p.count[step]) for p in (first, second))
            counts[:, step] = _count(*pair, width[step], height[step], fill, thin)
            start = stop
    return counts


def _end_of_step(heights, start, corners):
    """The end of the step from `start`, at least one pair later; heights are sorted."""
    rows = max(1, _STEP // corners)
    most = heights[start : start + rows]
    fitting = np.searchsorted(most * np.arange(1, len(most) + 1), rows, side="right")
    return start + max(1, int(fitting))


def _count(first, second, width, height, fill, thin):
    rows = np.arange(height.max())
    areas, spans = [], []
    for polygons in (first, second):
        low, high = fill(polygons, rows, thin)
        # a span is [pairs, spans, rows]; those outside the mask, and none, end before 0
        low = np.maximum(low, 0)
        high = np.minimum(high, width[:, None, None] - 1)
        if rows[-1] > height.min() - 1:
            high[np.broadcast_to((rows >= height[:, None])[:, None], high.shape)] = -1
        areas.append(np.maximum(high - low + 1, 0).sum(axis=(1, 2)))
        spans.append((low, high))
    (low, high), (other_low, other_high) = spans
    shared = 0
    for i in range(low.shape[1]):
        for j in range(other_low.shape[1]):
            left = np.maximum(low[:, i], other_low[:, j])
            right = np.minimum(high[:, i], other_high[:, j])
            shared = shared + np.maximum(right - left + 1, 0).sum(axis=1)
    return (*areas, shared)


def _is_simple(polygons, thin):
    """Which polygons fill a single span per row, from the first to the last crossing: `[n]`.

    These are y-monotone, with level edges only at the top and bottom; at most one each where
    level edges count as crossings.
    """
    y = polygons.corners[:, :, 1]
    before = np.roll(y, 1, axis=1)
    top, bottom = y.min(axis=1), y.max(axis=1)
    down_and_up = np.abs(y - before).sum(axis=1) == 2 * (bottom - top)
    level = y == before
    at_top, at_bottom = (level & (y == end[:, None]) for end in (top, bottom))
    simple = down_and_up & (level == (at_top | at_bottom)).all(axis=1)
    if thin:
        simple &= (at_top.sum(axis=1) <= 1) & (at_bottom.sum(axis=1) <= 1) & (top < bottom)
    return simple


def _crossings(polygons, rows, thin):
    """Where each edge crosses each row, and whether it does: two `[n, k, rows]`."""
    x, y = polygons.corners[:, :, :1], polygons.corners[:, :, 1:]
    run = np.roll(x, 1, axis=1) - x
    rise = np.roll(y, 1, axis=1) - y
    crosses = (rows >= np.minimum(y, y + rise)) & (rows <= np.maximum(y, y + rise))
    if thin:
        is_edge = np.arange(x.shape[1]) < polygons.count[:, None]
        crosses &= is_edge[:, :, None]
    else:
        crosses &= rise != 0
    at = rows - y
    at /= np.where(rise == 0, 1, rise)
    at *= run
    at += x
    return at, crosses


def _fill_simple(polygons, rows, thin):
    at, crosses = _crossings(polygons, rows, thin)
    missing = ~crosses
    np.copyto(at, _OUTSIDE, where=missing)
    low = np.trunc(at.min(axis=1, keepdims=True))
    np.copyto(at, -_OUTSIDE, where=missing)
    high = np.trunc(at.max(axis=1, keepdims=True))
    if not thin:
        high[high == low] = -_OUTSIDE
    return low, high


def _fill_any(polygons, rows, thin):
    at, crosses = _crossings(polygons, rows, thin)
    at = np.sort(np.where(crosses, np.trunc(at), _OUTSIDE), axis=1)
    count = crosses.sum(axis=1)
    corners = at.shape[1]
    shape = (len(at), corners - 1, len(rows))
    low, high = np.full(shape, _OUTSIDE), np.full(shape, -_OUTSIDE)
    used = np.zeros(count.shape, bool)  # as the end of the previous span
    filled_to = np.full(count.shape, -_OUTSIDE)
    for i in range(corners - 1):
        # of two equal crossings, a vertex of the outline, the first is skipped
        equal = at[:, i] == at[:, i + 1]
        if thin:
            equal &= i < count - 2
        fills = ~used & ~equal & (i + 1 < count)
        # two spans may share a pixel, which counts once
        low[:, i] = np.where(fills, np.maximum(at[:, i], filled_to + 1), _OUTSIDE)
        high[:, i] = np.where(fills, at[:, i + 1], -_OUTSIDE)
        filled_to = np.maximum(filled_to, high[:, i])
        used = fills
    return low, high
