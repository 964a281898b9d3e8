"""Anchor targets: which anchors of a search image are target or background, and how to move
them onto the box. Reference: PySOT's anchor targets."""

import math
from typing import NamedTuple

import numpy as np

from siamjax.geometry.anchors import encode
from siamjax.geometry.boxes import cxcywh_to_xyxy, iou_xyxy, xyxy_to_cxcywh

TARGET, BACKGROUND, IGNORED = 1, 0, -1
_WINDOW = 3  # cells to each side of the object's own, in a negative pair


class Rules(NamedTuple):
    """How anchors are chosen; the fields of `DataConfig` of the same names."""

    positive_iou: float = 0.6
    negative_iou: float = 0.3
    positives: int = 16
    anchors: int = 64
    negatives_in_negative_pair: int = 16


class Targets(NamedTuple):
    """Labels of one pair, as in `schema.Batch` without its first axis."""

    label_cls: np.ndarray  # [h, w, a] int32
    label_loc: np.ndarray  # [h, w, a, 4] float32
    label_loc_weight: np.ndarray  # [h, w, a] float32


def assign_targets(
    rng: np.random.Generator, box_xyxy: np.ndarray, anchors: np.ndarray, rules: Rules
) -> Targets:
    """Targets of a positive pair.

    `box_xyxy` `[4]` is the target in the search image, pixels; `anchors` `[h, w, a, 4]`
    `_cxcywh` in the same frame of reference. At most `positives` of the anchors that overlap
    the box by more than `positive_iou` are targets, at most `anchors - positives` of those
    below `negative_iou` are background, whatever the number of targets; the choice is random.
    Reference: PySOT's AnchorTarget.
    """
    box_xyxy = np.asarray(box_xyxy, np.float32)
    overlap = iou_xyxy(box_xyxy, cxcywh_to_xyxy(anchors))
    label = np.full(overlap.shape, IGNORED, np.int32)
    positive = _choose(rng, overlap > rules.positive_iou, rules.positives)
    label.flat[positive] = TARGET
    negative = overlap < rules.negative_iou
    label.flat[_choose(rng, negative, rules.anchors - rules.positives)] = BACKGROUND
    weight = np.zeros(overlap.shape, np.float32)
    weight.flat[positive] = 1 / (len(positive) + 1e-6)
    return Targets(label, encode(xyxy_to_cxcywh(box_xyxy), anchors), weight)


def assign_negative_targets(
    rng: np.random.Generator,
    box_xyxy: np.ndarray,
    anchors: np.ndarray,
    rules: Rules,
    *,
    search_size: int,
    stride: int,
) -> Targets:
    """Targets of a pair whose search image shows another object, the one in `box_xyxy`.

    A few anchors around that object are background; all others are ignored. The window's
    centre is one cell to the bottom right of a centred object, as in the reference
    implementation.
    """
    box_xyxy = np.asarray(box_xyxy, np.float32)
    score_size = anchors.shape[0]
    center = (box_xyxy[:2] + box_xyxy[2:]) / 2
    cells = [score_size // 2 + math.ceil((c - search_size // 2) / stride + 0.5) for c in center]
    window = np.zeros(anchors.shape[:-1], bool)
    columns, rows = (
        slice(max(0, c - _WINDOW), min(score_size, max(0, c + _WINDOW + 1))) for c in cells
    )
    window[rows, columns] = True
    label = np.full(window.shape, IGNORED, np.int32)
    label.flat[_choose(rng, window, rules.negatives_in_negative_pair)] = BACKGROUND
    # The reference leaves the regression target unset here; no weight, so no effect.
    return Targets(
        label, np.zeros(anchors.shape, np.float32), np.zeros(window.shape, np.float32)
    )


def _choose(rng, allowed, count):
    """Flat indices of at most `count` of the `allowed`, at random."""
    indices = np.flatnonzero(allowed)
    return indices if len(indices) <= count else rng.choice(indices, count, replace=False)
