"""Probes of a trained network: its position bias, and how far it is from equivariance.

The paper's evidence for the position bias (SiamRPN++, section 3.1 and figure 2): when a padded
network is trained with centred targets, its response concentrates at the centre wherever the
target is. And: a network without padding maps a shifted image to shifted features. Two windows
of one image, one stride apart, show the same content at neighbouring cells; where their
features differ, the network knows the position.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.api import Model
from siamjax.config import AugmentConfig, Config
from siamjax.data.pipeline import make_batches
from siamjax.data.schema import Batch

PAIRS, BATCH = 512, 16
# The centre is a square this far from the middle, as a share of the target's context (18 of
# the paper's 127 pixels), so that networks with larger inputs are measured alike.
CENTER = 1 / 7
# Targets farther out than this share count as elsewhere.
ELSEWHERE = 2 / 7
OFFSET_BINS = 8
EQUIVARIANCE_IMAGES = 16


def draw_pairs(config: Config, shift: float, cache_dir: Path, pairs: int = PAIRS) -> Batch:
    """Positive pairs of `config.data.sources` without augmentation, as one NumPy batch.

    Targets lie uniformly within `shift` pixels of the centre on each axis.
    """
    unaugmented = AugmentConfig(color=0.0)
    data = dataclasses.replace(
        config.data,
        template=unaugmented,
        search=dataclasses.replace(unaugmented, shift=shift),
        negative_prob=0.0,
        same_category_prob=0.0,
        other_category_prob=0.0,
        gray_prob=0.0,
        finish_on="host",
        num_workers=0,
    )
    train = dataclasses.replace(
        config.train, batch_size=BATCH, pairs_per_epoch=pairs, epochs=1, seed=0
    )
    optim = dataclasses.replace(config.optim, warmup_epochs=0)
    probing = dataclasses.replace(config, data=data, train=train, optim=optim)
    with make_batches(probing, cache_dir=cache_dir) as batches:
        drawn = [next(batches) for _ in range(pairs // BATCH)]
    return Batch(*(np.concatenate(parts) for parts in zip(*drawn, strict=True)))


def responses(model: Model, pairs: Batch) -> np.ndarray:
    """The response of every pair, `[n, h, w]` in 0..1: its best anchor's foreground score."""
    network: Any = model.network

    @jax.jit
    def respond(variables, template, search):
        logits = network.apply(variables, template, search).cls_logits
        if logits.shape[-1] == 1:
            return jax.nn.sigmoid(logits[..., 0]).max(-1)
        return jax.nn.softmax(logits)[..., 1].max(-1)

    parts = [
        respond(
            model.variables,
            jnp.asarray(pairs.template[i : i + BATCH]),
            jnp.asarray(pairs.search[i : i + BATCH]),
        )
        for i in range(0, len(pairs.template), BATCH)
    ]
    return np.concatenate([np.asarray(part) for part in parts])


def measure_response(model: Model, pairs: Batch, shift: float) -> dict[str, Any]:
    """The measurements of one network, ready for JSON; see `summarise`."""
    config = model.config.model
    return summarise(
        responses(model, pairs),
        centers=(pairs.box_xyxy[:, :2] + pairs.box_xyxy[:, 2:]) / 2,
        search_size=config.search_size,
        context=config.context_pixels,
        stride=config.anchors.stride,
        shift=shift,
    )


def summarise(
    response: np.ndarray,
    centers: np.ndarray,
    *,
    search_size: int,
    context: int,
    stride: int,
    shift: float,
) -> dict[str, Any]:
    """The position bias of responses `[n, h, w]` to targets at `centers` `[n, 2]` xy.

    `search_size`, `context` (side of a target with its context), `stride` and `shift` (largest
    distance of targets from the centre, per axis) are pixels.

    Returns
      heat: `[h, w]`, the mean response.
      center_share: the share of a response's sum that lies in the centre, mean over the pairs
        whose target is elsewhere; None without such pairs.
      center_share_even: the same for a uniform response.
      offsets: centres of the bins of the target's distance from the centre, pixels, on the
        axis where it is larger.
      errors: for each bin, the mean distance in pixels from the response's peak to the
        target's centre; None for an empty bin.
      errors_at_center: the same for a peak that is always at the centre.
    """
    height, width = response.shape[1:]
    middle = (search_size - 1) / 2
    ys = middle + (np.arange(height) - (height - 1) / 2) * stride
    xs = middle + (np.arange(width) - (width - 1) / 2) * stride
    offset = np.abs(centers - middle).max(-1)

    near = CENTER * context
    in_center = (np.abs(ys - middle) <= near)[:, None] & (np.abs(xs - middle) <= near)
    elsewhere = offset > ELSEWHERE * context
    share = (response * in_center).sum((1, 2)) / np.maximum(response.sum((1, 2)), 1e-12)

    row, column = np.unravel_index(
        response.reshape(len(response), -1).argmax(1), (height, width)
    )
    peak = np.stack([xs[column], ys[row]], -1)
    error = np.linalg.norm(peak - centers, axis=-1)
    still = np.linalg.norm(centers - middle, axis=-1)
    edges = np.linspace(0, max(shift, 1.0), OFFSET_BINS + 1)
    bins = np.digitize(offset, edges[1:-1])

    def by_bin(values: np.ndarray) -> list[float | None]:
        return [
            float(values[bins == i].mean()) if (bins == i).any() else None
            for i in range(OFFSET_BINS)
        ]

    return {
        "heat": response.mean(0).tolist(),
        "center_share": float(share[elsewhere].mean()) if elsewhere.any() else None,
        "center_share_even": float(in_center.mean()),
        "offsets": ((edges[:-1] + edges[1:]) / 2).tolist(),
        "errors": by_bin(error),
        "errors_at_center": by_bin(still),
    }


def measure_equivariance(model: Model, images: np.ndarray) -> dict[str, Any]:
    """Relative errors of the features of `images` `[n, s, s, 3]`, ready for JSON.

    For each level `[h, w]`: the mean norm of the difference between features of the same
    content, over the mean norm of the features; zero for a translation-equivariant network.
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

    few = jnp.asarray(images[:EQUIVARIANCE_IMAGES])
    windows = {
        "here": few[:, :-stride, :-stride],
        "down": few[:, stride:, :-stride],
        "right": few[:, :-stride, stride:],
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
    """The mean over the innermost cells of `[h, w]`: one per side, two if it is even."""
    rows, columns = (slice((side - 1) // 2, side // 2 + 1) for side in error.shape)
    return float(error[rows, columns].mean())


def at_border(error: np.ndarray) -> float:
    """The mean over the outermost cells of `[h, w]`."""
    ring = np.ones(error.shape, bool)
    ring[1:-1, 1:-1] = False
    return float(error[ring].mean())
