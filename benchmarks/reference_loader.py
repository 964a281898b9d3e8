"""The published training recipe as one would write it: whole JPEG files and plain OpenCV.

What PySOT's loader does, step for step: a file a crop, decoded whole, one warp, a colour
offset, the blur as a square filter, anchor targets, channels first. Only the targets are
ours, since they are NumPy in the original, too.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from siamjax.config import Config
from siamjax.data import augment, targets

Timed = Callable[[str, Callable], Callable]


class ReferenceLoader:
    """Batches of random pairs of stored crops, without regard to tracks."""

    def __init__(self, files: Sequence[Path], boxes: np.ndarray, config: Config, timed: Timed):
        """`boxes` `[n, 4]` `_xyxy` are the targets in the pictures; `timed` wraps stages."""
        self._files, self._boxes, self._config = list(files), boxes, config
        self._read = timed("read", Path.read_bytes)
        self._decode = timed("decode", _decode)
        self._crop = timed("crop", _crop)
        self._augment = timed("augment", _augment)
        self._targets = timed("targets", targets.Labeller(config))
        self._stack = timed("batch", _stack)

    def batch(self, rng: np.random.Generator, count: int) -> list[np.ndarray]:
        """Template, search image and labels of `count` pairs."""
        return self._stack([self._pair(rng) for _ in range(count)])

    def _pair(self, rng):
        data, model = self._config.data, self._config.model
        pictures = []
        for settings, size in (
            (data.template, model.template_size),
            (data.search, model.search_size),
        ):
            number = int(rng.integers(len(self._files)))
            image = self._decode(self._read(self._files[number]))
            params = augment.draw_augmentation(rng, settings, size)
            image, box = self._crop(image, self._boxes[number], params, size)
            pictures.append(self._augment(image, params))
        label = self._targets(rng, box, bool(rng.random() < data.negative_prob))
        return (*pictures, *label, box)


def _decode(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def _crop(image, box, params, size):
    side = (size - 1) * params.scale
    center = image.shape[0] // 2
    low = np.clip(center + params.shift - side / 2, 0, image.shape[0] - 1 - side)
    x, y = (size - 1) / side
    matrix = np.array([[x, 0, -x * low[0]], [0, y, -y * low[1]]])
    moved = (box.reshape(2, 2) - low) * [x, y]
    return cv2.warpAffine(image, matrix, (size, size)), moved.reshape(4).astype(np.float32)


def _augment(image, params):
    if params.color is not None:
        image = image - params.color  # float64 from here on, as there
    if params.blur_size:
        kernel = np.zeros((params.blur_size, params.blur_size))
        kernel[:, params.blur_size // 2] += params.blur_mix
        kernel[params.blur_size // 2] += 1 - params.blur_mix
        image = cv2.filter2D(image, -1, kernel / params.blur_size)
    if params.flip:
        image = cv2.flip(image, 1)
    return image.transpose(2, 0, 1).astype(np.float32, order="C")


def _stack(pairs):
    return [np.stack(column) for column in zip(*pairs, strict=True)]
