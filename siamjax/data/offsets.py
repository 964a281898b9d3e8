"""How likely each offset of the target from the centre is: laws for the shift of an image.

A law maps two independent numbers, uniform in [-1, 1], to an offset (x, y) in pixels within
a square of +-`shift`. The paper shifts uniformly (SiamRPN++, section 3.1); its authors have
named the inverse frequency of the padding as the ideal.
"""

import statistics
from collections.abc import Callable

import numpy as np

_NORMAL = statistics.NormalDist(0.0, 0.5)  # in units of the range


def uniform(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """Every offset is as likely as any other."""
    return shift * u


def gaussian(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """Normal on each axis with a deviation of half the range, cut off at the range."""
    low, high = _NORMAL.cdf(-1.0), _NORMAL.cdf(1.0)
    return shift * np.array(
        [_NORMAL.inv_cdf(low + (high - low) * (each + 1) / 2) for each in u]
    )


def inverse_padding(u: np.ndarray, shift: float, size: int) -> np.ndarray:
    """Every share of padding is as frequent as any other.

    A window as large as the image, centred on the target, reaches beyond the image by the
    share p = 1 - (1 - |x| / size) (1 - |y| / size), which is what zero padding lets a deep
    network see of the position. Under the uniform law a small p is rare, since few offsets
    cause it. Here p is uniform from 0 to that of a corner, and all offsets that cause the
    same p are equally likely: each offset has the inverse of its padding's frequency.
    """
    reach = shift / size
    padding = abs(u[0]) * (1 - (1 - reach) ** 2)
    kept = 1 - padding
    # Along a curve of one p, the density of x is proportional to 1 / (1 - x).
    nearest, farthest = max(kept, 1 - reach), min(1.0, kept / (1 - reach))
    inside_x = nearest * (farthest / nearest) ** abs(u[1])
    offset = np.array([1 - inside_x, 1 - kept / inside_x])
    return size * offset * np.where(u < 0, -1.0, 1.0)


OFFSET_LAWS: dict[str, Callable[[np.ndarray, float, int], np.ndarray]] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "inverse_padding": inverse_padding,
}
