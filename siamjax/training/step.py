"""The training step, a pure function; `parallel` puts it on devices."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax
from jax import Array

from siamjax.config import Config, LossConfig
from siamjax.data.schema import Batch, DrawnBatch
from siamjax.training.device_augment import make_finish
from siamjax.training.losses import Losses, pair_losses
from siamjax.training.state import TrainState

if TYPE_CHECKING:
    import flax.linen as nn

Metrics = dict[str, Array]
Step = Callable[[TrainState, Batch | DrawnBatch], tuple[TrainState, Metrics]]


def make_step(
    config: Config, network: "nn.Module", optimizer: optax.GradientTransformation
) -> Step:
    """`train_step` with all that a configuration settles beforehand."""
    return functools.partial(
        train_step,
        network=network,
        optimizer=optimizer,
        loss_config=config.loss,
        finish=make_finish(config) if config.data.finish_on == "device" else None,
    )


def train_step(
    state: TrainState,
    batch: Batch | DrawnBatch,
    *,
    network: "nn.Module",
    optimizer: optax.GradientTransformation,
    loss_config: LossConfig,
    finish: Callable[[DrawnBatch], Batch] | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on one batch.

    Returns the new state and float32 scalars: `loss`, its parts `cls_loss` and `loc_loss`
    before weighting, and `grad_norm` before clipping. They belong to the parameters that
    the step started from. `finish` disturbs and labels a batch that was only drawn, see
    `device_augment`.
    """
    if finish is not None:
        batch = finish(batch)

    def loss_of(params) -> tuple[Array, tuple[Losses, dict]]:
        prediction, updated = network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            batch.template,
            batch.search,
            train=True,
            mutable=["batch_stats"],
        )
        losses = pair_losses(prediction, batch, loss_config)
        return losses.total, (losses, updated.get("batch_stats", {}))

    gradients, (losses, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    metrics = {
        "loss": losses.total,
        "cls_loss": losses.cls,
        "loc_loss": losses.loc,
        "grad_norm": optax.tree.norm(gradients),
    }
    return (
        TrainState(
            step=state.step + jnp.int32(1),
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        ),
        metrics,
    )
