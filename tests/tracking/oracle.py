"""Section 6 of the reference written plainly: NumPy in float64, one loop, OpenCV's resize.

Independent of the code under test: no import of it, other formulas where there is a choice.
"""

import math

import cv2
import numpy as np

# Width and height of the five anchors at stride 8 and scale 8.
ANCHORS = [(104, 32), (88, 40), (64, 64), (40, 80), (32, 96)]


def subwindow(frame, center, side, size, mean):
    """Pads the whole frame, slices, resizes. `side` is a whole number."""
    height, width = frame.shape[:2]
    c = (side + 1) / 2
    x0, y0 = math.floor(center[0] - c + 0.5), math.floor(center[1] - c + 0.5)
    x1, y1 = x0 + side - 1, y0 + side - 1
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = max(0, x1 - width + 1), max(0, y1 - height + 1)
    canvas = np.empty((height + top + bottom, width + left + right, 3), np.uint8)
    canvas[:] = np.asarray(mean).astype(np.uint8)
    canvas[top : top + height, left : left + width] = frame
    patch = canvas[y0 + top : y1 + top + 1, x0 + left : x1 + left + 1]
    return cv2.resize(patch, (size, size)) if side != size else patch


def context(w, h):
    """Side of a box with its context."""
    p = (w + h) / 2
    return math.sqrt((w + p) * (h + p))


def change(r):
    return max(r, 1 / r)


def choose(cls_logits, loc, center, size, scale, frame_size, *, penalty_k, influence, rate):
    """Steps 2 to 9 for maps `[s, s, 5, 2]` and `[s, s, 5, 4]`: centre, size, score, ranks."""
    s = cls_logits.shape[0]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * i / (s - 1)) for i in range(s)]
    best, ranks = None, []
    for a, (aw, ah) in enumerate(ANCHORS):
        for row in range(s):
            for column in range(s):
                background, foreground = map(float, cls_logits[row, column, a])
                score = 1 / (1 + math.exp(background - foreground))
                dx, dy, dw, dh = map(float, loc[row, column, a])
                x = dx * aw + (column - s // 2) * 8
                y = dy * ah + (row - s // 2) * 8
                w, h = math.exp(dw) * aw, math.exp(dh) * ah
                s_c = change(context(w, h) / context(size[0] * scale, size[1] * scale))
                r_c = change((size[0] / size[1]) / (w / h))
                penalty = math.exp(-(r_c * s_c - 1) * penalty_k)
                rank = penalty * score * (1 - influence) + hann[row] * hann[column] * influence
                ranks.append(rank)
                if best is None or rank > best[0]:
                    best = (rank, x, y, w, h, penalty, score)
    _, x, y, w, h, penalty, score = best
    lr = penalty * score * rate
    width, height = frame_size
    return (
        (min(max(center[0] + x / scale, 0), width), min(max(center[1] + y / scale, 0), height)),
        (
            max(10, min(size[0] * (1 - lr) + w / scale * lr, width)),
            max(10, min(size[1] * (1 - lr) + h / scale * lr, height)),
        ),
        score,
        sorted(ranks),
    )
