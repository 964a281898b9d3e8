"""Compiling side by side what a tracker calls in turn, so that the first box comes sooner."""

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
    """Compiles `begin`, and beside it what `follow` traces of the shapes that come out of it.

    JAX keeps what is compiled, so that calls with such arguments start at once; where it has it
    already, this costs a millisecond or two. A `frame` that is on a device may bind its results
    to that device, which shapes do not show: then nothing is done.
    """
    if isinstance(frame, jax.Array):
        return
    with ThreadPoolExecutor(1, "siamjax-compile") as pool:
        # Traced here, one after the other: that holds Python's lock anyway.
        compiling = pool.submit(begin.lower().compile)
        with contextlib.suppress(Exception):  # it comes again from the call, where it belongs
            follow(begin.out_info).lower().compile()
        compiling.result()
