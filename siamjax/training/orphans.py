"""What Orbax leaves behind when a read fails: coroutines that nobody waits for."""

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import sys
import types
from collections.abc import Iterator

ORBAX = os.sep + "orbax" + os.sep  # in the path of each of its files


@contextlib.contextmanager
def orphans_in_silence() -> Iterator[None]:
    """Lets the coroutines that Orbax abandons when a read fails be collected unreported."""
    hook, asyncio_logger = sys.unraisablehook, logging.getLogger("asyncio")

    def only_interrupts(unraisable) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)

    sys.unraisablehook, asyncio_logger.disabled = only_interrupts, True
    try:
        yield
    finally:
        sys.unraisablehook, asyncio_logger.disabled = hook, False


def collect_orphans() -> None:
    """Ends the coroutines that a failed read left waiting in an event loop that is over.

    Left alone, each complains whenever Tensorstore's own threads let go of it.
    """
    gc.collect()
    for thing in gc.get_objects():
        # By type: isinstance asks the object, and other packages' proxies answer with warnings.
        if issubclass(type(thing), asyncio.Task):
            abandoned = not thing.get_loop().is_running()
            coroutine = thing.get_coro()
        elif issubclass(type(thing), types.CoroutineType):
            abandoned = inspect.getcoroutinestate(thing) == inspect.CORO_CREATED
            coroutine = thing
        else:
            continue
        if abandoned and ORBAX in coroutine.cr_code.co_filename:
            if coroutine is not thing:
                thing._log_destroy_pending = False
            with contextlib.suppress(Exception):
                coroutine.close()
    gc.collect()
