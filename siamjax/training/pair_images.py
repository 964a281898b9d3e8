"""Images of training pairs with their targets and predictions. NumPy only."""

import numpy as np

from siamjax.config import ModelConfig
from siamjax.data.schema import Batch
from siamjax.data.targets import training_anchors
from siamjax.geometry.anchors import decode
from siamjax.geometry.boxes import xyxy_to_cxcywh
from siamjax.models.siamese import Prediction

_GAP = 4  # pixels between two images
_PAPER = 255
# RGB: ground truth box, positive anchors, best predicted box
TRUE, TARGET, FOUND = (0, 200, 0), (255, 200, 0), (230, 0, 60)


def draw_pairs(
    batch: Batch, model: ModelConfig, prediction: Prediction | None = None
) -> np.ndarray:
    """One row per pair: template, search image with boxes, labels and, if given, score map.

    The search image shows the ground truth box (green), the positive anchors (yellow; none in
    a negative pair) and the best predicted box (red). Labels are per cell: yellow where an
    anchor is positive, blue where one is negative, grey where all are ignored. Batch and
    prediction are NumPy arrays of the same pairs; returns `[h, w, 3]` uint8 RGB.
    """
    rows = [_row(batch, model, prediction, i) for i in range(len(batch.search))]
    return _stacked(rows, axis=0)


def _row(batch: Batch, model: ModelConfig, prediction, i: int) -> np.ndarray:
    side = model.search_size
    search = _as_rgb(batch.search[i])
    anchors = training_anchors(model)
    positive = batch.label_cls[i] == 1
    if model.correlation != "plain":
        for box in anchors[positive]:
            _outline(search, box, TARGET, 1)
    if not batch.is_negative_pair[i]:
        _outline(search, xyxy_to_cxcywh(batch.box_xyxy[i]), TRUE, 2)
    columns = [_padded(_as_rgb(batch.template[i]), side), search]
    columns.append(_enlarged(_label_map(batch.label_cls[i]), side))
    if prediction is not None:
        scores = foreground_scores(prediction.cls_logits[i])
        best = np.unravel_index(scores.argmax(), scores.shape)
        if prediction.loc is not None:
            with np.errstate(over="ignore"):  # an infinite box is not drawn
                box = decode(prediction.loc[i][best], anchors[best])
            _outline(search, box, FOUND, 2)
        columns.append(_enlarged(_heat(scores.max(-1)), side))
    return _stacked(columns, axis=1)


def foreground_scores(cls_logits: np.ndarray) -> np.ndarray:
    """Scores in [0, 1], `[h, w, a]`, from logits `[h, w, a, 2]`, or SiamFC's `[h, w, 1, 1]`."""
    logit = cls_logits[..., -1].astype(np.float64)
    if cls_logits.shape[-1] == 2:
        logit = logit - cls_logits[..., 0]
    return 1 / (1 + np.exp(-np.clip(logit, -50, 50)))


def _as_rgb(image_bgr: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.clip(np.rint(image_bgr), 0, 255).astype(np.uint8)[..., ::-1])


def _outline(image: np.ndarray, box_cxcywh, color: tuple, width: int) -> None:
    """Draws a box into an image, in place, clipped to it."""
    cx, cy, w, h = (float(value) for value in box_cxcywh)
    if not np.isfinite([cx, cy, w, h]).all():
        return
    height, wide = image.shape[:2]
    left, right = np.rint(np.clip([cx - w / 2, cx + w / 2], -width, wide)).astype(int)
    top, bottom = np.rint(np.clip([cy - h / 2, cy + h / 2], -width, height)).astype(int)
    rows = slice(max(top, 0), max(bottom, 0))
    columns = slice(max(left, 0), max(right, 0))
    for at in (top, bottom - width):
        image[max(at, 0) : max(at + width, 0), columns] = color
    for at in (left, right - width):
        image[rows, max(at, 0) : max(at + width, 0)] = color


def _label_map(label_cls: np.ndarray) -> np.ndarray:
    cells = np.full((*label_cls.shape[:2], 3), 90, np.uint8)
    cells[(label_cls == 0).any(-1)] = (40, 80, 190)
    cells[(label_cls == 1).any(-1)] = TARGET
    return cells


def _heat(scores: np.ndarray) -> np.ndarray:
    """From black (0) over red to yellow (1)."""
    red = np.clip(2 * scores, 0, 1)
    green = np.clip(2 * scores - 1, 0, 1)
    return np.rint(255 * np.stack([red, green, np.zeros_like(red)], -1)).astype(np.uint8)


def _enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    nearest = np.arange(side) * cells.shape[0] // side
    return cells[nearest][:, nearest]


def _padded(image: np.ndarray, side: int) -> np.ndarray:
    canvas = np.full((side, side, 3), _PAPER, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def _stacked(images: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(images[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, _PAPER, np.uint8)
    parts = [part for image in images for part in (gap, image)][1:]
    return np.concatenate(parts, axis)
