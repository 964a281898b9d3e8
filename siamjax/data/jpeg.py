"""JPEG files from which a window can be decoded alone.

These are ordinary baseline JPEGs with a restart marker every few blocks; the data between
two markers decodes independently. The segments that a window touches, behind the same header
with another size in it, are a smaller JPEG. Its pixels equal those of the whole image. Any
decoder reads the whole file.
"""

import struct

import cv2
import numpy as np

from siamjax.data.crops import JPEG_QUALITY
from siamjax.errors import InputError
from siamjax.images import jpeg_segments

_BLOCK = 16  # pixels, with colour at half the resolution
_BLOCKS = 4  # at most, between two markers; files grow by 0.5 %
# Chroma is stored at half the resolution and interpolated: pixels at a cut would change.
_MARGIN = 2
_MARKER = b"\xff\xd0"
_SOF0, _DRI, _APP1 = 0xC0, 0xDD, 0xE1


class TiledJpeg:
    """A JPEG with restart markers, and the positions of its segments.

    Attributes:
        width: of the whole image, pixels.
        height: likewise.
    """

    def __init__(self, data: bytes):
        """Reads the header; raises `InputError` for a file without usable restart markers."""
        self._data = data
        self._frame_at = restart = 0
        if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
            raise InputError("not a JPEG, or truncated, or with data after its end")
        for marker, place, length in jpeg_segments(data):
            if marker == _SOF0:
                self._frame_at = place + 1
                self.height, self.width, parts = struct.unpack_from(">HHB", data, place + 1)
                factors = [data[place + 7 + 3 * i] for i in range(parts)]
            elif marker == _DRI:
                (restart,) = struct.unpack_from(">H", data, place)
            elif marker == _APP1:
                raise InputError("EXIF may rotate the image, which a part of it cannot be")
            self._scan = place + length
        if not (self._frame_at and restart):
            raise InputError("no restart markers")
        self._piece_height = 8 * max(f & 15 for f in factors)
        block = 8 * max(f >> 4 for f in factors)
        self._piece_width = block * restart
        blocks = -(-self.width // block)
        if blocks % restart:
            raise InputError("the restart markers do not align with the rows")
        self._columns = blocks // restart
        rows = -(-self.height // self._piece_height)
        scan = np.frombuffer(data, np.uint8, offset=self._scan)
        marks = np.flatnonzero(scan[:-1] == 0xFF)
        marks = marks[(scan[marks + 1] & 0xF8) == 0xD0]
        if len(marks) != rows * self._columns - 1:
            raise InputError("the number of restart markers is wrong")
        self._stops = np.empty(len(marks) + 1, np.int64)
        self._stops[:-1], self._stops[-1] = marks + self._scan, len(data) - 2
        self._starts = np.empty_like(self._stops)
        self._starts[0], self._starts[1:] = self._scan, self._stops[:-1] + 2

    def decode(self, x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, int, int]:
        """The pixels from (x0, y0) to (x1, y1), inclusive, with some around them.

        Returns the part `[h, w, 3]` uint8 BGR and the position (x, y) of its first pixel in
        the whole image. Raises `InputError` when it cannot be decoded.
        """
        pw, ph = self._piece_width, self._piece_height
        left = max(0, x0 - _MARGIN) // pw
        right = min(self.width - 1, x1 + _MARGIN) // pw + 1
        top = max(0, y0 - _MARGIN) // ph
        bottom = min(self.height - 1, y1 + _MARGIN) // ph + 1
        header = bytearray(self._data[: self._scan])
        height = min(self.height, bottom * ph) - top * ph
        width = min(self.width, right * pw) - left * pw
        struct.pack_into(">HH", header, self._frame_at, height, width)
        # a row of segments is contiguous in the file; only its markers are renumbered
        pieces = np.arange(top, bottom)[:, None] * self._columns + np.arange(left, right)
        starts, stops = self._starts[pieces[:, 0]], self._stops[pieces]
        runs: list[bytes | bytearray] = [header]
        for start, stop in zip(starts.tolist(), stops[:, -1].tolist(), strict=True):
            runs += (self._data[start:stop], _MARKER)
        content = np.frombuffer(bytearray().join(runs), np.uint8)
        lengths = stops[:, -1] - starts + len(_MARKER)
        begins = len(header) + np.cumsum(lengths) - lengths
        marks = (stops - starts[:, None] + begins[:, None]).ravel()
        content[marks + 1] = 0xD0 + np.arange(len(marks)) % 8
        content[-1] = 0xD9
        try:
            part = cv2.imdecode(content, cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise InputError("a part of the image cannot be decoded") from error
        if part is None or part.shape[:2] != (height, width):
            raise InputError("a part of the image cannot be decoded")
        return part, left * pw, top * ph


def encode_tiled(image: np.ndarray) -> bytes:
    """Encodes an image as a JPEG that `TiledJpeg` can decode in part."""
    across = -(-image.shape[1] // _BLOCK)
    # every row of blocks must end at a marker
    blocks = max(n for n in range(1, _BLOCKS + 1) if across % n == 0)
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_RST_INTERVAL, blocks]
    return cv2.imencode(".jpg", image, flags)[1].tobytes()


def open_tiled(data: bytes) -> TiledJpeg | None:
    """The JPEG, or None if it cannot be decoded in part."""
    try:
        return TiledJpeg(data)
    except (ValueError, struct.error, IndexError):
        return None
