"""Distributions of the target's offset from the image centre (shift augmentation).

Each maps two independent numbers, uniform in [-1, 1], to an offset (x, y) in pixels within
+-`shift`. The paper shifts uniformly (SiamRPN++, section 3.1); its authors have called the
inverse frequency of the padding ideal.
"""

import statistics
from collections.abc import Callable

import numpy as np

_NORMAL = statistics.NormalDist(0.0, 0.5)  # in units of the range


def uniform(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """All offsets are equally likely."""
    return shift * u


def gaussian(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """Normal on each axis, its standard deviation half the range, truncated to the range."""
    low, high = _NORMAL.cdf(-1.0), _NORMAL.cdf(1.0)
    return shift * np.array(
        [_NORMAL.inv_cdf(low + (high - low) * (each + 1) / 2) for each in u]
    )


def inverse_padding(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """All fractions of padding are equally likely.

    A window as large as the image, centred on the target, reaches beyond the image by the
    fraction p = 1 - (1 - |x| / size) (1 - |y| / size), which is what zero padding lets a deep
    network see of the position. Under the uniform distribution a small p is rare, since few
    offsets cause it. Here p is uniform from 0 to its value in a corner, and all offsets with
    the same p are equally likely: an offset has the inverse frequency of its padding.
    """
    reach = shift / size
    padding = abs(u[0]) * (1 - (1 - reach) ** 2)
    kept = 1 - padding
    # Along a curve of constant p, the density of x is proportional to 1 / (1 - x).
    nearest, farthest = max(kept, 1 - reach), min(1.0, kept / (1 - reach))
    inside_x = nearest * (farthest / nearest) ** abs(u[1])
    offset = np.array([1 - inside_x, 1 - kept / inside_x])
    return size * offset * np.where(u < 0, -1.0, 1.0)


OFFSET_LAWS: dict[str, Callable[[np.ndarray, float, int], np.ndarray]] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "inverse_padding": inverse_padding,
}
