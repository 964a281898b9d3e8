"""Folding the input normalisation of ImageNet networks into their stems.

They take RGB images as (x / 255 - mean) / std; ours take BGR images of 0..255 as they are.
Our stems are not padded, so each of their outputs is a full sum over the kernel, and turning
kernel and offset computes the very same numbers.
"""

import numpy as np

# torchvision's, for red, green and blue.
MEAN = np.array((0.485, 0.456, 0.406))
STD = np.array((0.229, 0.224, 0.225))


def folded_kernel(kernel: np.ndarray) -> np.ndarray:
    """A stem's kernel `[o, 3, kh, kw]` for normalised RGB, turned into one for raw BGR."""
    scaled = kernel / (255 * STD)[:, None, None]
    return scaled[:, ::-1].astype(np.float32)


def folded_offset(kernel: np.ndarray) -> np.ndarray:
    """What the normalisation's mean takes from each output `[o]` of the stem.

    Normalised RGB through `kernel` is raw BGR through `folded_kernel(kernel)`, minus this.
    """
    return (kernel * (MEAN / STD)[:, None, None]).sum((1, 2, 3))
