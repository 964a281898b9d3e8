"""How a command ends: its exit code, and what it says when something went wrong.

What the user can mend, and what the machine refuses, is one message. Anything else is a fault
of siamjax and keeps its traceback.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, TextIO

from siamjax.errors import SiamjaxError
from siamjax.interrupts import heeding_interrupts

if TYPE_CHECKING:
    from siamjax.evaluation.scoring import TrackerScores

MISSING, INTERRUPTED = 3, 130
_FILES, _FEWEST = 1 << 16, 256  # descriptors to ask for, and to begin with at least
_REPORT = (
    "this is a fault of siamjax and not of its input: please report it with the lines above"
)


def run_command(
    name: str,
    act: Callable[[], int | None],
    *,
    interrupted: str = "interrupted",
    exit_codes: Mapping[type[Exception], int] | None = None,
) -> int:
    """Does what `act` does; returns the exit code, 0 where that has none.

    A `SiamjaxError` or `OSError` is printed as `name: message` and gives its own `exit_code`,
    that of its class in `exit_codes`, or 1; so does a machine without memory or descriptors
    left. Ctrl-C gives 130. A reader that goes away, as `head` does, ends the printing and not
    the work. What else is raised comes out, with a request to report it.
    """
    with _patient_streams(), heeding_interrupts():
        try:
            _allow_files()
            return act() or 0
        except KeyboardInterrupt:
            print(f"\n{name}: {interrupted}", file=sys.stderr)
            return INTERRUPTED
        except Exception as error:
            message = _machine_failed(error)
            if message is None and isinstance(error, SiamjaxError | OSError):
                message = str(error)
            if message is None:
                error.add_note(_REPORT)
                raise
            print(f"{name}: {message}", file=sys.stderr)
            if (code := getattr(error, "exit_code", None)) is not None:
                return code
            codes = exit_codes or {}
            return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def missing_code(trackers: "Iterable[TrackerScores]", allowed: bool) -> int:
    """The exit code of a command that printed scores: 3 where sequences are missing in one."""
    return MISSING if not allowed and any(tracker.missing for tracker in trackers) else 0


def end_process(code: int) -> NoReturn:
    """Ends the process with an exit code of `run_command`."""
    if code == INTERRUPTED:
        # After a compilation that was cut short the interpreter may crash in its own end.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _machine_failed(error: BaseException) -> str | None:
    """What to say where the machine has no more of something, or a path has no end; None for
    any other error."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        text = str(each)
        if getattr(each, "errno", None) == errno.EMFILE or os.strerror(errno.EMFILE) in text:
            return (
                f"too many open files: the limit of this process is {_file_limit()} and should "
                "be some thousands; raise it with `ulimit -n 4096`"
            )
        if isinstance(each, RuntimeError) and text.startswith("Symlink loop"):  # of pathlib
            return f"{text}: a link leads round in a circle; remove it, or give another path"
        if isinstance(each, MemoryError) or text.startswith("RESOURCE_EXHAUSTED"):
            what = text.splitlines()[0][:200] if text else "an allocation failed"
            return f"out of memory: {what}; use smaller sizes, or fewer at once"
        each = each.__cause__ or each.__context__
    return None


def _file_limit() -> int | str:
    try:
        import resource
    except ImportError:  # Windows
        return "unknown"
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _allow_files() -> None:
    """Raises the soft limit of open files, often 1024 or 256, towards the hard one.

    A checkpoint opens many at once; where they are too few, its threads say so one by one.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    limit = _file_limit()
    if isinstance(limit, int) and 0 <= limit < _FEWEST:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class _Patient:
    """A stream whose reader may go away: what is written from then on goes nowhere."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._unread():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._unread():
            self._stream.flush()

    @contextlib.contextmanager
    def _unread(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except OSError as error:  # a full disk
            raise OSError(f"cannot print: {error.strerror}") from error


def _open_descriptors() -> None:
    """Standard streams that were closed lead nowhere; else a file of ours would take their
    numbers, and what libraries print would go into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


@contextlib.contextmanager
def _patient_streams() -> Iterator[None]:
    """Output that fails neither for want of a reader nor for a name that is no text."""
    _open_descriptors()
    before = sys.stdout, sys.stderr
    given = [open(os.devnull, "w") if s is None else s for s in before]
    for stream in given:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = map(_Patient, given)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Patient):
                stream.flush()
        sys.stdout, sys.stderr = before
