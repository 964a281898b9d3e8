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


def siamfc_subwindow(frame, center, side, size, color):
    """siamfc-pytorch's crop: rounds the corner, pads, resizes. `side` is a whole number."""
    height, width = frame.shape[:2]
    x0, y0 = (round(c - (side - 1) / 2) for c in center)
    pad = max(0, -x0, -y0, x0 + side - width, y0 + side - height)
    canvas = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=color)
    return cv2.resize(
        canvas[y0 + pad : y0 + pad + side, x0 + pad : x0 + pad + side], (size, size)
    )


def siamfc_step(responses, center, size):
    """Section 9 for responses `[3, 17, 17]` to searches of 255: centre, size, score."""
    fine = np.stack(
        [cv2.resize(r, (272, 272), interpolation=cv2.INTER_CUBIC) for r in responses]
    )
    raw = fine.astype(np.float64)
    fine = raw.copy()
    fine[0] *= 0.9745
    fine[2] *= 0.9745
    k = int(np.argmax([f.max() for f in fine]))
    response = fine[k] - fine[k].min()
    response /= response.sum() + 1e-16
    window = np.outer(np.hanning(272), np.hanning(272))
    response = (1 - 0.176) * response + 0.176 * window / window.sum()
    ranks = np.sort(response.ravel())
    row, column = np.unravel_index(np.argmax(response), response.shape)
    scale = 1.0375 ** (k - 1)
    context = 0.5 * (size[0] + size[1])
    x_size = math.sqrt((size[0] + context) * (size[1] + context)) * 255 / 127
    to_frame = 8 / 16 * x_size * scale / 255
    peaks = sorted(f.max() for f in (raw[0] * 0.9745, raw[1], raw[2] * 0.9745))
    margin = min(peaks[-1] - peaks[-2], (ranks[-1] - ranks[-2]) / ranks[-1])
    return (
        center[0] + (column - 135.5) * to_frame,
        center[1] + (row - 135.5) * to_frame,
        size[0] * ((1 - 0.59) + 0.59 * scale),
        size[1] * ((1 - 0.59) + 0.59 * scale),
        1 / (1 + math.exp(-raw[k, row, column])),
        margin,
    )
