"""Folders for unfinished work, which a killed process leaves behind and a later one removes."""

import contextlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".rendering-"


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent`, removed at the end whatever happens.

    Its name says which process of which machine works in it. Those of processes of this
    machine that are no more are removed first.
    """
    _remove_stale(parent)
    owner = f"{_PREFIX}{_machine()}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=parent, prefix=owner) as scratch:
        yield Path(scratch)


def _machine():
    return re.sub(r"\W", "_", platform.node()) or "here"


def _remove_stale(parent: Path) -> None:
    pattern = re.compile(rf"{re.escape(_PREFIX + _machine())}-(\d+)-\w+")
    for folder in parent.glob(f"{_PREFIX}*"):
        match = pattern.fullmatch(folder.name)
        if match and not _is_running(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where signal 0 is not a mere question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
