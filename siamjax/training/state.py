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
        average: the moving average of `variables`, see `moving_average`; None without one.
    """

    step: Array
    skipped: Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """`{"params": ..., "batch_stats": ...}`, as `network.apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def learnt(self) -> dict[str, Any]:
        """What to track with: the average of the variables where one is kept."""
        return self.variables if self.average is None else self.average

    def starting_from(self, variables: dict[str, Any]) -> "TrainState":
        """This state with other variables, with which the average begins anew, if any."""
        average = None if self.average is None else jax.tree.map(jnp.copy, variables)
        return self.replace(**variables, average=average)


def moving_average(average: Any, new: Any, decay: float, count: Array) -> Any:
    """`average` after one more step, the one after `count` others, has come to `new`.

    A young average would be mostly what the run started from: the decay is at most
    (1 + count) / (10 + count). What does not change stays bit by bit.
    """
    count = count.astype(jnp.float32)
    share = 1 - jnp.minimum(jnp.float32(decay), (1 + count) / (10 + count))
    return jax.tree.map(lambda old, leaf: old + share * (leaf - old), average, new)


def create_state(
    init: Callable[[Array], dict],
    optimizer: optax.GradientTransformation,
    seed: int,
    *,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step. `init(key)` returns the network's variables.

    With `averaged` it keeps a moving average of them.

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
        average=jax.tree.map(jnp.copy, dict(variables)) if averaged else None,
    )
