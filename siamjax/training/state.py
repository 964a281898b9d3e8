"""The training state: what a step changes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import Array


@flax.struct.dataclass
class TrainState:
    """Everything that a run needs to resume.

    Attributes:
        step: number of steps taken, int32 scalar, skipped ones included.
        skipped: number of skipped steps, whose loss or gradient was not finite, int32 scalar.
        params: the network's parameters, float32.
        batch_stats: running means and variances of batch norm, float32.
        opt_state: momentum, a tree like `params`.
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
    def eval_variables(self) -> dict[str, Any]:
        """The variables to track with: their average if there is one."""
        return self.variables if self.average is None else self.average

    def starting_from(self, variables: dict[str, Any]) -> "TrainState":
        """This state with other variables; the average, if any, restarts from them."""
        average = None if self.average is None else jax.tree.map(jnp.copy, variables)
        return dataclasses.replace(self, **variables, average=average)


def moving_average(average: Any, new: Any, decay: float, count: Array) -> Any:
    """The moving average after a step that led to `new`, `count` steps into the run.

    The decay is at most (1 + count) / (10 + count), since an early average would mostly be the
    initial variables. What does not change stays the same, bit by bit.
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

    With `averaged` the state has a moving average of them.

    To be called under `jit` (`parallel.create_on`), so that no buffers are aliased and steps
    may donate all of them.
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
