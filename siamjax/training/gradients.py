"""The gradient of a batch: whole or in micro-batches, on one device or many.

Every part divides its losses by the counts of the whole batch, so that losses and gradients
of the parts add up. Only batch norm differs: each micro-batch is normalised by its own
statistics.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import Config
from siamjax.data.schema import Batch
from siamjax.models.layers import batch_divided_over
from siamjax.training.losses import Losses, count, pair_losses
from siamjax.training.phases import fixed_norms
from siamjax.training.state import TrainState

if TYPE_CHECKING:
    import flax.linen as nn


def batch_gradients(
    state: TrainState,
    batch: Batch,
    *,
    network: "nn.Module",
    config: Config,
    frozen: tuple[str, ...],
    trained: Any,
    axis_name: str | None = None,
) -> tuple[Any, Losses, Any]:
    """The gradients of all parameters, 0 where not trained, the losses, the new statistics.

    `trained` is a tree of bool like the parameters. With `axis_name`, `batch` is this device's
    part of the batch, and the results are the whole batch's, the same on each device. Running
    statistics take one step of their momentum, whatever the number of parts: the mean of the
    steps that the parts would take. Those of `frozen` stages stay unchanged, bit by bit.
    """
    counts = count(batch)
    if axis_name is not None:
        counts = jax.lax.psum(counts, axis_name)
    # Frozen parameters are no argument of the loss, so that no backward pass is computed.
    free = jax.tree.map(lambda chosen, leaf: leaf if chosen else None, trained, state.params)

    def loss_of(free, part: Batch) -> tuple[Array, tuple[Losses, Any]]:
        params = jax.tree.map(
            lambda leaf, new: leaf if new is None else new, state.params, free
        )
        with batch_divided_over(axis_name if config.train.batch_stats == "global" else None):
            prediction, updated = network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                part.template,
                part.search,
                train=True,
                frozen=fixed_norms(config, frozen),
                mutable=["batch_stats"],
            )
        losses = pair_losses(prediction, part, config.loss, counts)
        return losses.total, (losses, updated.get("batch_stats", {}))

    def of_part(part: Batch) -> tuple[Any, Losses, Any]:
        gradients, (losses, batch_stats) = jax.grad(loss_of, has_aux=True)(free, part)
        return gradients, losses, jax.tree.map(jnp.subtract, batch_stats, state.batch_stats)

    parts = config.train.micro_batches
    gradients, losses, changes = _sum_over(of_part, batch, parts)
    if axis_name is not None:
        gradients, losses = jax.lax.psum((gradients, losses), axis_name)
        changes = jax.lax.pmean(changes, axis_name)
    batch_stats = jax.tree.map(
        lambda old, change: old + change / parts, state.batch_stats, changes
    )
    gradients = jax.tree.map(
        lambda leaf, new: jnp.zeros_like(leaf) if new is None else new, state.params, gradients
    )
    return gradients, losses, batch_stats


def _sum_over(of_part, batch: Batch, parts: int) -> Any:
    """The sum of `of_part` over the micro-batches of a batch."""
    if parts == 1:
        return of_part(batch)
    # Every n-th pair, so that a sharded batch stays on its devices.
    divided = jax.tree.map(
        lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1), batch
    )

    def add(total, part):
        return jax.tree.map(jnp.add, total, of_part(part)), None

    one = jax.tree.map(lambda x: x[0], divided)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_part, one))
    return jax.lax.scan(add, zeros, divided)[0]
