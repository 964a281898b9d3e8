"""SGD with momentum, coupled weight decay and a learning rate per epoch."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from siamjax.config import Config, OptimConfig, TrainConfig
from siamjax.training.phases import phases, rate_scales


class Momentum(NamedTuple):
    """The optimiser's state, one tree in all phases: zero where frozen.

    Attributes:
        trace: a tree like the parameters.
    """

    trace: Any


def epoch_rates(optim: OptimConfig, epochs: int) -> np.ndarray:
    """The learning rate of each epoch, `[epochs]` float32.

    Warm-up epoch i of n has warmup_lr * (lr / warmup_lr) ** (i / n), which stays below `lr`;
    the others decay from `lr` to `end_lr`, both included, evenly in the logarithm. With the
    schedule "hold" only the last tenth of all epochs decays, its first below `lr` already.

    Reference: PySOT's `LRScheduler` with a `step` warm-up and a `log` schedule; SiamFC's
    (section 4.1 of its paper) without a warm-up.
    """
    warmup = optim.warmup_epochs
    rise = np.geomspace(optim.warmup_lr, optim.lr, warmup + 1)[:-1]
    after = epochs - warmup
    if optim.schedule == "hold":
        falling = min(math.ceil(epochs / 10), after)
        held = np.full(after - falling, optim.lr)
        fall = np.concatenate([held, np.geomspace(optim.lr, optim.end_lr, falling + 1)[1:]])
    else:
        fall = np.geomspace(optim.lr, optim.end_lr, after)
    return np.concatenate([rise, fall]).astype(np.float32)


def learning_rate(
    step: int | Array, optim: OptimConfig, train: TrainConfig
) -> np.float32 | Array:
    """The learning rate of step `step`, counted from 0; past the last epoch, the last one's.

    Computed in NumPy for a Python integer, in JAX for an array.
    """
    xp = np if isinstance(step, int) else jnp
    epoch = xp.minimum(step // train.steps_per_epoch, train.epochs - 1)
    return xp.asarray(epoch_rates(optim, train.epochs))[epoch]


def gradient_scale(config: Config) -> float:
    """The factor on the mean gradient of the global batch.

    PySOT sums the gradients of its GPUs, each the mean over `optim.summed_batch` pairs. With
    the same pairs in one batch of `train.batch_size`, that sum is the mean gradient times
    batch_size / summed_batch: exactly so for the location loss; for the classification loss,
    pooled over the global batch here, up to the number of anchors on each GPU. The factor
    applies before clipping, as the sum does, and not to the weight decay.
    """
    summed = config.optim.summed_batch
    return 1.0 if summed is None else config.train.batch_size / summed


def restarted(state: Momentum, step: Array, config: Config) -> Momentum:
    """The optimiser's state before step `step`: reset to zero where a later phase begins.

    The reset is separate from the step, so that it holds even if the step is skipped.
    """
    begins = [step == phase.first_step for phase in phases(config)[1:]]
    if not begins:
        return state
    keep = ~jnp.any(jnp.array(begins))
    return Momentum(
        jax.tree.map(lambda leaf: jnp.where(keep, leaf, jnp.zeros_like(leaf)), state.trace)
    )


def build_optimizer(
    config: Config, frozen: tuple[str, ...] = ()
) -> optax.GradientTransformationExtraArgs:
    """PyTorch's SGD after clipping by the global gradient norm, for one phase of a run.

    `update(gradients, state, params, step=...)` takes the mean gradients of the global batch,
    zero for the backbone's stages in `frozen`, and the number of steps before this one. The
    order matters: the gradient is scaled and clipped before weight decay is added, decay is
    added before momentum (coupled, on every trained parameter, biases and batch norm too), and
    the learning rate multiplies last, so that a new rate also scales the old momentum. Momentum
    is reset between phases, see `restarted`.
    """
    optim, train = config.optim, config.train
    factor = gradient_scale(config)

    def init(params: Any) -> Momentum:
        return Momentum(jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None, **extra_args) -> tuple[Any, Momentum]:
        gradients, step = updates, extra_args["step"]
        if factor != 1:
            gradients = jax.tree.map(lambda g: g * factor, gradients)
        if optim.clip_norm is not None:
            clip = optax.clip_by_global_norm(optim.clip_norm)
            gradients, _ = clip.update(gradients, clip.init(gradients))
        rate = learning_rate(step, optim, train)
        momentum = jnp.float32(optim.momentum)

        def follow(scale, gradient, trace, param):
            return trace if scale == 0 else momentum * trace + gradient + decay * param

        def move(scale, trace):
            return jnp.zeros_like(trace) if scale == 0 else -rate * scale * trace

        decay = optim.weight_decay
        scales = rate_scales(params, config, frozen)
        traces = jax.tree.map(follow, scales, gradients, state.trace, params)
        return jax.tree.map(move, scales, traces), Momentum(traces)

    return optax.GradientTransformationExtraArgs(init, update)
