"""VOT's overlap: intersection over union of rasterised regions.

Two conventions, by name. On most pairs they agree to within a pixel of the outline; all
differences are here and in `count_pixels`.

`"pysot"`: the compiled toolkit that VOT2016 to VOT2019 are published with (PySOT's `region`,
after VOT's TraX library). Coordinates are float32; a box becomes the polygon with corners at
x and x + w; the mask spans the outward-rounded enclosing boxes, clipped to 0..W and 0..H for
bounds (W, H); corners relative to the mask are rounded to whole pixels, halves away
from zero. The overlap is 0 where the enclosing boxes share no area or where one's area is
under 1e-10 of the other's.

`"vot-toolkit"`: the Python toolkit (package vot-toolkit). Coordinates are rounded in the
frame, halves to even; a box covers w columns and h rows from its rounded corner; the mask is
clipped to 0..W-1 and 0..H-1; single rows and columns of pixels count.

Verified to the pixel on random pairs (rotated, crossed, thin, level, outside, cut, huge):
against PySOT's region.c compiled with gcc, and against vot-toolkit 0.9.0.
"""

from typing import Literal, get_args

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.metrics.raster import Polygons, count_pixels
from siamjax.evaluation.metrics.regions import Regions, box_corners

Convention = Literal["pysot", "vot-toolkit"]

# No image is this tall; without bounds such masks would take too long.
_MAX_ROWS = 1_000_000
_MIN_AREA_RATIO = 1e-10


def raster_overlap(
    first: Regions, second: Regions, bounds=None, *, convention: Convention = "pysot"
) -> np.ndarray:
    """Overlap of n pairs of regions, `[n]` in 0..1.

    `bounds` is the frame's (width, height), one for all or `[n, 2]`; infinite where only the
    frame's origin is known; None for no clipping. NaN where a region is a code or not
    finite, and, by PySOT's convention, where neither region covers a pixel; 0 where a mask
    without bounds would have more than a million rows. Raises `InputError` for different
    lengths or an unknown convention.
    """
    if len(first) != len(second):
        raise InputError(f"{len(first)} regions cannot be compared with {len(second)}")
    if convention not in get_args(Convention):
        raise InputError(
            f"`convention` (={convention!r}) must be one of {list(get_args(Convention))}"
        )
    overlap = np.full(len(first), np.nan)
    pairs = np.flatnonzero(first.is_finite & second.is_finite)
    if len(pairs):
        if bounds is not None:
            bounds = np.broadcast_to(np.asarray(bounds, np.float64), (len(first), 2))[pairs]
        measure = _pysot if convention == "pysot" else _vot_toolkit
        with np.errstate(all="ignore"):  # zero areas, and coordinates beyond float32
            overlap[pairs] = measure(first[pairs], second[pairs], bounds)
    return overlap


def _pysot(first: Regions, second: Regions, bounds) -> np.ndarray:
    polygons = [polygon.astype(np.float32) for polygon in _polygons(first, second)]
    start = [np.floor(polygon.min(axis=1)) for polygon in polygons]
    end = [np.ceil(polygon.max(axis=1)) for polygon in polygons]
    if bounds is not None:
        start = [np.maximum(corner, np.float32(0)) for corner in start]
        end = [np.minimum(corner, bounds.astype(np.float32)) for corner in end]
    origin = np.minimum(*start)
    size = np.trunc(np.maximum(*end) - origin).astype(np.float64) + 1
    # the reference computes in float32, where such areas are not always exact
    area, other_area = ((e - s).prod(axis=1) for s, e in zip(start, end, strict=True))
    shared = (np.minimum(*end) - np.maximum(*start)).prod(axis=1)
    ratio = area.astype(np.float64) / other_area
    disjoint = shared / (area + other_area - shared) <= 0
    disjoint |= (ratio < _MIN_AREA_RATIO) | (1 / ratio < _MIN_AREA_RATIO)
    corners = [_round_half_away(polygon - origin[:, None]) for polygon in polygons]
    overlap = np.zeros(len(size))
    drawn = ~disjoint & _is_drawable(size)
    shared, either = _pixels(corners, (first, second), size, drawn, thin=False)
    overlap[drawn] = shared / either
    return overlap


def _vot_toolkit(first: Regions, second: Regions, bounds) -> np.ndarray:
    corners = [np.round(polygon.astype(np.float32)) for polygon in _polygons(first, second)]
    corners = [polygon.astype(np.float64) for polygon in corners]
    starts, ends, is_empty = [], [], []
    for polygon, regions in zip(corners, (first, second), strict=True):
        is_box = regions.count == 4
        boxes = np.round(regions.values[:, :4].astype(np.float32)).astype(np.float64)
        drawn = box_corners(boxes, to_last_pixel=True)
        polygon[is_box] = _repeat_corners(drawn, polygon.shape[1])[is_box]
        is_box = is_box[:, None]
        starts.append(np.where(is_box, drawn[:, 0], polygon.min(axis=1)))
        ends.append(np.where(is_box, drawn[:, 2], polygon.max(axis=1)))
        is_empty.append(is_box & (boxes[:, 2:] < 1))
    start, end = np.minimum(*starts), np.maximum(*ends)
    # regions within a single row or column are considered equal, whatever they cover
    equal = (start >= end).any(axis=1)
    if bounds is not None:
        start, end = np.maximum(start, 0), np.minimum(end, bounds - 1)
    size = end - start + 1
    for polygon, empty in zip(corners, is_empty, strict=True):
        polygon -= start[:, None]
        polygon[empty.any(axis=1)] = -1  # above every row
    overlap = np.where(equal, 1.0, 0.0)
    drawn = ~equal & (size > 1).all(axis=1) & _is_drawable(size)
    shared, either = _pixels(corners, (first, second), size, drawn, thin=True)
    overlap[drawn] = np.where(either > 0, shared / either, 0)
    return overlap


def _polygons(*among: Regions) -> list[np.ndarray]:
    """The polygons of each, padded to the largest number of corners."""
    corners = max(4, *(int(regions.corner_count.max()) for regions in among))
    return [_repeat_corners(regions.polygons(), corners) for regions in among]


def _repeat_corners(polygons: np.ndarray, corners: int) -> np.ndarray:
    index = np.minimum(np.arange(corners), polygons.shape[1] - 1)
    return polygons[:, index]


def _round_half_away(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return np.trunc(values + np.copysign(0.5, values))


def _is_drawable(size: np.ndarray) -> np.ndarray:
    return (size >= 1).all(axis=1) & (size[:, 1] <= _MAX_ROWS)


def _pixels(corners, regions, size, drawn, *, thin) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the intersection and of the union, for the pairs that are drawn."""
    first, second = (
        Polygons(of[drawn], such.corner_count[drawn])
        for of, such in zip(corners, regions, strict=True)
    )
    area, other, shared = count_pixels(first, second, *size[drawn].T, thin=thin)
    return shared, area + other - shared
