"""VOT's scanline fill written plainly, pixel by pixel, for comparing with ours."""

import math

import numpy as np


def filled(polygon, width, height, *, thin=False):
    """The set of pixels (x, y) of a mask that a polygon of whole corners fills."""
    pixels = set()
    edges = list(zip(polygon, [polygon[-1], *polygon[:-1]], strict=True))
    for y in range(height):
        nodes = []
        for (x0, y0), (x1, y1) in edges:
            if not min(y0, y1) <= y <= max(y0, y1):
                continue
            if y0 != y1:
                nodes.append(int(x0 + (y - y0) / (y1 - y0) * (x1 - x0)))
            elif thin:
                nodes.append(int(x0))
        nodes.sort()
        i = 0
        while i < len(nodes) - 1:
            if nodes[i] == nodes[i + 1] and not (thin and i == len(nodes) - 2):
                i += 1
                continue
            inside = range(max(nodes[i], 0), min(nodes[i + 1], width - 1) + 1)
            pixels |= {(x, y) for x in inside}
            i += 2
    return pixels


def corners(row):
    """Four corners of x, y, w, h, with x + w; a polygon's own otherwise."""
    if len(row) == 4:
        x, y, w, h = row
        row = [x, y, x + w, y, x + w, y + h, x, y + h]
    return [(row[i], row[i + 1]) for i in range(0, len(row), 2)]


def ratio(first, second):
    """Intersection over union of two sets; NaN where both are empty."""
    either = len(first | second)
    return len(first & second) / either if either else math.nan


def pysot_overlap(a, b, bounds=None):
    """Section 7.4's overlap of two rows of numbers, in exact arithmetic on float32 input."""
    if len(a) == 1 or len(b) == 1:
        return math.nan
    polygons = [np.array(corners(row), np.float32).astype(float) for row in (a, b)]
    boxes = []
    for polygon in polygons:
        left, top = np.floor(polygon.min(axis=0))
        right, bottom = np.ceil(polygon.max(axis=0))
        if bounds is not None:
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, bounds[0]), min(bottom, bounds[1])
        boxes.append((left, top, right, bottom))
    (l0, t0, r0, b0), (l1, t1, r1, b1) = boxes
    area, other = (r0 - l0) * (b0 - t0), (r1 - l1) * (b1 - t1)
    if area * other < 0 or min(abs(area), abs(other)) < 1e-10 * max(abs(area), abs(other)):
        return 0.0
    shared = (min(r0, r1) - max(l0, l1)) * (min(b0, b1) - max(t0, t1))
    union = area + other - shared
    with np.errstate(invalid="ignore", divide="ignore"):
        if np.divide(shared, union) <= 0:  # 0 / 0, where both are flat, is left to the pixels
            return 0.0
    left, top = min(l0, l1), min(t0, t1)
    width, height = int(max(r0, r1) - left) + 1, int(max(b0, b1) - top) + 1
    if width < 1 or height < 1:
        return 0.0

    def away(value):
        return math.copysign(math.floor(abs(value) + 0.5), value)

    drawn = [
        filled([(away(x - left), away(y - top)) for x, y in polygon], width, height)
        for polygon in polygons
    ]
    return ratio(*drawn)


def toolkit_overlap(a, b, bounds):
    """vot-toolkit's overlap inside bounds, of regions that are not thin."""
    rows = [[float(np.round(np.float32(value))) for value in row] for row in (a, b)]
    # where the mask starts: crossings are rounded relative to it
    left = max(0, min(x for row in rows for x, _ in corners(row)))
    top = max(0, min(y for row in rows for _, y in corners(row)))
    width, height = int(bounds[0] - left), int(bounds[1] - top)
    masks = []
    for row in rows:
        if len(row) == 4:
            x, y, w, h = (int(value) for value in np.subtract(row, [left, top, 0, 0]))
            columns = range(max(x, 0), min(x + w, width))
            masks.append(
                {(i, j) for i in columns for j in range(max(y, 0), min(y + h, height))}
            )
        else:
            moved = [(x - left, y - top) for x, y in corners(row)]
            masks.append(filled(moved, width, height, thin=True))
    return ratio(*masks) if masks[0] | masks[1] else 0.0
