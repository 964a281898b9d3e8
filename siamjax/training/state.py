"""What a training step changes, and nothing else."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array


@flax.struct.dataclass
class TrainState:
    """Everything that a run needs to go on from where it is.

    Attributes:
        step: how many steps were taken, int32 scalar; what is skipped counts as taken.
        skipped: how many of them changed nothing, since their loss or gradient was not finite.
        params: the network's parameters, float32.
        batch_stats: running means and variances of batch norm, float32.
        opt_state: momentum, like `params`.
    """

    step: Array
    skipped: Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """`{"params": ..., "batch_stats": ...}`, as `network.apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    init: Callable[[Array], dict], optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step. `init(key)` returns the network's variables.

    Call it under `jit` (`parallel.create_on`), so that no array of it is anyone else's and
    steps may donate all of them.
    """
    variables = init(jax.random.key(seed))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(variables["params"]),
    )
