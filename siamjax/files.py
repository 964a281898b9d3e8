"""Files: written whole or not at all, and called after any name without leaving their folder.

A name is whatever the world calls a sequence, a tracker or a class: it comes out of other
people's files. `file_name` makes one component of a path of it. Ordinary names stay as they
are; what is special on any file system is written as in a web address, `a/b` as `a%2Fb`; a
name that is too long is cut, and a digest of the whole stands at its end.
"""

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

# Bytes of a file's name, of which most file systems take 255: suffixes such as
# `_001_confidence.value` and a temporary file's still find room.
_LONGEST = 180
_CUT = "%~"  # before the digest of a name that is cut
# What ends or means something on some file system; control characters and what has no form
# of its own (bidirectional overrides, line separators, halves of surrogate pairs) are as well.
_SPECIAL = set('/\\:*?"<>|')
_FORMLESS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Devices of Windows, with any suffix; and the folders and files of ours beside such names.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE | re.DOTALL)
_OURS = {
    "times",
    "problems",
    "baseline",
    "realtime",
    "longterm",
    "unsupervised",
    "tracker.json",
}
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SCRATCH = ".unfinished-"
_NAMES = ".names"  # a hidden folder with what is cut from long names


def file_name(name: str) -> str:
    """One component of a path for any string; `original_name` gives the string back.

    Different names have different file names, but for file systems that fold case.
    """
    safe = "".join(
        _escaped(c) if c in _SPECIAL or unicodedata.category(c) in _FORMLESS else c
        # what would be read as an escape is escaped itself
        for c in re.sub(r"%(?=[0-9A-Fa-f]{2}|~)", "%25", name)
    )
    if safe.casefold() in _OURS or _DEVICE.fullmatch(safe) or safe[:1] in (".", " "):
        safe = _escaped(safe[0]) + safe[1:]
    if safe[-1:] in (".", " "):
        safe = safe[:-1] + _escaped(safe[-1])
    if not safe:
        return _CUT
    if len(safe.encode()) > _LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        head = safe.encode()[: _LONGEST - len(_CUT + digest)].decode(errors="ignore")
        return re.sub(r"(%[0-9A-F]?)+$", "", head) + _CUT + digest
    return safe


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def original_name(safe: str, folder: Path | None = None) -> str:
    """The string that `file_name` made `safe` of; what it did not make stays as it is.

    A name that was cut is found where `keep_name` noted it, in `folder`; else it stays cut.
    """
    if safe == _CUT:
        return ""
    if _CUT in safe:
        try:
            note = Path(folder or "") / _NAMES / safe
            whole = note.read_bytes().decode("utf-8", "surrogatepass") if folder else safe
        except (OSError, ValueError):
            return safe
        return whole if file_name(whole) == safe else safe
    return _ESCAPES.sub(_unescaped, safe)


def _unescaped(match: re.Match) -> str:
    try:
        return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "surrogatepass")
    except ValueError:
        return match[0]


def keep_name(folder: Path, name: str) -> None:
    """Notes in a folder what is cut from a long name, for `original_name`; raises `OSError`."""
    safe = file_name(name)
    note = Path(folder) / _NAMES / safe
    if _CUT in safe and safe != _CUT and not note.is_file():
        write_whole(note, name.encode("utf-8", "surrogatepass"))


def printable(text: str) -> str:
    r"""A text in one line that a terminal, a table and UTF-8 can hold: the rest as `\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which becomes `path` at the end of the block, whole.

    Where the block fails, nothing is left and what was at `path` stays. The folder is made.
    Raises `OSError` whose message names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # where even the folder could not be made
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            hint = "; free some space and start again" if error.errno == errno.ENOSPC else ""
            raise OSError(
                f"cannot write {str(path)!r}: {error.strerror or error}; nothing "
                f"half-written was left behind{hint}"
            ) from error
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `path` at the end of the block, whole.

    An empty folder may stand at `path` before. Raises `OSError`, whose message names the
    folder, also where `path` holds something by then; nothing is left then, nor where the
    block fails. What a killed process left is removed by the next one.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as scratch:
            temporary = scratch / path.name
            temporary.mkdir()
            yield temporary
            with contextlib.suppress(OSError):
                path.rmdir()  # Windows replaces no folder, not even an empty one
            os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` for unfinished work, removed at the end whatever happens.

    Its name holds the machine and the process. Those of processes of this machine that have
    ended are removed first.
    """
    machine = _SCRATCH + (re.sub(r"\W", "_", platform.node()) or "here")
    pattern = re.compile(rf"{re.escape(machine)}-(\d+)-\w+")
    for folder in parent.glob(f"{_SCRATCH}*"):
        match = pattern.fullmatch(folder.name)
        if match and not is_running(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)
    owner = f"{machine}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(dir=parent, prefix=owner) as scratch:
        yield Path(scratch)


def is_running(process: int) -> bool:
    """Whether a process of this machine runs; True where that cannot be told."""
    if os.name == "nt":  # where signal 0 ends the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


class _Writable(Exception):
    """A file could be written; nothing is to be left of the trial."""


def require_writable(path: Path) -> None:
    """Makes the folder of a file that is to be written after long work.

    Raises `OSError`, whose message names the file, where that would fail then.
    """
    with contextlib.suppress(_Writable), replacing(path) as temporary:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(path).st_mode):  # fails where the name is too long
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary.touch()
        raise _Writable


def write_whole(path: Path, content: str | bytes) -> None:
    r"""Writes a file whole or not at all, text as UTF-8.

    What UTF-8 cannot hold, half of a surrogate pair, is written as `\udcff`. Raises `OSError`
    whose message names the file; whatever was there before stays.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replacing(path) as temporary:
        temporary.write_bytes(content)
