"""Who works on what, when several processes share one evaluation of a folder.

A claim is a file that only one process can create. Its time of change is a heartbeat: the
claim of a process that has ended, or has not been heard of for a while, may be taken over.
"""

import json
import os
import socket
import time
import uuid
from pathlib import Path

from siamjax.files import is_running

# Claims of another machine without a heartbeat for so long are taken over.
STALE_SECONDS = 300.0
_BEAT_SECONDS = 5.0
_TOKEN = uuid.uuid4().hex  # tells this process from an earlier one with the same number


class Claim:
    """The right to work on one thing, held until it is released."""

    def __init__(self, file: Path):
        self._file = file
        self._beaten = time.monotonic()

    def beat(self) -> None:
        """Says that the work goes on; cheap enough for every frame."""
        now = time.monotonic()
        if now - self._beaten > _BEAT_SECONDS:
            self._beaten = now
            try:
                os.utime(self._file)
            except OSError:
                pass  # taken over meanwhile: both write the same result, each of them whole

    def release(self) -> None:
        """Gives the claim back."""
        self._file.unlink(missing_ok=True)


def claim(folder: Path, name: str, stale_seconds: float = STALE_SECONDS) -> Claim | None:
    """Claims `name` in a folder of claims, or None where another process works on it.

    Raises `OSError` when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    if _create(file):
        return Claim(file)
    if not _is_stale(file, stale_seconds):
        return None
    # of several that see a stale claim, the one that creates this file replaces it
    takeover = folder / f"{name}.takeover"
    if not _create(takeover):
        if _age(takeover) > stale_seconds:
            takeover.unlink(missing_ok=True)
        return None
    try:
        if not _is_stale(file, stale_seconds):
            return None
        file.unlink(missing_ok=True)
        return Claim(file) if _create(file) else None
    finally:
        takeover.unlink(missing_ok=True)


def _create(file: Path) -> bool:
    owner = {"host": socket.gethostname(), "process": os.getpid(), "token": _TOKEN}
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as opened:
        json.dump(owner, opened)
    return True


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_stale(file: Path, stale_seconds: float) -> bool:
    if _age(file) > stale_seconds:
        return True
    try:
        owner = json.loads(file.read_text(encoding="utf-8"))
        host, process, token = owner["host"], int(owner["process"]), owner["token"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False  # being written, or just released
    if host != socket.gethostname():
        return False
    if process == os.getpid():
        return token != _TOKEN
    return not is_running(process)
