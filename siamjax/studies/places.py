"""Where cells run at once: one on each GPU, or each on its share of the processor's cores."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from siamjax.config import require


class Place(NamedTuple):
    """What one cell at a time may use; everything where nothing is named."""

    gpu: str | None = None  # as CUDA counts them
    cores: tuple[int, ...] = ()


def places(gpus: Sequence[str], jobs: int) -> list[Place]:
    """A place for each of `gpus`, or `jobs` places with as many cores each.

    Raises `ConfigError` when both are asked for, or more places than there are cores.
    """
    require(
        not gpus or jobs == 1,
        f"`jobs` (={jobs}) divides the processor's cores and `gpus` (={tuple(gpus)}) runs a "
        "cell on each GPU; give one of them",
    )
    if gpus:
        return [Place(gpu=gpu) for gpu in gpus]
    if jobs == 1:
        return [Place()]
    pinned = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if pinned else range(os.cpu_count() or 1)
    require(
        1 <= jobs <= len(cores),
        f"`jobs` (={jobs}) must be from 1 to the {len(cores)} cores of this machine",
    )
    share = len(cores) // jobs
    return [
        Place(cores=tuple(cores[i * share : (i + 1) * share]) if pinned else ())
        for i in range(jobs)
    ]
