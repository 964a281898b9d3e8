"""Folding the input normalisation of ImageNet networks into their stems.

They take RGB images as (x / 255 - mean) / std; ours take BGR images of 0..255 as they are.
Our stems are not padded, so each of their outputs is a full sum over the kernel, and turning
kernel and offset computes the very same numbers.
"""

from typing import NamedTuple

import numpy as np


class Normalisation(NamedTuple):
    """Mean and standard deviation of red, green and blue, on a scale of 0..1."""

    mean: np.ndarray
    std: np.ndarray

    def folded_kernel(self, kernel: np.ndarray) -> np.ndarray:
        """A stem's kernel `[o, 3, kh, kw]` for normalised RGB, turned into one for raw BGR."""
        scaled = kernel / (255 * self.std)[:, None, None]
        return scaled[:, ::-1].astype(np.float32)

    def folded_offset(self, kernel: np.ndarray) -> np.ndarray:
        """What the mean takes from each output `[o]` of the stem.

        Normalised RGB through `kernel` is raw BGR through `folded_kernel(kernel)`, minus
        this.
        """
        return (kernel * (self.mean / self.std)[:, None, None]).sum((1, 2, 3))


TORCHVISION = Normalisation(np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225)))
MINUS_ONE_TO_ONE = Normalisation(np.full(3, 0.5), np.full(3, 0.5))
