"""Folds batch norms into the convolutions before them, for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from siamjax.models.build import backbone_class, build_network
from siamjax.models.siamese import SiameseRPN, SiamFC

if TYPE_CHECKING:
    from siamjax.config import ModelConfig


def fold_batch_norm(config: ModelConfig, variables: dict) -> tuple[SiameseRPN | SiamFC, dict]:
    """The network without batch norms, and its variables, from the trained network's.

    A batch norm that uses running statistics is an affine map of the convolution's output;
    here it becomes part of the kernel and the bias. The result gives the same predictions up
    to rounding and cannot be trained.
    """
    statistics = variables["batch_stats"]
    params = {
        part: _fold(child, statistics[part], _epsilon(config, part))
        if part in statistics
        else child
        for part, child in variables["params"].items()
    }
    # The trained network fits its configuration, and so does this one.
    network = build_network(config, folded=True, checked=False)
    return network, {"params": params, "batch_stats": {}}


def unfold_batch_norm(
    config: ModelConfig, folded: dict, like: dict
) -> tuple[dict, tuple[str, ...]]:
    """Variables with batch norms that compute what the `folded` ones do, and the norms' paths.

    Each batch norm is the identity, except for its bias, which it takes from the convolution;
    `training.batch_norm` measures the statistics again. `like` is a tree of the trained
    network's variables, or of some of its parts; what `folded` lacks is left out.
    """
    norms: list[str] = []
    params, statistics = {}, {}
    for part, child in folded["params"].items():
        params[part] = child
        if part in like["batch_stats"]:
            params[part], statistics[part] = _unfold(
                child,
                like["params"][part],
                like["batch_stats"][part],
                _epsilon(config, part),
                (part,),
                norms,
            )
    return {"params": params, "batch_stats": statistics}, tuple(norms)


def _epsilon(config: ModelConfig, part: str) -> float:
    kind = backbone_class(config.backbone.name) if part == "backbone" else None
    return getattr(kind, "norm_epsilon", 1e-5)


def _convolution_of(norm: str) -> str:
    return norm.removesuffix("_bn") if norm.endswith("_bn") else norm.replace("bn", "conv")


def _unfold(folded, params, statistics, epsilon, path, norms) -> tuple[dict, dict]:
    norms_here = {
        _convolution_of(name): name for name, stats in statistics.items() if "mean" in stats
    }
    ours, running = {}, {}
    for name, child in folded.items():
        if name in norms_here and isinstance(child, dict) and "bias" in child:
            norm, bias = norms_here[name], np.asarray(child["bias"])
            ours[name] = {leaf: array for leaf, array in child.items() if leaf != "bias"}
            if "bias" in params[name]:
                ours[name]["bias"] = np.zeros_like(bias)
            ours[norm] = {"scale": np.ones_like(bias), "bias": bias}
            # With this variance the norm divides by one.
            running[norm] = {
                "mean": np.zeros_like(bias),
                "var": np.full_like(bias, 1 - epsilon),
            }
            norms.append("/".join((*path, norm)))
        elif name in statistics and isinstance(child, dict):
            ours[name], running[name] = _unfold(
                child, params[name], statistics[name], epsilon, (*path, name), norms
            )
        else:
            ours[name] = child
    return ours, running


def _fold(params: dict, statistics: dict, epsilon: float) -> dict:
    norms = {name for name, stats in statistics.items() if "mean" in stats}
    folded = {
        name: _fold(child, statistics[name], epsilon) if name in statistics else child
        for name, child in params.items()
        if name not in norms
    }
    for name in norms:
        norm, stats = params[name], statistics[name]
        scale = norm["scale"] * (stats["var"] + epsilon) ** -0.5
        conv = _convolution_of(name)
        bias = params[conv].get("bias", 0.0)
        folded[conv] = {
            "kernel": params[conv]["kernel"] * scale,
            "bias": (bias - stats["mean"]) * scale + norm["bias"],
        }
    return folded
