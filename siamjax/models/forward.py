"""Compilation of what runs networks forward only: tracking and scoring."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer
from jaxlib.version import __version__ as jaxlib_version

# Without YNNPACK's fusions, XLA's own convolutions and products take CPUs 5 to 14 % less time
# (benchmarks/engines.py). Its sums are much slower then, of which training is full. Options are
# experimental, and an unknown one is an error, hence for the versions in which it was measured.
_ON_CPU = {"xla_cpu_experimental_ynn_fusion_type": ""} if jaxlib_version[:5] == "0.10." else {}


class _Forward:
    """A jitted function: options where it is compiled on its own, none within another."""

    def __init__(self, function: Callable, static_argnames: tuple[str, ...]):
        functools.update_wrapper(self, function)
        self._function = function
        self._within = jax.jit(function, static_argnames=static_argnames)
        self._static = static_argnames

    @functools.cached_property
    def _alone(self) -> Any:
        # Read when it first runs: at import, JAX has no backend yet.
        if not _ON_CPU or jax.default_backend() != "cpu":
            return self._within
        return jax.jit(self._function, static_argnames=self._static, compiler_options=_ON_CPU)

    def __call__(self, *arguments, **named):
        leaves = jax.tree.leaves((arguments, named))
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self._within(*arguments, **named)
        return self._alone(*arguments, **named)

    def trace(self, *arguments, **named) -> jax.stages.Traced:
        """As that of a jitted function."""
        return self._alone.trace(*arguments, **named)


def forward_jit(*static_argnames: str) -> Callable[[Callable], Any]:
    """A decorator in the place of `jax.jit`; the names are of static arguments."""
    return lambda function: _Forward(function, static_argnames)
