"""Several processes as one run: who joins, who speaks, and what they agree on."""

import importlib.util
import itertools
import os
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax._src import distributed  # what JAX's processes tell each other has no public name
from jax.experimental import multihost_utils

from siamjax.config import ConfigError
from siamjax.errors import SiamjaxError

# Where launchers say how many processes there are; JAX reads the rest of their variables.
_LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_ASK_EVERY = 0.1  # seconds between two looks for what another process has to say
_FAILED = "failed"
_meetings = itertools.count()  # all processes come to all of them in the same order


def join_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes this process one of several, where there are several; call it before all else.

    With arguments, those of `jax.distributed.initialize`: number `process_id` of so many
    processes, which meet at `coordinator`, the address `host:port` of number 0. Without: as
    Slurm, Open MPI or a TPU pod say; else this process is alone. Raises `ConfigError` for
    arguments that make no sense.
    """
    given = {
        "--coordinator": coordinator,
        "--num-processes": num_processes,
        "--process-id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        if has_launcher(os.environ):
            _initialize()
        return
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} must be given, too, since jax.distributed needs all "
            "three: --coordinator is HOST:PORT of process 0, --num-processes how many there "
            "are, --process-id this one's number from 0"
        )
    if num_processes < 1:
        raise ConfigError(f"`--num-processes` (={num_processes}) must be at least 1")
    if not 0 <= process_id < num_processes:
        raise ConfigError(
            f"`--process-id` (={process_id}) must be one of the `--num-processes` "
            f"(={num_processes}), counted from 0: 0 to {num_processes - 1}"
        )
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError(
            f"`--coordinator` (={coordinator!r}) must be HOST:PORT, the address of process 0 "
            "and a free port there, such as host0:8476"
        )
    _initialize(coordinator, num_processes, process_id)


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
        raise ConfigError(
            f"the processes of this run did not meet: {first_line} (jax.distributed; each "
            "needs the same --coordinator and --num-processes, and a --process-id of its own)"
        ) from error


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Returns when every process has come to the place of this name, however long it takes.

    A collective of the devices would give up in the meantime.
    """
    if jax.process_count() == 1:
        return
    place = f"siamjax/{next(_meetings)}/{name}"
    _client().key_value_set(f"{place}/{jax.process_index()}", "here")
    while len(_client().key_value_dir_get(place)) < jax.process_count():
        time.sleep(_ASK_EVERY)


def from_main(work: Callable[[], int]) -> int:
    """What `work()` returns in the main process, which alone does it; the others wait.

    They wait however long it takes, as in `wait_for_all`; all must ask. Raises
    `SiamjaxError` in the others when the main process could not do it.
    """
    if jax.process_count() == 1:
        return work()
    place = f"siamjax/{next(_meetings)}/work"
    if not is_main():
        while not (told := _client().key_value_dir_get(place)):
            time.sleep(_ASK_EVERY)
        if told[0][1] == _FAILED:
            raise SiamjaxError("process 0 of this run failed, and said why")
        return int(told[0][1])
    result = _FAILED
    try:
        result = str(work())
    finally:
        _client().key_value_set(f"{place}/result", result)
    return int(result)


def _client():
    return distributed.global_state.client


def largest(number: int) -> int:
    """The largest of the processes' numbers; all must ask."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))
