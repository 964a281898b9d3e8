"""Labels of a batch of pairs: which anchors, or cells, are positive and which negative.

What is random comes in as `rank`, the anchors of each pair in a random order: where more are
eligible than wanted, those of the lowest rank are chosen. NumPy and JAX arrays alike.
"""

from typing import NamedTuple

from siamjax.geometry.anchors import encode
from siamjax.geometry.boxes import cxcywh_to_xyxy, iou_xyxy, xyxy_to_cxcywh

TARGET, BACKGROUND, IGNORED = 1, 0, -1
WINDOW = 3  # cells to each side of the object's own, in a negative pair
_NEARLY = 0.01  # pixels: coordinates are rounded


class Rules(NamedTuple):
    """How anchors are chosen; the fields of `DataConfig` of the same names."""

    positive_iou: float = 0.6
    negative_iou: float = 0.3
    positives: int = 16
    anchors: int = 64
    negatives_in_negative_pair: int = 16


def choose_first(allowed, rank, count: int):
    """At most `count` of the `allowed` in each pair: those of the lowest rank.

    Both are `[b, ...]`; the ranks of a pair are all different. Returns a mask `[b, ...]`.
    """
    xp = allowed.__array_namespace__()
    batch = allowed.shape[0]
    flat = xp.reshape(
        xp.where(allowed, rank, xp.asarray(2**31 - 1, dtype=rank.dtype)), (batch, -1)
    )
    if count >= flat.shape[1]:
        return allowed
    if count == 0:
        return allowed & ~allowed
    limit = xp.sort(flat, axis=-1)[:, count - 1]
    return allowed & (rank <= xp.reshape(limit, (batch,) + (1,) * (rank.ndim - 1)))


def assign_ranked(
    box_xyxy, is_negative_pair, rank, anchors, rules: Rules, *, search_size: int, stride: int
):
    """`label_cls` `[b, h, w, a]`, `label_loc` `[b, h, w, a, 4]` and `label_loc_weight`.

    `box_xyxy` `[b, 4]` float32 is the object in each search image, pixels;
    `is_negative_pair` `[b]` says whether it is another one than the template's; `rank`
    `[b, h, w, a]` int32; `anchors` `[h, w, a, 4]` `_cxcywh` float32. The rules are those of
    the reference, see `data.targets`. Reference: PySOT's AnchorTarget.
    """
    xp = box_xyxy.__array_namespace__()
    is_negative = is_negative_pair[:, None, None, None]
    box = box_xyxy[:, None, None, None, :]
    overlap = iou_xyxy(box, cxcywh_to_xyxy(anchors)[None])
    window = negative_window(box_xyxy, anchors, search_size, stride)
    positive = choose_first(
        (overlap > rules.positive_iou) & ~is_negative, rank, rules.positives
    )
    usual = choose_first(
        (overlap < rules.negative_iou) & ~is_negative, rank, rules.anchors - rules.positives
    )
    around = choose_first(window & is_negative, rank, rules.negatives_in_negative_pair)
    whole = xp.zeros(overlap.shape, dtype=xp.int32)
    label = xp.where(positive, whole + TARGET, whole + IGNORED)
    label = xp.where(usual | around, whole + BACKGROUND, label)
    loc = encode(xyxy_to_cxcywh(box), anchors[None])
    loc = xp.where(is_negative[..., None], xp.zeros_like(loc), loc)
    count = xp.sum(positive, axis=(1, 2, 3), keepdims=True).astype(box_xyxy.dtype)
    weight = xp.where(positive, 1 / (count + 1e-6), xp.zeros_like(overlap))
    return label, loc, weight


def negative_window(box_xyxy, anchors, search_size: int, stride: int):
    """`[b, h, w, 1]`: the cells around each object's centre, one off, as in the reference."""
    xp = box_xyxy.__array_namespace__()
    score_size = anchors.shape[0]
    center = (box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2
    cell = score_size // 2 + xp.ceil((center - search_size // 2) / stride + 0.5)
    line = xp.arange(score_size).astype(box_xyxy.dtype)
    near = xp.abs(line[None, :, None] - cell[:, None, :]) <= WINDOW
    return near[:, :, None, 1, None] & near[:, None, :, 0, None]


def assign_response(
    box_xyxy,
    is_negative_pair,
    score_size: int,
    *,
    search_size: int,
    stride: int,
    radius: float,
    distance: str,
):
    """SiamFC's labels `[b, h, w, 1]` int32: 1 at most `radius` pixels from the centre, else 0.

    `distance` is `manhattan` (siamfc-pytorch) or `euclidean` (the paper, section 3.3). The
    map's middle cell looks at pixel search_size // 2. In a negative pair every cell is 0.
    Positives and negatives are balanced by the loss, which averages each kind by itself.
    """
    xp = box_xyxy.__array_namespace__()
    center = (box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2
    line = xp.arange(score_size).astype(box_xyxy.dtype) - score_size // 2
    away = search_size // 2 + stride * line[None, :, None] - center[:, None, :]
    x, y = away[:, None, :, 0], away[:, :, None, 1]
    far = xp.abs(x) + xp.abs(y) if distance == "manhattan" else xp.sqrt(x * x + y * y)
    near = (far <= radius + _NEARLY) & ~is_negative_pair[:, None, None]
    return near.astype(xp.int32)[..., None]
