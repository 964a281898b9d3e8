"""Persistent cache of compiled programs, so that trackers and trainings soon start again.

They live in the user's cache folder. The variable SIAMJAX_CACHE names another folder, or turns
this off with `off`; an application that has given JAX a folder of its own keeps it.
"""

import contextlib
import functools
import hashlib
import logging
import os
import platform
import sys
import tempfile
import warnings
import zlib
from collections.abc import Generator
from pathlib import Path

import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jaxlib.version import __version__ as jaxlib_version

logger = logging.getLogger(__name__)

VARIABLE = "SIAMJAX_CACHE"
_LARGEST = 2**28  # bytes, over all processors and versions; a tracker takes some two million
_TAKEN_BACK = "taken_back"  # the file that says whether XLA loads here what it compiled here


def enable() -> None:
    """Turns on JAX's persistent compilation cache; logs a warning where it cannot."""
    wish = os.environ.get(VARIABLE, "")
    kept = jax.config.jax_compilation_cache_dir  # ty: ignore[missing-attribute] JAX adds options as it runs
    if wish.lower() == "off" or kept is not None:
        return
    _enable(wish)


@functools.cache
def _enable(wish: str) -> None:
    folder, readable = Path(wish or "the user's cache folder"), False
    try:
        base = chosen_folder(wish)
        folder = base / "compiled" / _kind()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        readable = True
        with tempfile.TemporaryFile(dir=folder):
            pass
        _tidy(base / "compiled")
        _drop_damaged(folder)
        taken_back = _are_taken_back(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        logger.warning(
            "compiled programs cannot be kept in %s (%s): starts stay slow; set %s to another "
            "folder, or to off",
            folder,
            getattr(error, "strerror", None) or error,
            VARIABLE,
        )
        taken_back = readable and any(folder.glob("*-cache"))
        # Existing entries can still be read.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e9)
    else:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if not taken_back:
        return
    # An entry that cannot be read or written costs the time of a compilation, and no more.
    warnings.filterwarnings(
        "ignore", message="Error (reading|writing) persistent compilation cache entry"
    )
    jax.config.update("jax_compilation_cache_dir", str(folder))


def chosen_folder(wish: str) -> Path:
    """The folder that `wish` names, or siamjax's among the user's caches."""
    return Path(wish).expanduser() if wish else _user_cache() / "siamjax"


def _user_cache() -> Path:
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # The standard asks to ignore a path that is not absolute.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"


def _kind() -> str:
    """What a compiled program depends on besides JAX's own key: XLA and the processor.

    XLA compiles for the very processor, and loading for another one prints, or crashes.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    wanted = ("model name", "flags", "features", "cpu implementer", "cpu part", "isa")
    facts = [line for line in lines if line.split(":")[0].strip().lower() in wanted]
    facts = facts or [platform.processor(), platform.version()]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
    return f"jaxlib-{jaxlib_version}-{platform.machine()}-{digest}"


def _tidy(folder: Path) -> None:
    """Removes the least recently used entries when the cache exceeds its limit."""
    entries = []
    for path in folder.glob("*/*-cache"):
        with contextlib.suppress(OSError):  # another process tidies too
            found = path.stat()
            entries.append((max(found.st_atime, found.st_mtime), found.st_size, path))
    total = sum(size for _, size, _ in entries)
    if total > _LARGEST:
        for _, size, path in sorted(entries):
            total -= size
            with contextlib.suppress(OSError):
                path.unlink()
            if total <= _LARGEST // 2:
                break


def _drop_damaged(folder: Path) -> None:
    """Removes entries that were cut short, as by a full disk: JAX never writes them again."""
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            try:
                # Where JAX finds zstandard, it uses that, and its entries are left alone.
                if data[:1] in (b"", b"\x78"):
                    zlib.decompress(data)
            except zlib.error:
                path.unlink()


def _are_taken_back(folder: Path) -> bool:
    """Whether XLA loads here what it has compiled here, tried once for each kind.

    On some processors it does not (jax-ml/jax#38445), and says so at length each time.
    """
    mark = folder / f"{jax.default_backend()}-{_TAKEN_BACK}"
    if not mark.is_file():
        compiled = jax.jit(lambda x: x + 1).lower(jax.ShapeDtypeStruct((), "float32")).compile()
        printed: list[str] = []
        with _gathering(printed):
            try:
                deserialize_and_load(
                    *serialize(compiled), execution_devices=jax.local_devices()[:1]
                )
            except Exception as error:  # whatever it is, the cache would raise it too
                printed.append(str(error) or type(error).__name__)
        mark.write_text("".join(printed))
    return not mark.read_text()


@contextlib.contextmanager
def _gathering(printed: list[str]) -> Generator[None]:
    """Captures stderr, including that of C++, in `printed`."""
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        screen = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            file.seek(0)
            printed.append(file.read().decode(errors="replace"))
