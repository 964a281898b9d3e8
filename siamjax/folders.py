"""Listing of files and folders in natural order. Every list of images is made here.

Hidden files and those of operating systems (`._0001.jpg`, `.DS_Store`, `Thumbs.db`,
`__MACOSX`) are ignored. Suffixes are case-insensitive, and numbers compare as numbers: 2
before 10, and 9.75 before 10.5.
"""

import fnmatch
import itertools
import os
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from siamjax.errors import InputError

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)
_LEFT_BEHIND = {
    "$recycle.bin",
    "__macosx",
    "@eadir",  # of Synology's disks: a small copy of every image
    "desktop.ini",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
_FLOAT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


class FolderError(InputError):
    """A folder's files have no unambiguous order; the message names the folder and files."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden or an operating system's."""
    return name.startswith(".") or name.casefold() in _LEFT_BEHIND


def images_in(folder: str | Path) -> list[Path]:
    """The images of a folder in natural order; [] where there is no such folder.

    Only names are looked at: an image that cannot be read keeps its place. Raises
    `FolderError` where two names stand for one frame, as 0001.jpg and 0001.png do.
    """
    found = files_in(folder, "*")
    keyed = _with_keys(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
    for (key, image), (next_key, other) in itertools.pairwise(keyed):
        if key == next_key:
            raise FolderError(
                f"{folder}: {image.name} and {other.name} are both frame {image.stem}; move "
                "one kind of file to another folder"
            )
    return [image for _, image in keyed]


def files_in(folder: str | Path, pattern: str) -> list[Path]:
    """The files of a folder whose names match a pattern such as `*.txt`, in natural order."""
    return natural_order(
        Path(folder, entry.name)
        for entry in _visible(folder)
        if fnmatch.fnmatchcase(entry.name, pattern) and not _is_folder(entry)
    )


def folders_in(folder: str | Path) -> list[Path]:
    """The subfolders of a folder in natural order; [] if it does not exist."""
    return natural_order(Path(folder, e.name) for e in _visible(folder) if _is_folder(e))


def files_below(root: str | Path, pattern: str) -> list[Path]:
    """As `files_in`, recursively, folder by folder.

    Links to folders are followed, each folder once.
    """
    found, seen, waiting = [], set(), [Path(root)]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real not in seen:
            seen.add(real)
            found += files_in(folder, pattern)
            waiting += reversed(folders_in(folder))
    return found


def images_below(root: str | Path) -> list[Path]:
    """The images among the files of `files_below`."""
    return [p for p in files_below(root, "*") if p.suffix.lower() in IMAGE_SUFFIXES]


def has_match(root: str | Path, pattern: str) -> bool:
    """Whether a file or folder below `root` matches a pattern such as `*/*.txt`."""
    root = Path(root)
    found = (path.relative_to(root).parts for path in root.glob(pattern))
    return any(not any(map(is_hidden, parts)) for parts in found)


def _visible(folder: str | Path) -> list[os.DirEntry]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_hidden(entry.name)]


def _is_folder(entry: os.DirEntry) -> bool:
    # DirEntry raises OSError for circular links
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Files or folders of one folder, sorted by name with numbers in numeric order.

    If all names are numbers, they may have signs and exponents. A dot between digits is a
    decimal point (0.25 before 0.5), unless what follows is clearly a counter: 1.9, 1.10, 1.11.
    """
    return [path for _, path in _with_keys(paths)]


def _with_keys(paths: Iterable[Path]) -> list[tuple[list, Path]]:
    """Paths in natural order, each with its sort key."""
    paths = list(paths)
    # ignore suffixes, unless they are numbers: folders have no suffix
    names = [p.name if p.suffix[1:].isdecimal() else p.stem for p in paths]
    keyed = zip(_keys(names), paths, strict=True)
    return sorted(keyed, key=lambda pair: (_folded(pair[0]), pair[0], pair[1]))


def _folded(key: list) -> list:
    return [part.casefold() if isinstance(part, str) else part for part in key]


def _keys(names: list[str]) -> list[list]:
    """For each name, text and numbers alternating, text first."""
    has_decimals = _have_decimals(names)
    are_signed = has_decimals and all(map(_FLOAT.fullmatch, names))
    # if all begin with a dash, it is a separator
    if are_signed and not all(name.startswith("-") for name in names):
        return [["", Decimal(name)] for name in names]
    number = r"([0-9]+(?:\.[0-9]+)?)" if has_decimals else r"([0-9]+)"
    return [
        [Decimal(part) if place % 2 else part for place, part in enumerate(parts)]
        for parts in (re.split(number, name) for name in names)
    ]


def _have_decimals(names: list[str]) -> bool:
    """Whether dots between digits are decimal points rather than separators of counters.

    This matters only if the digits after them differ in number. Counters have no leading
    zero, are close together, and one of them, such as 10, ends in a zero, which the shortest
    form of a decimal does not.
    """
    behind = {digits for name in names for digits in re.findall(r"[0-9]\.([0-9]+)", name)}
    if len({len(digits) for digits in behind}) < 2:
        return True
    longer = [digits for digits in behind if len(digits) > 1]
    span = max(map(int, behind)) - min(map(int, behind))
    return (
        any(digits[0] == "0" for digits in longer)
        or not any(digits[-1] == "0" for digits in longer)
        or span >= 10 * len(behind)
    )
