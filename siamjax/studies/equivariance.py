"""How far a backbone is from strict translation equivariance, position by position.

A network without padding maps a shifted image to shifted features. Two windows of one image,
one stride apart, show the same content at neighbouring cells; where their features differ,
the network knows the position. (SiamRPN++, section 3.1)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.api import Model

IMAGES = 16


def measure(model: Model, images: np.ndarray) -> dict[str, Any]:
    """Relative errors of the features of `images` `[n, s, s, 3]`, ready for JSON.

    For each level `[h, w]`: the mean norm of the difference between the features of the same
    content, over the mean norm of the features; zero for a network that knows no position.
    """
    stride = model.config.model.anchors.stride
    levels = model.config.model.levels
    network = model.network

    @jax.jit
    def features(variables, images):
        if hasattr(network, "extract"):
            return network.apply(variables, images, method=network.extract)
        # SiamFC's template branch is its backbone
        encoded = network.apply(variables, images, method=network.encode_template)
        return dict(zip(levels, encoded.kernels, strict=True))

    images = jnp.asarray(images[:IMAGES])
    windows = {
        "here": images[:, :-stride, :-stride],
        "down": images[:, stride:, :-stride],
        "right": images[:, :-stride, stride:],
    }
    found = {name: features(model.variables, window) for name, window in windows.items()}
    return {
        level: position_error(*(np.asarray(found[name][level]) for name in windows)).tolist()
        for level in found["here"]
    }


def position_error(here: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The error `[h - 1, w - 1]` of features `[n, h, w, c]` of three windows.

    `down` and `right` belong to windows one cell lower and one cell farther right, so that
    their cell (i, j) shows what `here` shows at (i + 1, j) and (i, j + 1).
    """
    lower = np.linalg.norm(here[:, 1:, :-1] - down[:, :-1, :-1], axis=-1)
    righter = np.linalg.norm(here[:, :-1, 1:] - right[:, :-1, :-1], axis=-1)
    size = np.linalg.norm(here[:, :-1, :-1], axis=-1).mean()
    return (lower + righter).mean(0) / 2 / max(float(size), 1e-12)


def in_middle(error: np.ndarray) -> float:
    """The mean over the innermost cells of `[h, w]`: one, or two on a side of even length."""
    rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in error.shape)
    return float(error[rows, columns].mean())


def at_border(error: np.ndarray) -> float:
    """The mean over the outermost cells of `[h, w]`."""
    ring = np.ones(error.shape, bool)
    ring[1:-1, 1:-1] = False
    return float(error[ring].mean())
