"""Photographs to render with: the user's folders of sprites and backgrounds.

A folder of sprites has an index, one line per object:

    index.jsonl     {"file": "sheets/fox.webp", "views": 16, "cell": 128, "kind": "animated"}
                    {"file": "cup_01.jpg", "mask": "cup_01_mask.png", "category": "cup"}

or none, and then every image in it is an object: `<name>.jpg` beside `<name>_mask.png`, or
an image with an alpha channel. A sheet is a grid of square cells of `cell` pixels that show
one object at one scale, its `views` row by row along a smooth path. All values of `kind` are
drawn equally often; `category` (else `source` and `kind`, or the name without its number)
groups similar objects. Backgrounds are all images of a folder except masks.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from siamjax.data.formats.annotations import LayoutError, within
from siamjax.data.rendering import sprites
from siamjax.errors import InputError
from siamjax.folders import IMAGE_SUFFIXES, images_below
from siamjax.images import decode_image, read_image, read_image_bytes
from siamjax.text import TextError, as_whole, parse_json, quote, read_lines

INDEX = "index.jsonl"

_MASK = "_mask"
_FINEST = 192  # longest side of a stored view, pixels
_WIDEST = 1024  # longest side of a stored background, pixels
_PLAIN = 3.0  # standard deviation of the grey values of a uniform line, after JPEG
_SEAM = 3  # mixed lines beside a uniform border
_TEST = 10  # every tenth file belongs to the test split


class SpriteFile(NamedTuple):
    """An object on disk."""

    path: Path
    mask: Path | None  # None where the image has an alpha channel
    views: int
    cell: int  # side of a view, pixels; 0 if the whole image is one view
    kind: str
    category: str


class View(NamedTuple):
    """One view of an object, cut out with a thin border.

    Units are pixels of the cell about its centre, x to the right and y down.
    """

    levels: tuple[
        np.ndarray, ...
    ]  # [h, w, 4] uint8 BGRA, premultiplied, each at half the resolution
    middle: np.ndarray  # [2] centre of the cut-out
    half: np.ndarray  # [2] half width and half height of the cut-out without its border
    box_xyxy: np.ndarray  # [4] around alpha above 127


@functools.lru_cache(maxsize=64)
def list_sprites(folder: str | Path, split: str) -> tuple[SpriteFile, ...]:
    """The objects of a folder that belong to a split, sorted by name.

    Every tenth belongs to the test split, the others to training. Raises `InputError` for a
    folder that is missing or has no sprite of this split, and for a damaged index.
    """
    root = _existing(folder, "sprites")
    found = _indexed(root) if (root / INDEX).is_file() else _loose(root)
    return _part(sorted(found, key=lambda s: s.path), split, root, "sprites")


@functools.lru_cache(maxsize=64)
def list_backgrounds(folder: str | Path, split: str) -> tuple[Path, ...]:
    """The images below a folder that belong to a split; raises `InputError`."""
    root = _existing(folder, "backgrounds")
    images = sorted(path for path in images_below(root) if not _is_mask(path))
    return _part(images, split, root, "backgrounds")


def folder_digest(folder: str | Path, what: str) -> str:
    """A digest of a folder's content: relative paths and sizes of the images and the index.

    `what` names the option in the error for a missing folder.
    """
    root = _existing(folder, what)
    files = [*sorted(images_below(root)), *(f for f in [root / INDEX] if f.is_file())]
    content = [(f.relative_to(root).as_posix(), f.stat().st_size) for f in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def forget() -> None:
    """Clears the caches, since files may have changed."""
    for cached in (list_sprites, list_backgrounds, read_views, read_background):
        cached.cache_clear()


def check_folders(
    sprites: Sequence[str | Path], backgrounds: Sequence[str | Path], split: str
) -> None:
    """Reads every file once, so that a bad one is found before long work.

    Raises `InputError` as the functions that list and read them.
    """
    objects = [(read_views, f) for folder in sprites for f in list_sprites(folder, split)]
    scenes = [
        (read_background, f) for folder in backgrounds for f in list_backgrounds(folder, split)
    ]
    for read, file in tqdm([*objects, *scenes], "checking photographs", unit="file"):
        read(file)


@functools.lru_cache(maxsize=64)
def read_views(sprite: SpriteFile) -> tuple[View, ...]:
    """The views of an object in order; raises `InputError` for an unusable file."""
    image = _read_sheet(sprite) if sprite.mask is None else _read_cutout(sprite)
    alpha = image[..., 3]
    weight = cv2.merge([alpha, alpha, alpha, np.full_like(alpha, 255)])
    image = cv2.multiply(image, weight, scale=1 / 255)
    views = []
    for number, cell in enumerate(_cells(sprite, image)):
        if not (cell[..., 3] > 127).any():
            raise InputError(
                f"{sprite.path}: view {number + 1} of {sprite.views} is empty: no pixel has "
                "an alpha above 127; fix the image, or `views` in the index"
            )
        views.append(_cut(cell))
    return tuple(views)


@functools.lru_cache(maxsize=64)
def read_background(path: Path) -> np.ndarray:
    """An image `[h, w, 3]` uint8 BGR, at most 1024 pixels long, without uniform borders.

    Uniform borders, such as a crop's padding or a film's black bars, are cut off. Raises
    `InputError` for an unusable image.
    """
    image = read_image(path)
    zoom = _WIDEST / max(image.shape[:2])
    if zoom < 1:
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    inner = np.ascontiguousarray(_without_plain_borders(image))
    if min(inner.shape[:2]) >= 32:
        return inner
    if min(image.shape[:2]) >= 32:
        return image  # all uniform, such as sky or a wall
    raise InputError(
        f"{path}: {image.shape[1]} x {image.shape[0]} pixels are too few for a background; at "
        "least 32 on each side are needed"
    )


def _existing(folder, what):
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"`synthetic.{what}`: the folder {str(root)!r} does not exist")
    return root


def _part(found, split, root, what):
    if not found:
        raise InputError(
            f"`synthetic.{what}`: {str(root)!r} holds no images "
            f"({' '.join(sorted(IMAGE_SUFFIXES))})"
        )
    chosen = [f for i, f in enumerate(found) if (i % _TEST == _TEST - 1) == (split == "test")]
    if not chosen:
        raise InputError(
            f"`synthetic.{what}`: {str(root)!r} has nothing for the split {split!r}: its "
            f"{len(found)} images are fewer than {_TEST}, of which every tenth belongs to "
            "the test split; add images or render the split 'train'"
        )
    return tuple(chosen)


def _indexed(root) -> Iterator[SpriteFile]:
    file = root / INDEX
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            if not isinstance(row, dict):
                raise TextError(f"{quote(row)} is not an object")
            path, mask = within(root, row.get("file")), row.get("mask") or None
            mask = within(root, mask, "mask") if mask is not None else None
            views, cell = as_whole(row.get("views", 1)), as_whole(row.get("cell", 0))
            kind, *named = (str(row.get(key) or "") for key in ("kind", "category", "source"))
        except (TextError, LayoutError) as error:
            raise InputError(
                f"{file}: line {number} is not a valid sprite ({error}): it needs `file`, and "
                "a sheet `views` and `cell` as whole numbers"
            ) from None
        if views < 1 or cell < 0 or (views > 1 and cell == 0):
            raise InputError(
                f"{file}: line {number} has `views` (={views}) and `cell` (={cell}); a sheet "
                "has at least one view, and the side of its cells in pixels"
            )
        category, source = named
        alike = category or "/".join(filter(None, (source, kind)))
        yield SpriteFile(path, mask, views, cell, kind, alike or _stem(path))


def _loose(root) -> Iterator[SpriteFile]:
    images = images_below(root)
    masks = {(p.parent, p.stem.removesuffix(_MASK)): p for p in images if _is_mask(p)}
    for path in images:
        if not _is_mask(path):
            yield SpriteFile(path, masks.get((path.parent, path.stem)), 1, 0, "", _stem(path))


def _is_mask(path):
    return path.stem.endswith(_MASK)


def _stem(path):
    """A name without its number: `cup` for cup_01.png and cup/01.png."""
    return re.sub(r"[\W_]*\d*$", "", path.stem) or path.parent.name


def _read_sheet(sprite):
    image = decode_image(read_image_bytes(sprite.path), str(sprite.path), keep_alpha=True)
    if image.shape[2] != 4:
        raise InputError(
            f"{sprite.path}: has no alpha channel to mark the object; save it as "
            f"RGBA, or put a mask beside it as {sprite.path.stem}{_MASK}.png"
        )
    return image


def _read_cutout(sprite):
    """An image and its mask, eroded by a pixel since rims show the old background."""
    image, mask = read_image(sprite.path), read_image(sprite.mask)[..., 0]
    if image.shape[:2] != mask.shape:
        raise InputError(
            f"{sprite.mask}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels and its "
            f"image {image.shape[1]} x {image.shape[0]}; they must have the same size"
        )
    mask = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (3, 3), 0.7)
    return np.dstack([image, mask[1:-1, 1:-1]])


def _cells(sprite, image):
    height, width = image.shape[:2]
    side = sprite.cell
    if not side:
        return [image]
    if height % side or width % side or (height // side) * (width // side) < sprite.views:
        raise InputError(
            f"{sprite.path}: {width} x {height} pixels are not a grid of {sprite.views} cells "
            f"of {side} x {side}; correct `views` and `cell` in the index"
        )
    corners = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
    return [image[y : y + side, x : x + side] for y, x in corners[: sprite.views]]


def _cut(cell):
    """The non-transparent part of a cell, as a pyramid."""
    x, y, w, h = cv2.boundingRect((cell[..., 3] > 7).view(np.uint8))
    box = cv2.boundingRect((cell[..., 3] > 127).view(np.uint8))
    image = cell[y : y + h, x : x + w]
    zoom = min(1.0, _FINEST / max(w, h))
    if zoom < 1:
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    b, clear = sprites.BORDER, (0, 0, 0, 0)
    levels = [cv2.copyMakeBorder(image, b, b, b, b, cv2.BORDER_CONSTANT, value=clear)]
    while min(levels[-1].shape[:2]) > 16 and len(levels) < 4:
        rows, columns = levels[-1].shape[:2]
        smaller = columns // 2, rows // 2
        levels.append(cv2.resize(levels[-1], smaller, interpolation=cv2.INTER_AREA))
    origin = np.array(cell.shape[1::-1]) / 2
    corners = np.array([box[:2], np.add(box[:2], box[2:])]) - origin
    half = np.array([w, h]) / 2
    return View(tuple(levels), np.array([x, y]) + half - origin, half, corners.reshape(4))


def _without_plain_borders(image):
    """Removes uniform lines at each side."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    low, high = [0, 0], list(gray.shape)
    # twice: before the rows are cut, a uniform column may not look uniform
    for axis in (0, 1, 0, 1):
        inner = gray[low[0] : high[0], low[1] : high[1]]
        busy = np.flatnonzero(inner.std(1 - axis) > _PLAIN)
        if not len(busy):
            return inner[:0]
        end = low[axis] + busy[-1] + 1
        # a seam of mixed pixels is removed too
        low[axis] += busy[0] + (_SEAM if busy[0] else 0)
        high[axis] = end - (_SEAM if end < high[axis] else 0)
    return image[low[0] : high[0], low[1] : high[1]]
