"""Ctrl-C and SIGTERM as a request that the loop answers between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from siamjax.errors import SiamjaxError


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
    def at_once(self) -> Iterator[None]:
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
