"""Locks on folders, so that two runs do not overwrite each other's work.

The lock is the operating system's, on a hidden file in the folder, and is released with the
process, however that ends. The file records its owner.
"""

import contextlib
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from siamjax.errors import InputError
from siamjax.files import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None

LOCK_FILE = ".lock"
_BUSY = (errno.EACCES, errno.EAGAIN)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_PATIENCE = (
    1.0  # seconds that processes sharing a folder wait for the first to write its record
)
_held: set[int] = set()  # descriptors, which a forked child must close


class BusyError(InputError):
    """A folder is locked by another process; the message says which, and since when."""


@contextlib.contextmanager
def held(folder: Path, option: str, *, shared_as: Any = None) -> Generator[None]:
    """Locks a folder, creating it if needed, until the end of the block.

    `option` names the option for the folder, such as `--out`, in messages. Processes with an
    equal `shared_as`, a JSON-ready value, share the lock. Raises `BusyError` if another
    process holds it, `OSError` if it cannot be written. On a file system without locks a
    warning is printed to stderr, and nothing is locked.
    """
    folder = Path(folder)
    made = not folder.exists()
    if not made and not folder.is_dir():
        raise InputError(f"`{option}` (={str(folder)!r}) must be a folder; this is a file")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held_file(folder / LOCK_FILE, folder, option, shared_as=shared_as):
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):  # not empty: it is in use
                folder.rmdir()


@contextlib.contextmanager
def held_file(
    file: Path, folder: Path, option: str, *, shared_as: Any = None
) -> Generator[None]:
    """As `held`, with a lock file elsewhere, in an existing folder."""
    descriptor = _take(file, folder, option, shared_as)
    try:
        yield
    finally:
        if descriptor is not None:
            _release(file, descriptor)


def _take(file: Path, folder: Path, option: str, shared_as: Any) -> int | None:
    if fcntl is None:
        return None
    owner = {
        "process": os.getpid(),
        "host": platform.node(),
        "command": printable(" ".join(map(os.path.basename, sys.argv[:1])) or "python"),
        "arguments": [printable(word) for word in sys.argv[1:]],
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "shared_as": json.loads(json.dumps(shared_as)),
    }
    deadline = time.monotonic() + (0 if shared_as is None else _PATIENCE)
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if _hold(descriptor, owner):
                if _is(file, descriptor):
                    _held.add(descriptor)
                    return descriptor
                # otherwise removed by its last holder between opening and locking
            elif time.monotonic() >= deadline:
                raise _busy(descriptor, folder, option)
            else:
                time.sleep(0.02)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _UNSUPPORTED:
                raise
            print(
                f"warning: the file system of {str(folder)!r} has no locks: make sure that "
                f"no other run uses this `{option}`",
                file=sys.stderr,
            )
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _hold(descriptor: int, owner: dict[str, Any]) -> bool:
    """Locks the file, exclusively or shared."""
    is_shared = owner["shared_as"] is not None
    if _lock(descriptor, fcntl.LOCK_EX):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        if not is_shared:
            return True
    # Going from an exclusive to a shared lock is not atomic: another process may come first.
    return (
        is_shared
        and _lock(descriptor, fcntl.LOCK_SH)
        and _read(descriptor).get("shared_as") == owner["shared_as"]
    )


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _release(file: Path, descriptor: int) -> None:
    """Removes the file, while it is still locked, if nobody shares it."""
    _held.discard(descriptor)
    with contextlib.suppress(OSError):
        if _lock(descriptor, fcntl.LOCK_EX) and _is(file, descriptor):
            os.unlink(file)
    os.close(descriptor)


def _is(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, Any]:
    try:
        content = json.loads(os.pread(descriptor, 1 << 20, 0))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _busy(descriptor: int, folder: Path, option: str) -> BusyError:
    owner = _read(descriptor)
    who = "another process"
    if owner:
        words = " ".join([str(owner.get("command")), *map(str, owner.get("arguments") or ())])
        who = (
            f"process {owner.get('process')} on {owner.get('host')} since "
            f"{owner.get('since')} ({printable(words)[:200]})"
        )
    return BusyError(
        f"{str(folder)!r} is in use by {who}; wait for it, or choose another `{option}`"
    )


def _forget() -> None:
    """Closes the descriptors in a forked child, so that the lock ends with its parent."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
