"""What a training step changes, and nothing else."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Sharding


@flax.struct.dataclass
class TrainState:
    """Everything that a run needs to go on from where it is.

    Attributes:
        step: how many steps were taken, int32 scalar.
        params: the network's parameters, float32.
        batch_stats: running means and variances of batch norm, float32.
        opt_state: momentum and the schedule's counter.
    """

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """`{"params": ..., "batch_stats": ...}`, as `network.apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(
    init: Callable[[Array], dict],
    optimizer: optax.GradientTransformation,
    seed: int,
    sharding: Sharding,
) -> TrainState:
    """The state before the first step, made on the devices where it will live.

    `init(key)` returns the network's variables.
    """

    def create() -> TrainState:
        variables = init(jax.random.key(seed))
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
        )

    # Under jit no array of it is anyone else's, so that steps may donate all of them.
    return jax.jit(create, out_shardings=sharding)()
