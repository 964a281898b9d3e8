"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siamjax.models.alexnet import SIAMFC_EPSILON
from siamjax.models.build import build_network
from siamjax.models.siamese import SiameseRPN, SiamFC

if TYPE_CHECKING:
    from siamjax.config import ModelConfig


def fold_batch_norm(config: ModelConfig, variables: dict) -> tuple[SiameseRPN | SiamFC, dict]:
    """The network without batch norms, and its variables, from the trained network's.

    A batch norm that uses running statistics is an affine map of the convolution's output;
    here it becomes part of the kernel and the bias. The result gives the same predictions up
    to rounding and cannot be trained.
    """
    epsilon = SIAMFC_EPSILON if config.backbone.name == "siamfc_alexnet" else 1e-5
    params = _fold(variables["params"], variables["batch_stats"], epsilon)
    return build_network(config, folded=True), {"params": params, "batch_stats": {}}


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
        conv = name.removesuffix("_bn") if name.endswith("_bn") else name.replace("bn", "conv")
        bias = params[conv].get("bias", 0.0)
        folded[conv] = {
            "kernel": params[conv]["kernel"] * scale,
            "bias": (bias - stats["mean"]) * scale + norm["bias"],
        }
    return folded
