"""Calibrates batch norms that came folded into their convolutions.

Folded weights leave ours with a mean of 0 and a variance of 1, which is right while running
statistics are in use, and wrong as soon as a stage is trained and normalises by the batch. So
the statistics are measured on one batch, and scale and bias are set such that the network
computes the same as before.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.data.schema import Batch

if TYPE_CHECKING:
    import flax.linen as nn

EPSILON = 1e-5  # of PySOT's batch norms


@functools.partial(jax.jit, static_argnames=("network", "norms"))
def calibrate_norms(
    variables: Mapping[str, Any], batch: Batch, *, network: "nn.Module", norms: tuple[str, ...]
) -> dict[str, Any]:
    """`variables` with the batch norms at the paths `norms` calibrated on `batch`.

    A path is "backbone/layer1/block0/expand_bn". Mean and variance become those of the
    templates and search images together; the network's outputs stay the same, to rounding.
    What changes is a copy.
    """
    _, captured = network.apply(
        variables,
        batch.template,
        batch.search,
        capture_intermediates=lambda module, _: "/".join(module.path) in norms,
        mutable=["intermediates"],
    )
    params, stats = (jax.tree.map(jnp.copy, variables[k]) for k in ("params", "batch_stats"))
    for norm in norms:
        affine, running = _at(params, norm), _at(stats, norm)
        mean, var = _moments(_at(captured["intermediates"], norm)["__call__"])
        # Outputs were measured: a * x + b.
        slope = affine["scale"] / jnp.sqrt(running["var"] + EPSILON)
        running["mean"] += (mean - affine["bias"]) / slope
        running["var"] = var / slope**2
        affine["scale"] = slope * jnp.sqrt(running["var"] + EPSILON)
        affine["bias"] = mean
    return {"params": params, "batch_stats": stats}


def _at(tree: Any, path: str) -> Any:
    return functools.reduce(lambda inner, name: inner[name], path.split("/"), tree)


def _moments(outputs: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and variance `[c]` over all calls' outputs `[b, h, w, c]`."""
    flat = jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in outputs])
    return flat.mean(0), flat.var(0)
