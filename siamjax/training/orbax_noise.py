"""What Orbax logs and leaves behind when a read fails; the error raised says the same."""

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import sys
import types
from collections.abc import Generator

_ORBAX = os.sep + "orbax" + os.sep  # in the path of each of its files
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def orbax_logs_to_debug(*, exceptions_only: bool = False) -> Generator[None]:
    """Turns what Orbax logs into debug messages of ours: the error raised says the same once.

    With `exceptions_only`, only its reports of exceptions.
    """

    def keeps(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        of_orbax = _ORBAX in record.pathname and (record.exc_info or not exceptions_only)
        if not of_orbax and "exception was never retrieved" not in text:  # asyncio's words
            return True
        logger.debug("Orbax: %s", text, exc_info=record.exc_info)
        return False

    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    for each in loggers:
        each.addFilter(keeps)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(keeps)


@contextlib.contextmanager
def closed_loops_ignored() -> Generator[None]:
    """While a read lasts, Tensorstore's threads may report to an event loop that has ended.

    Nobody waits for such a report, and it cannot be raised; Python would print it.
    """
    before = sys.unraisablehook

    def hook(unraisable) -> None:
        if "Event loop is closed" in str(unraisable.exc_value):
            logger.debug("Orbax: %s", unraisable.exc_value)
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def collector_paused() -> Generator[None]:
    """Collects no garbage, so that `close_abandoned_coroutines` finds everything."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def close_abandoned_coroutines() -> None:
    """Closes Orbax's coroutines that a failed read leaves in an event loop that has ended.

    Otherwise each prints a warning when it is collected.
    """
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
        code = getattr(coroutine, "cr_code", None)  # a task may be of a plain generator
        if abandoned and code is not None and _ORBAX in code.co_filename:
            if coroutine is not thing:
                thing._log_destroy_pending = False
            with contextlib.suppress(Exception):
                coroutine.close()
    gc.collect()
