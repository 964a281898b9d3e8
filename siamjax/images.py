"""Reading and checking images: the single place through which every image enters.

An image is `[h, w, 3]` uint8 BGR. Any format that OpenCV reads is accepted, whatever the
suffix, if the file is complete, holds one image, and has at most `MAX_PIXELS`. Data after its
end is ignored.
"""

import contextlib
import os
import stat
import struct
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np

from siamjax.errors import RefusedError
from siamjax.signatures import HEAD, describe

MAX_PIXELS = 1 << 27  # 134 million; a small file may claim billions
MAX_BYTES = 1 << 30
_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SOS = 0xDA
_BARE = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}  # markers without a payload, and padding


_threads_lock = threading.RLock()
_threads_off: list[int] = []  # one entry per open block: the number of threads before it


@contextlib.contextmanager
def opencv_without_threads() -> Generator[None]:
    """Turns off OpenCV's threads until the last such block ends.

    For code with its own reader threads or processes, with which OpenCV's would compete.
    """
    with _threads_lock:
        _threads_off.append(_threads_off[0] if _threads_off else cv2.getNumThreads())
        cv2.setNumThreads(0)
    try:
        yield
    finally:
        with _threads_lock:
            before = _threads_off.pop()
            if not _threads_off:
                cv2.setNumThreads(before)


class ImageError(RefusedError):
    """An image, frame or video cannot be read; the message names the file."""


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file as `[h, w, 3]` uint8 BGR, see `decode_image`.

    Raises `ImageError`, which names the file, if it is missing or unusable.
    """
    return decode_image(read_image_bytes(path), str(path))


def read_image_bytes(path: str | Path) -> bytes:
    """The bytes of an image file; raises `ImageError` unless it is a file of sane size."""
    try:
        about = os.stat(path)
        # reading a pipe or a device might never end
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a pipe or a device"
            raise ImageError(f"{path}: cannot be read: it is {kind}, not a file")
        if about.st_size > MAX_BYTES:
            raise ImageError(
                f"{path}: has {about.st_size:,} bytes; an image may have {MAX_BYTES:,}"
            )
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a name with a zero byte raises ValueError
        if isinstance(error, ImageError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be read: {reason}") from error


def decode_image(
    content: bytes, name: str = "the image", *, keep_alpha: bool = False
) -> np.ndarray:
    """Decodes the bytes of an image file to `[h, w, 3]` uint8 BGR.

    EXIF orientation is applied. Grey becomes three equal channels, palettes and CMYK become
    BGR, alpha is dropped, and 16 bits are reduced to the upper 8. With `keep_alpha`, an image
    with an alpha channel is `[h, w, 4]`, without EXIF orientation. Raises `ImageError`, which
    begins with `name`, for data that are empty, truncated, too large, animated, or no image.
    """
    if not content:
        raise ImageError(f"{name}: the file is empty")
    try:
        width, height, frames = _stated(content)
    except (struct.error, IndexError, ValueError):
        raise ImageError(f"{name}: {_what_is_wrong(content)}") from None
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: claims {width} x {height} pixels; an image may have {MAX_PIXELS:,}"
        )
    if frames > 1:
        raise ImageError(f"{name}: holds {frames} images; save each as a file of its own")
    if frames == 0:
        raise ImageError(f"{name}: no readable image: it is truncated")
    try:
        encoded = np.frombuffer(content, np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED if keep_alpha else cv2.IMREAD_COLOR)
        if keep_alpha and image is not None:
            if image.ndim == 2 or image.shape[2] != 4:
                image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            elif image.dtype == np.uint16:
                image = (image.view(np.uint16) >> 8).astype(np.uint8)
    except cv2.error as error:
        raise ImageError(f"{name}: no readable image: {error.err}") from error
    if image is None:
        raise ImageError(f"{name}: {_what_is_wrong(content)}")
    return image


def _what_is_wrong(content: bytes) -> str:
    kind = describe(content[:HEAD])
    if kind is None:
        return "no readable image, or a truncated one"
    if "TIFF" in kind:
        kind += ", unsupported or truncated; its samples must have 8 or 16 bits"
    elif "image" in kind:
        kind += ", but damaged or truncated"
    return f"no readable image: it is {kind}"


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG header up to the scan: marker, offset of the payload, length.

    Raises `ValueError`, `IndexError` or `struct.error` if the header is truncated.
    """
    place, marker = 2, 0
    while marker != _SOS:
        place = content.index(b"\xff", place) + 1
        marker = content[place]
        if marker not in _BARE:
            (length,) = struct.unpack_from(">H", content, place + 1)
            yield marker, place + 3, length - 2
            place += 1 + length


def _stated(content: bytes) -> tuple[int, int, int]:
    """Width, height and number of complete images from the header; 0, 0, 1 if unknown."""
    if content[:2] == b"\xff\xd8":
        width = height = end = 0
        for marker, place, length in jpeg_segments(content):
            if marker in _SOF:
                height, width = struct.unpack_from(">HH", content, place + 1)
            end = place + length
        # Truncated, it lacks the last marker, and would decode to an image with a grey end.
        return width, height, int(content.rfind(b"\xff\xd9") >= end)
    elif content[:8] == b"\x89PNG\r\n\x1a\n":
        return *struct.unpack_from(">II", content, 16), _count_png(content)
    elif content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8X":
        width, height = (int.from_bytes(content[i : i + 3], "little") + 1 for i in (24, 27))
        return width, height, content.count(b"ANMF") if content[20] & 2 else 1
    elif content[:4] == b"GIF8":
        return *struct.unpack_from("<HH", content, 6), _count_gif(content)
    elif content[:2] == b"BM":
        width, height = struct.unpack_from("<ii", content, 18)
        return abs(width), abs(height), 1
    elif content[:4] in (b"II*\0", b"MM\0*"):
        return _stated_in_tiff(content)
    return 0, 0, 1


def _count_png(content: bytes) -> int:
    """The number of images in a PNG; 0 if a chunk extends beyond the end of the file."""
    place, count, kind = 8, 1, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"acTL":
            (count,) = struct.unpack_from(">I", content, place + 8)
        place += 12 + length
        if place > len(content):
            return 0
    return count


def _count_gif(content: bytes) -> int:
    """The number of images in a GIF: a sequence of blocks, each of sub-blocks with a length."""

    def skip_colours(place, flags):
        return place + (3 << (flags & 7) + 1 if flags & 0x80 else 0)

    place, count = skip_colours(13, content[10]), 0
    while place < len(content) and (kind := content[place]) != 0x3B:
        if kind == 0x2C:
            count += 1
            place = skip_colours(place + 10, content[place + 9]) + 1
        else:
            place += 2
        while content[place]:
            place += 1 + content[place]
        place += 1
    return count


def _stated_in_tiff(content: bytes) -> tuple[int, int, int]:
    """Size of the first image, and the number of pages; thumbnails and masks do not count."""
    order = "<" if content[:1] == b"I" else ">"
    width = height = pages = 0
    (place,) = struct.unpack_from(f"{order}I", content, 4)
    seen = set()
    while place and place not in seen:
        seen.add(place)
        (count,) = struct.unpack_from(f"{order}H", content, place)
        tags = {}
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHI4s", content, entry)
            tags[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", value)[0]
        pages += not tags.get(254, 0) & 5
        width, height = width or tags.get(256, 0), height or tags.get(257, 0)
        (place,) = struct.unpack_from(f"{order}I", content, place + 2 + 12 * count)
    return width, height, max(pages, 1)
