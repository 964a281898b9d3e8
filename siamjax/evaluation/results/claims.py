"""Claims of sequences by processes that share one evaluation.

A claim is a file that only one process can create. Its modification time is a heartbeat: the
claim of a process that has ended, or has not sent a heartbeat for a while, may be taken over.
"""

import json
import os
import socket
import time
import uuid
from pathlib import Path

from siamjax.files import is_running

# Claims without a heartbeat for this long are taken over.
STALE_SECONDS = 300.0
_BEAT_SECONDS = 5.0
_TOKEN = uuid.uuid4().hex  # tells this process from an earlier one with the same id


class Claim:
    """The exclusive right to a piece of work, until it is released."""

    def __init__(self, file: Path):
        self._file = file
        self._beaten = time.monotonic()

    def beat(self) -> None:
        """Sends a heartbeat; cheap enough for every frame."""
        now = time.monotonic()
        if now - self._beaten > _BEAT_SECONDS:
            self._beaten = now
            try:
                os.utime(self._file)
            except OSError:
                pass  # taken over meanwhile: both write the same result atomically

    def release(self) -> None:
        """Releases the claim."""
        self._file.unlink(missing_ok=True)


def claim(folder: Path, name: str, stale_seconds: float = STALE_SECONDS) -> Claim | None:
    """Claims `name` in a folder of claims; None if another process works on it.

    Raises `OSError` if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    if _create(file):
        return Claim(file)
    if not _is_stale(file, stale_seconds):
        return None
    # of several processes that see a stale claim, the one that creates this file replaces it
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
