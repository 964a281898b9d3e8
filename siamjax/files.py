"""Atomic writing of files and folders, and safe file names.

Names of sequences, trackers and classes come from other people's files and may contain
anything. `file_name` turns one into a single path component. Ordinary names are unchanged;
characters that are special on some file system are percent-encoded, `a/b` as `a%2Fb`; a name
that is too long is truncated and ends with a digest of the whole.
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
from collections.abc import Generator
from pathlib import Path

# Bytes of a file name; most file systems allow 255, which leaves room for suffixes such as
# `_001_confidence.value` and those of temporary files.
_LONGEST = 180
_CUT = "%~"  # before the digest of a truncated name
# Characters that are special on some file system; control and formatting characters
# (bidirectional overrides, line separators, lone surrogates) are escaped too.
_SPECIAL = set('/\\:*?"<>|')
_FORMLESS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Device names of Windows, with any suffix; and the names of our own folders and files.
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
_NAMES = ".names"  # hidden folder with the full forms of truncated names


def file_name(name: str) -> str:
    """A path component for any string; `original_name` is the inverse.

    Different names have different file names, except on case-insensitive file systems.
    """
    safe = "".join(
        _escaped(c) if c in _SPECIAL or unicodedata.category(c) in _FORMLESS else c
        # anything that looks like an escape is escaped itself
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
    """The string that `file_name` made `safe` from; other file names are returned unchanged.

    The full form of a truncated name is read from where `keep_name` stored it, in `folder`;
    without that it stays truncated.
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
    """Stores a truncated name in full for `original_name`; raises `OSError`."""
    safe = file_name(name)
    note = Path(folder) / _NAMES / safe
    if _CUT in safe and safe != _CUT and not note.is_file():
        write_whole(note, name.encode("utf-8", "surrogatepass"))


def printable(text: str) -> str:
    r"""The text as one printable line, with anything else escaped, such as `\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yields a temporary path, which atomically replaces `path` at the end of the block.

    If the block fails, the temporary file is removed and `path` is unchanged. The folder is
    created. Raises `OSError` whose message names the file.
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
        with contextlib.suppress(OSError):  # the folder itself may be missing
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            hint = "; free some space and start again" if error.errno == errno.ENOSPC else ""
            raise OSError(
                f"cannot write {str(path)!r}: {error.strerror or error}; nothing "
                f"half-written was left behind{hint}"
            ) from error
        raise


@contextlib.contextmanager
def replacing_folder(path: Path) -> Generator[Path]:
    """Yields an empty folder, which atomically becomes `path` at the end of the block.

    `path` may be an empty folder before. Raises `OSError`, whose message names the folder,
    also if `path` is not empty at the end. Nothing is left if it or the block fails; what a
    killed process leaves is removed by the next one.
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
def scratch_folder(parent: Path) -> Generator[Path]:
    """A hidden temporary folder in `parent`, removed at the end of the block.

    Its name contains the machine and the process. Folders of processes of this machine that
    have ended are removed first.
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
    """Whether a process of this machine runs; True where that is unknown."""
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
    """Ends the trial of `require_writable` without leaving a file."""


def require_writable(path: Path) -> None:
    """Checks, before long work, that a file can be written, and creates its folder.

    Raises `OSError`, whose message names the file, if it cannot.
    """
    with contextlib.suppress(_Writable), replacing(path) as temporary:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(path).st_mode):  # fails where the name is too long
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary.touch()
        raise _Writable


def write_whole(path: Path, content: str | bytes) -> None:
    r"""Writes a file atomically, text as UTF-8.

    Lone surrogates, which UTF-8 cannot encode, are written as `\udcff`. Raises `OSError`
    whose message names the file; the previous file is unchanged then.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with replacing(path) as temporary:
        temporary.write_bytes(content)
