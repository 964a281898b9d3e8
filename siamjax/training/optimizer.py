"""SGD with momentum, coupled weight decay and a rate that is constant within an epoch."""

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from siamjax.config import OptimConfig, TrainConfig


def epoch_rates(optim: OptimConfig, epochs: int) -> np.ndarray:
    """The learning rate of each epoch, `[epochs]` float32.

    Warm-up epoch i of n has warmup_lr * (lr / warmup_lr) ** (i / n), which never reaches
    `lr`; the others run from `lr` to `end_lr`, both included, evenly in the logarithm.

    Reference: PySOT's `LRScheduler` with a `step` warm-up and a `log` schedule.
    """
    warmup = optim.warmup_epochs
    rise = np.geomspace(optim.warmup_lr, optim.lr, warmup + 1)[:-1]
    fall = np.geomspace(optim.lr, optim.end_lr, epochs - warmup)
    return np.concatenate([rise, fall]).astype(np.float32)


def learning_rate(
    step: int | Array, optim: OptimConfig, train: TrainConfig
) -> np.float32 | Array:
    """The rate of step `step`, counted from 0; past the last epoch, the last epoch's.

    A Python integer is answered on the host, a JAX array inside the computation.
    """
    xp = np if isinstance(step, int) else jnp
    epoch = xp.minimum(step // train.steps_per_epoch, train.epochs - 1)
    return xp.asarray(epoch_rates(optim, train.epochs))[epoch]


def build_optimizer(optim: OptimConfig, train: TrainConfig) -> optax.GradientTransformation:
    """PyTorch's SGD behind a clip of the global gradient norm.

    The order matters: the norm is clipped before weight decay joins the gradient, decay
    joins before momentum (coupled, on every parameter, biases and batch norm too), and the
    rate multiplies last, so that a change of rate acts on the momentum at once.
    """
    return optax.chain(
        optax.clip_by_global_norm(optim.clip_norm),
        optax.add_decayed_weights(optim.weight_decay),
        optax.trace(optim.momentum),
        optax.scale_by_learning_rate(lambda step: learning_rate(step, optim, train)),
    )
