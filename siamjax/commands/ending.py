"""How a command ends: its exit code, and its error message.

Errors in the user's input and failures of the machine print one message. Any other exception
is a bug in siamjax and keeps its traceback.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn, TextIO

from siamjax.errors import InputError, SiamjaxError
from siamjax.interrupts import heeding_interrupts

if TYPE_CHECKING:
    from siamjax.evaluation.scoring import TrackerScores

MISSING, INTERRUPTED = 3, 130
_FILES, _FEWEST = 1 << 16, 256  # file descriptors: requested, and required
_REPORT = "this is a bug in siamjax, not in your input: please report it with the lines above"


def run_command(
    name: str,
    act: Callable[[], int | None],
    *,
    interrupted: str = "interrupted",
    exit_codes: Mapping[type[Exception], int] | None = None,
) -> int:
    """Calls `act` and returns its exit code, or 0 where it returns None.

    A `SiamjaxError` or `OSError` prints `name: message` and returns the error's `exit_code`,
    that of its class in `exit_codes`, or 1; running out of memory or file descriptors does the
    same. Ctrl-C returns 130. When the reader of the output goes away, as `head` does, printing
    stops and the work continues. Other exceptions are raised with a request to report them.
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


@contextlib.contextmanager
def named_as_options(**names: str) -> Generator[None]:
    """Within it, errors about these arguments name the options that they came from."""
    try:
        yield
    except InputError as error:
        message = str(error)
        for name, option in names.items():
            message = message.replace(f"`{name}`", f"`--{option}`")
        if message == str(error):
            raise
        raise InputError(message) from None


def missing_code(trackers: "Iterable[TrackerScores]", allowed: bool) -> int:
    """The exit code after printing scores: 3 where a tracker lacks sequences, else 0."""
    return MISSING if not allowed and any(tracker.missing for tracker in trackers) else 0


def end_process(code: int) -> NoReturn:
    """Ends the process with an exit code of `run_command`."""
    if code == INTERRUPTED:
        # After an interrupted compilation the interpreter may crash while it shuts down.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _machine_failed(error: BaseException) -> str | None:
    """The message for exhausted memory or file descriptors, or a symlink loop; else None."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        text = str(each)
        if getattr(each, "errno", None) == errno.EMFILE or os.strerror(errno.EMFILE) in text:
            return (
                f"too many open files: the limit of this process is {_file_limit()} and should "
                "be several thousand; raise it with `ulimit -n 4096`"
            )
        if isinstance(each, RuntimeError) and text.startswith("Symlink loop"):  # of pathlib
            return f"{text}: the symbolic links form a loop; remove one, or give another path"
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
    """Raises the soft limit of open files, often 1024 or 256, towards the hard limit.

    Writing a checkpoint opens many at once, and fails in several threads where they run out.
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
    """A stream that discards what is written once its reader has gone away."""

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
    def _unread(self) -> Generator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except OSError as error:  # a full disk
            raise OSError(f"cannot print: {error.strerror}") from error


def _open_descriptors() -> None:
    """Opens closed standard streams on the null device.

    Otherwise a file opened later would get their descriptors, and receive libraries' output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor


@contextlib.contextmanager
def _patient_streams() -> Generator[None]:
    """Output that fails neither when its reader goes away nor for undecodable file names."""
    _open_descriptors()
    before = sys.stdout, sys.stderr
    given = [open(os.devnull, "w") if s is None else s for s in before]
    for stream in given:
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = map(_Patient, given)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Patient):
                stream.flush()
        sys.stdout, sys.stderr = before
