"""Box formats and overlap.

Pixel convention, for the whole project: 0-based, x to the right and y down, a box is the
region from its top-left corner to its bottom-right corner (no +1 anywhere), and a suffix
names the format: `_xywh` (left, top, width, height), `_xyxy` (corners), `_cxcywh` (centre
and size). All functions take NumPy or JAX arrays `[..., 4]` and return the same kind.
"""


def _stack(box, *columns):
    xp = box.__array_namespace__()
    return xp.stack(columns, axis=-1)


def xywh_to_xyxy(box):
    """Corner and size to two corners, `[..., 4]`."""
    x, y, w, h = (box[..., i] for i in range(4))
    return _stack(box, x, y, x + w, y + h)


def xyxy_to_cxcywh(box):
    """Two corners to centre and size, `[..., 4]`."""
    x0, y0, x1, y1 = (box[..., i] for i in range(4))
    return _stack(box, (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)


def cxcywh_to_xyxy(box):
    """Centre and size to two corners, `[..., 4]`."""
    cx, cy, w, h = (box[..., i] for i in range(4))
    return _stack(box, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)


def cxcywh_to_xywh(box):
    """Centre and size to corner and size, `[..., 4]`."""
    cx, cy, w, h = (box[..., i] for i in range(4))
    return _stack(box, cx - w / 2, cy - h / 2, w, h)


def iou_xyxy(box, other):
    """Intersection over union of boxes `[..., 4]`, broadcast against each other: `[...]`.

    Continuous areas, no +1. Two boxes without area have an overlap of 0, not NaN.
    """
    intersection, union = _intersection_and_union(box, other)
    return _ratio(intersection, union)


def giou_xyxy(box, other):
    """Generalised IoU of boxes `[..., 4]`, broadcast, in [-1, 1]: `[...]`.

    The IoU, less the share of the smallest box around both that neither of them covers, so
    that boxes without overlap have a gradient too. (Rezatofighi et al., 2019)
    """
    xp = box.__array_namespace__()
    intersection, union = _intersection_and_union(box, other)
    width = xp.maximum(box[..., 2], other[..., 2]) - xp.minimum(box[..., 0], other[..., 0])
    height = xp.maximum(box[..., 3], other[..., 3]) - xp.minimum(box[..., 1], other[..., 1])
    around = width * height
    return _ratio(intersection, union) - _ratio(around - union, around)


def _intersection_and_union(box, other):
    xp = box.__array_namespace__()
    left = xp.maximum(box[..., 0], other[..., 0])
    top = xp.maximum(box[..., 1], other[..., 1])
    right = xp.minimum(box[..., 2], other[..., 2])
    bottom = xp.minimum(box[..., 3], other[..., 3])
    zero = 0 * left
    intersection = xp.maximum(right - left, zero) * xp.maximum(bottom - top, zero)
    area = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    other_area = (other[..., 2] - other[..., 0]) * (other[..., 3] - other[..., 1])
    return intersection, area + other_area - intersection


def _ratio(part, whole):
    """`part / whole`, and 0 where there is no whole."""
    xp = part.__array_namespace__()
    zero = 0 * part
    positive = whole > 0
    return xp.where(positive, part / xp.where(positive, whole, zero + 1), zero)
