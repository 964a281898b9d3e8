"""The training step, a pure function; `parallel` runs it on devices."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import optax
from jax import Array

from siamjax.config import Config
from siamjax.data.schema import AnyBatch, Batch, DrawnBatch
from siamjax.training.device_augment import make_finish
from siamjax.training.gradients import batch_gradients
from siamjax.training.optimizer import build_optimizer, gradient_scale, restarted
from siamjax.training.phases import rate_scales
from siamjax.training.state import TrainState, moving_average

if TYPE_CHECKING:
    import flax.linen as nn

Metrics = dict[str, Array]
Step = Callable[..., tuple[TrainState, Metrics]]  # of a state and a batch


def make_step(config: Config, network: "nn.Module", frozen: tuple[str, ...] = ()) -> Step:
    """`train_step` for one configuration and one phase."""
    return functools.partial(
        train_step,
        network=network,
        optimizer=build_optimizer(config, frozen),
        config=config,
        frozen=frozen,
        finish=make_finish(config) if config.data.finish_on == "device" else None,
    )


def train_step(
    state: TrainState,
    batch: AnyBatch,
    *,
    network: "nn.Module",
    optimizer: optax.GradientTransformationExtraArgs,
    config: Config,
    frozen: tuple[str, ...] = (),
    finish: Callable[[DrawnBatch], Batch] | None = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent on one batch.

    Returns the new state and metrics, float32 scalars: `loss`, its parts before weighting
    `cls_loss`, `loc_loss` and, if it has a weight, `iou_loss`; `grad_norm` of the mean gradient
    and, with `optim.summed_batch`, `summed_grad_norm` of the summed one, both before clipping;
    `skipped`. They belong to the parameters before the step.

    The backbone's stages in `frozen` keep their parameters and statistics, bit by bit.
    `finish` augments and labels a drawn batch, see `device_augment`. With `axis_name`, of
    `pmap` or `vmap`, `batch` is one device's part of the batch, and the results are the same on
    each.

    If the loss or the gradient is not finite, or the loss exceeds `train.max_loss`, `skipped`
    is 1 and parameters, statistics, their average and the momentum stay unchanged. The step
    counts all the same, so that step n always reads batch n with its epoch's learning rate.
    """
    if isinstance(batch, DrawnBatch):
        assert finish is not None, "a drawn batch needs `finish`"
        batch = finish(batch)
    trained = jax.tree.map(bool, rate_scales(state.params, config, frozen))
    gradients, losses, batch_stats = batch_gradients(
        state,
        batch,
        network=network,
        config=config,
        frozen=frozen,
        trained=trained,
        axis_name=axis_name,
    )
    norm = optax.tree.norm(gradients)
    momentum = restarted(state.opt_state, state.step, config)
    updates, opt_state = optimizer.update(gradients, momentum, state.params, step=state.step)
    is_sound = jnp.isfinite(losses.total) & jnp.isfinite(norm)
    is_sound &= losses.total <= config.train.max_loss

    def moved(is_trained: bool, old: Array, update: Array) -> Array:
        return jnp.where(is_sound, old + update, old) if is_trained else old

    def kept(new: Array, old: Array) -> Array:
        return jnp.where(is_sound, new, old)

    params = jax.tree.map(moved, trained, state.params, updates)
    batch_stats = jax.tree.map(kept, batch_stats, state.batch_stats)
    average = state.average
    if average is not None:
        average = moving_average(
            average,
            {"params": params, "batch_stats": batch_stats},
            config.train.average_decay,
            state.step - state.skipped,
        )
        average = jax.tree.map(kept, average, state.average)
    skipped = 1 - is_sound.astype(jnp.int32)
    metrics = {
        "loss": losses.total,
        "cls_loss": losses.cls,
        "loc_loss": losses.loc,
        "grad_norm": norm,
        "skipped": skipped.astype(jnp.float32),
    }
    if config.optim.summed_batch is not None:
        metrics["summed_grad_norm"] = norm * gradient_scale(config)
    if config.loss.iou_weight:
        metrics["iou_loss"] = losses.iou
    return (
        TrainState(
            step=state.step + jnp.int32(1),
            skipped=state.skipped + skipped,
            params=params,
            batch_stats=batch_stats,
            opt_state=jax.tree.map(kept, opt_state, momentum),
            average=average,
        ),
        metrics,
    )
