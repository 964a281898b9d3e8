"""Several processes as one run: which one prints and writes, and what they agree on."""

import importlib.util
import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax._src import distributed  # JAX's key-value store has no public name
from jax.experimental import multihost_utils

from siamjax.config import ConfigError
from siamjax.errors import SiamjaxError

# Where launchers say how many processes there are; JAX reads the rest of their variables.
_LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_POLL_SECONDS = 0.1
_FAILED = "failed"
_meetings = itertools.count()  # every process counts the same calls in the same order


def join_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes this process one of several, if there are several; to be called before all else.

    The arguments are those of `jax.distributed.initialize`: this is process `process_id` of
    `num_processes`, and `coordinator` is the address `host:port` of process 0. Without them,
    Slurm, Open MPI or a TPU pod may say so; otherwise this process is alone. Raises
    `ConfigError` for invalid arguments and when the initialisation fails.
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
    if coordinator is None or num_processes is None or process_id is None:
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
    """Whether a launcher that JAX knows has started several processes."""
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
            f"`jax.distributed` failed to initialise: {first_line}; all processes need the "
            "same --coordinator and --num-processes, and each a --process-id of its own"
        ) from error
    _separate_native_output()


def _separate_native_output() -> None:
    """Sends what native code prints to standard error, and leaves standard output to Python.

    Gloo's threads, one a device, announce their connections on descriptor 1, into each other's
    lines and ours; there is no option to turn it off.
    """
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = open(
        own, "w", buffering=1, encoding=sys.stdout.encoding, errors=sys.stdout.errors
    )


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Returns when every process has called this with the same name, however long it takes.

    A collective on the devices would time out.
    """
    if jax.process_count() == 1:
        return
    place = f"siamjax/{next(_meetings)}/{name}"
    _client().key_value_set(f"{place}/{jax.process_index()}", "here")
    while len(_client().key_value_dir_get(place)) < jax.process_count():
        time.sleep(_POLL_SECONDS)


def from_main(work: Callable[[], int]) -> int:
    """The result of `work()`, which the main process alone calls while the others wait.

    They wait however long it takes, as in `wait_for_all`; every process must call this. Raises
    `SiamjaxError` in the others when `work` raises in the main process.
    """
    if jax.process_count() == 1:
        return work()
    place = f"siamjax/{next(_meetings)}/work"
    if not is_main():
        while not (told := _client().key_value_dir_get(place)):
            time.sleep(_POLL_SECONDS)
        if told[0][1] == _FAILED:
            raise SiamjaxError("process 0 of this run failed; its own output says why")
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
    """The largest of all processes' numbers; every process must call this."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))
