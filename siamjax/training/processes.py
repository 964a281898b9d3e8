"""Several processes as one run: who joins, who speaks, and what they agree on."""

import importlib.util
import os
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from siamjax.config import ConfigError

# Where launchers say how many processes there are; JAX reads the rest of their variables.
_LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")


def join_processes(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> None:
    """Makes this process one of several, where there are several; call it before all else.

    With arguments: number `process` of so many `processes`, which meet at `coordinator`, the
    address `host:port` of number 0. Without: as Slurm, Open MPI or a TPU pod say; else this
    process is alone. Raises `ConfigError` for arguments that make no sense.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        if has_launcher(os.environ):
            _initialize()
        return
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} must be given, too: --coordinator is HOST:PORT of "
            "process 0, --processes how many there are, --process this one's number from 0"
        )
    if not 0 <= process < processes:
        raise ConfigError(
            f"`--process` (={process}) must be one of the `--processes` (={processes}), from 0"
        )
    if ":" not in coordinator:
        raise ConfigError(f"`--coordinator` (={coordinator!r}) must be HOST:PORT")
    _initialize(coordinator, processes, process)


def has_launcher(environment: Mapping[str, str]) -> bool:
    """Whether something that JAX understands has started several processes."""
    if any(int(environment.get(name) or 1) > 1 for name in _LAUNCHERS):
        return True
    on_tpu = importlib.util.find_spec("libtpu") is not None
    return on_tpu and environment.get("JAX_PLATFORMS", "tpu").split(",")[0] == "tpu"


def _initialize(*arguments) -> None:
    try:
        jax.distributed.initialize(*arguments)
    except (RuntimeError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"the processes of this run did not meet: {first_line}") from error


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Returns when every process has come to the place of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def largest(number: int) -> int:
    """The largest of the processes' numbers; all must ask."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))
