"""Ctrl-C and SIGTERM: noted and answered between two steps, and never lost."""

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Generator
from types import FrameType, TracebackType

from siamjax.errors import SiamjaxError

_DELAY = 0.05  # seconds until a lost Ctrl-C is raised again


class Interrupted(SiamjaxError):
    """Training was asked to stop, and did so after saving.

    `exit_code` is what a shell reports for the signal: 130 for Ctrl-C, 143 for SIGTERM.
    Neither is 0, since a run that was stopped is not finished.
    """

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number


class StopRequest:
    """While entered, the first SIGINT or SIGTERM only sets `number`; a second one acts.

    Outside the main thread, where Python allows no handlers, nothing is caught.
    """

    number: int | None = None
    _acts_at_once = False

    @contextlib.contextmanager
    def at_once(self) -> Generator[None]:
        """For work that can be dropped: a signal ends what is inside, and only that."""
        try:
            self._acts_at_once = True
            yield
        except KeyboardInterrupt:
            if self.number is None:
                raise
        finally:
            self._acts_at_once = False

    def __enter__(self) -> "StopRequest":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()
        if self._acts_at_once:
            raise KeyboardInterrupt

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


@contextlib.contextmanager
def heeding_interrupts() -> Generator[None]:
    """Sees to it that no Ctrl-C is lost in a finaliser or in a callback of the collector.

    What is raised in there, as in JAX's own callback, Python only prints; a KeyboardInterrupt
    is raised again in the main thread, a moment later.
    """
    previous, timers = sys.unraisablehook, list[threading.Timer]()

    def hook(unraisable) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            previous(unraisable)
            return
        timer = threading.Timer(_DELAY, _interrupt)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous
        for timer in timers:
            timer.cancel()


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes a main thread that waits, too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
