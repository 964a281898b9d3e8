"""The trackers in eager PyTorch, OpenCV and NumPy: what ours is timed beside.

The steps are those of PySOT's SiamRPN tracker, of DaSiamRPN's release and of siamfc-pytorch;
the network is that of `torch_networks`. One target, one frame at a time, as those are used.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch_networks import TorchNetwork, to_nchw

from siamjax.config import Config
from siamjax.geometry.anchors import anchor_grid, anchor_sizes


def context_side(size, amount: float) -> float:
    """Side of the square that shows a box with its context."""
    margin = amount * (size[0] + size[1])
    return float(np.sqrt((size[0] + margin) * (size[1] + margin)))


def cut(frame, center, side: float, size: int, color, corner: str):
    """A square of whole pixels around `center`, resized; padded only where it must be."""
    side = max(round(side), 1)
    if corner == "siamfc":
        x0, y0 = (round(c - (side - 1) / 2) for c in center)
    elif corner == "dasiamrpn":
        x0, y0 = (round(c - (side + 1) / 2) for c in center)
    else:
        x0, y0 = (int(np.floor(c - (side + 1) / 2 + 0.5)) for c in center)
    height, width = frame.shape[:2]
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x0 + side - width), max(0, y0 + side - height)
    if left or top or right or bottom:
        shape = (height + top + bottom, width + left + right, 3)
        canvas = np.empty(shape, np.uint8)
        canvas[:] = color
        canvas[top : top + height, left : left + width] = frame
        frame, x0, y0 = canvas, x0 + left, y0 + top
    patch = frame[y0 : y0 + side, x0 : x0 + side]
    return patch if side == size else cv2.resize(patch, (size, size))


def _change(ratio):
    return np.maximum(ratio, 1.0 / ratio)


class TorchTracker:
    """`init` once, then `update` for every frame; boxes are left, top, width, height."""

    def __init__(self, config: Config, variables: dict):
        self.config = config
        self.network = TorchNetwork(config.model, variables)
        self.is_siamfc = config.model.correlation == "plain"
        anchors, side = config.model.anchors, config.tracker.search_size
        cells = config.model.score_size_for(side)
        sizes = anchor_sizes(anchors.stride, anchors.ratios, anchors.scales)
        grid = anchor_grid(sizes, anchors.stride, cells)
        self.anchors = grid.transpose(2, 0, 1, 3).reshape(-1, 4)
        self.window = np.tile(np.outer(*[np.hanning(cells)] * 2).ravel(), anchors.count)

    def _crop(self, frame, factor: float, size: int):
        corner = "siamfc" if self.is_siamfc else self.config.tracker.arithmetic
        side = context_side(self.size, self.config.tracker.context_amount)
        return cut(frame, self.center, side * factor, size, self.color, corner)

    def init(self, frame, box_xywh) -> None:
        """Remembers the target."""
        self.size = np.array(box_xywh[2:], float)
        inset = 0.0 if self.config.tracker.arithmetic == "dasiamrpn" else 1.0
        self.center = np.array(box_xywh[:2], float) + (self.size - inset) / 2
        self.color = frame.mean(axis=(0, 1)).astype(np.uint8)
        template = self._crop(frame, 1.0, self.config.model.template_size)
        with torch.inference_mode():
            self.template = self.network.encode(to_nchw(template[None].astype(np.float32)))

    def update(self, frame) -> np.ndarray:
        """Where the target is now."""
        return (self._siamfc if self.is_siamfc else self._siamrpn)(frame)

    def _siamrpn(self, frame) -> np.ndarray:
        rules, model = self.config.tracker, self.config.model
        scale = model.template_size / context_side(self.size, rules.context_amount)
        crop = self._crop(frame, rules.search_size / model.template_size, rules.search_size)
        with torch.inference_mode():
            search = to_nchw(crop[None].astype(np.float32))
            cls, loc = self.network.predict(self.template, search)
            pairs = cls.permute(1, 2, 3, 0).reshape(2, -1).permute(1, 0)
            scores = pairs.softmax(dim=1)[:, 1].numpy()
            loc = loc.permute(1, 2, 3, 0).reshape(4, -1).numpy()
        x = loc[0] * self.anchors[:, 2] + self.anchors[:, 0]
        y = loc[1] * self.anchors[:, 3] + self.anchors[:, 1]
        w, h = np.exp(loc[2:]) * self.anchors[:, 2:].T

        target = self.size * scale
        margin = rules.context_amount * (w + h)
        side = np.sqrt((w + margin) * (h + margin))
        sides = _change(side / context_side(target, rules.context_amount))
        aspect = _change((target[0] / target[1]) / (w / h))
        penalty = np.exp(-(aspect * sides - 1) * rules.penalty_k)
        share = rules.window_influence
        best = np.argmax(penalty * scores * (1 - share) + self.window * share)
        rate = penalty[best] * scores[best] * rules.size_lr
        height, width = frame.shape[:2]
        moved = self.center + np.array([x[best], y[best]]) / scale
        self.center = np.clip(moved, 0, [width, height])
        size = self.size * (1 - rate) + np.array([w[best], h[best]]) / scale * rate
        self.size = np.clip(size, 10, [width, height])
        self.score = float(scores[best])
        return np.concatenate([self.center - self.size / 2, self.size])

    def _siamfc(self, frame) -> np.ndarray:
        rules, model = self.config.tracker, self.config.model
        middle = rules.scale_count // 2
        factors = rules.scale_step ** (np.arange(rules.scale_count) - middle)
        scale = model.template_size / context_side(self.size, rules.context_amount)
        side = rules.search_size / model.template_size
        crops = np.stack([self._crop(frame, side * f, rules.search_size) for f in factors])
        with torch.inference_mode():
            ((level, kernel),) = self.template.items()
            features = self.network.extract(to_nchw(crops.astype(np.float32)))[level]
            maps = (F.conv2d(features, kernel) * 0.001)[:, 0].numpy()
        fine = [
            cv2.resize(m, None, None, *[rules.response_up] * 2, cv2.INTER_CUBIC) for m in maps
        ]
        penalties = np.where(np.arange(len(factors)) == middle, 1.0, rules.scale_penalty)
        best = int(np.argmax([f.max() * p for f, p in zip(fine, penalties, strict=True)]))
        response = fine[best] * penalties[best]
        response = response - response.min()
        response /= response.sum() + 1e-16
        window = np.outer(*[np.hanning(len(response))] * 2)
        share = rules.window_influence
        ranked = (1 - share) * response + share * window / window.sum()
        row, column = np.unravel_index(ranked.argmax(), ranked.shape)
        cells = np.array([column, row]) - (len(response) - 1) / 2
        step = model.anchors.stride / rules.response_up
        self.center = self.center + cells * step * factors[best] / scale
        self.size = self.size * (1 - rules.size_lr + rules.size_lr * factors[best])
        self.score = float(1 / (1 + np.exp(-fine[best][row, column])))
        return np.concatenate([self.center - (self.size - 1) / 2, self.size])
