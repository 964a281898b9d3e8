"""Compiles `init` and the first `update` concurrently, so that the first box comes sooner."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
from jax.stages import Traced

from siamjax.tracking.frames import Frame
from siamjax.tracking.state import TrackerState


def compile_ahead(
    frame: Frame, begin: Traced, follow: Callable[[TrackerState], Traced]
) -> None:
    """Compiles `begin` and, concurrently, what `follow` traces of the shapes it returns.

    JAX caches both for the calls that follow; on a cache hit this costs a millisecond or two.
    A `frame` on a device may commit its results to that device, which shapes do not show:
    then nothing is done.
    """
    if isinstance(frame, jax.Array):
        return
    with ThreadPoolExecutor(1, "siamjax-compile") as pool:
        # Traced here, in turn: tracing holds the GIL anyway.
        compiling = pool.submit(begin.lower().compile)
        with contextlib.suppress(Exception):  # the call itself raises it again
            follow(begin.out_info).lower().compile()
        compiling.result()
