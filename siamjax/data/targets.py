"""Anchor targets: the label of each anchor of a search image and its regression to the box.

Reference: PySOT's anchor targets.
"""

import math
from typing import NamedTuple

import numpy as np

from siamjax.config import Config, DataConfig, ModelConfig
from siamjax.geometry.anchors import anchor_grid, anchor_sizes, encode
from siamjax.geometry.assignment import (
    BACKGROUND,
    IGNORED,
    TARGET,
    Rules,
    assign_ranked,
    assign_response,
    negative_window,
)
from siamjax.geometry.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh


class Targets(NamedTuple):
    """Labels of one pair: those of `schema.Batch` without the batch axis."""

    label_cls: np.ndarray  # [h, w, a] int32
    label_loc: np.ndarray  # [h, w, a, 4] float32
    label_loc_weight: np.ndarray  # [h, w, a] float32


class Labeller:
    """Labels single pairs as the configuration says."""

    def __init__(self, config: Config):
        self._data, self._model = config.data, config.model
        self._anchors = training_anchors(config.model)
        self._rules = training_rules(config.data)

    def draw_rank(self, rng: np.random.Generator) -> np.ndarray:
        """The anchors in a random order, `[h, w, a]` int32."""
        shape = self._anchors.shape[:-1]
        return rng.permutation(math.prod(shape)).astype(np.int32).reshape(shape)

    def __call__(
        self, rng: np.random.Generator, box_xyxy: np.ndarray, is_negative: bool
    ) -> Targets:
        """The labels of one pair, whose search image shows an object in `box_xyxy` `[4]`."""
        data, model = self._data, self._model
        place = {"search_size": model.search_size, "stride": model.anchors.stride}
        if data.labels == "response":
            label = assign_response(
                box_xyxy[None],
                np.array([is_negative]),
                model.score_size,
                radius=data.response_radius,
                distance=data.response_distance,
                **place,
            )[0]
            zeros = np.zeros(label.shape, np.float32)
            return Targets(label, np.zeros((*label.shape, 4), np.float32), zeros)
        if data.anchor_choice == "ranked":
            labels = assign_ranked(
                box_xyxy[None],
                np.array([is_negative]),
                self.draw_rank(rng)[None],
                self._anchors,
                self._rules,
                **place,
            )
            return Targets(*(array[0] for array in labels))
        if is_negative:
            return assign_negative_targets(rng, box_xyxy, self._anchors, self._rules, **place)
        return assign_targets(rng, box_xyxy, self._anchors, self._rules)


def training_anchors(model: ModelConfig) -> np.ndarray:
    """The anchors of a search image, `[h, w, a, 4]` `_cxcywh` float32, pixels."""
    anchors = model.anchors
    return anchor_grid(
        anchor_sizes(anchors.stride, anchors.ratios, anchors.scales),
        anchors.stride,
        model.score_size,
        center=model.search_size // 2,
    )


def training_rules(data: DataConfig) -> Rules:
    """The rules of assignment of a configuration."""
    return Rules(**{name: getattr(data, name) for name in Rules._fields})


def assign_targets(
    rng: np.random.Generator, box_xyxy: np.ndarray, anchors: np.ndarray, rules: Rules
) -> Targets:
    """Targets of a positive pair.

    `box_xyxy` `[4]` is the target in the search image, pixels; `anchors` `[h, w, a, 4]`
    `_cxcywh` in the same coordinates. At most `positives` of the anchors that overlap
    the box by more than `positive_iou` are positive, and at most `anchors - positives` of
    those below `negative_iou` negative, however many are positive; both are chosen at random.
    Reference: PySOT's AnchorTarget.
    """
    box_xyxy = np.asarray(box_xyxy, np.float32)
    overlap = _overlap(box_xyxy, anchors)
    label = np.full(overlap.shape, IGNORED, np.int32)
    positive = _choose(rng, overlap > rules.positive_iou, rules.positives)
    label.flat[positive] = TARGET
    negative = overlap < rules.negative_iou
    label.flat[_choose(rng, negative, rules.anchors - rules.positives)] = BACKGROUND
    weight = np.zeros(overlap.shape, np.float32)
    weight.flat[positive] = 1 / (len(positive) + 1e-6)
    return Targets(label, _offsets(box_xyxy, anchors), weight)


def _overlap(box_xyxy, anchors):
    """`iou_xyxy` of a box and a grid of anchors, `[h, w, a]`.

    The same values in a third of the time: the anchors of a column share x, those of a row
    share y, and the sizes are the same everywhere.
    """
    column, row = cxcywh_to_xyxy(anchors[:1]), cxcywh_to_xyxy(anchors[:, :1])
    x0, y0, x1, y1 = box_xyxy
    width = np.minimum(x1, column[..., 2]) - np.maximum(x0, column[..., 0])
    height = np.minimum(y1, row[..., 3]) - np.maximum(y0, row[..., 1])
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    area = (column[..., 2] - column[..., 0]) * (row[..., 3] - row[..., 1])
    return inside / ((x1 - x0) * (y1 - y0) + area - inside)


def _offsets(box_xyxy, anchors):
    """`encode` of a box against a grid of anchors, `[h, w, a, 4]`, by the same trick."""
    box = xyxy_to_cxcywh(box_xyxy)
    offsets = np.empty(anchors.shape, np.float32)
    offsets[..., 0] = encode(box, anchors[:1])[..., 0]
    offsets[..., 1:] = encode(box, anchors[:, :1])[..., 1:]
    return offsets


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

    A few anchors around that object are negative; all others are ignored. The window's
    centre is one cell to the bottom right of a centred object, as in the reference
    implementation.
    """
    box_xyxy = np.asarray(box_xyxy, np.float32)
    (window,) = negative_window(box_xyxy[None], anchors, search_size, stride)
    window = np.broadcast_to(window, anchors.shape[:-1])
    label = np.full(window.shape, IGNORED, np.int32)
    label.flat[_choose(rng, window, rules.negatives_in_negative_pair)] = BACKGROUND
    # The reference leaves the regression targets unset here; with zero weight it has no effect.
    return Targets(
        label, np.zeros(anchors.shape, np.float32), np.zeros(window.shape, np.float32)
    )


def _choose(rng, allowed, count):
    """Flat indices of at most `count` of the `allowed` cells, chosen at random."""
    indices = np.flatnonzero(allowed)
    return indices if len(indices) <= count else rng.choice(indices, count, replace=False)
