"""Video files and network streams, read frame by frame with PyAV."""

import collections
import itertools
import math
import statistics
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from siamjax.images import MAX_PIXELS, ImageError
from siamjax.signatures import HEAD, describe

VIDEO_SUFFIXES = {
    ".avi",
    ".mkv",
    ".mov",
    ".mp4",
}  # formats that are written; PyAV reads many more
PATIENCE = 20.0  # seconds without data after which a network stream has stopped
FOLDER_RATE = Fraction(30)  # frames per second of a folder of images, which has no rate
MIN_RATE, MAX_RATE = Fraction(1, 10), Fraction(1000)  # plausible rates
_FAR = 5  # factor by which a stated rate may differ from that of the first time stamps
_COVER = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_SLACK = 4096  # bytes; some programs count their own headers twice
_LOOK_AHEAD = 100  # packets that tell a still image from a video
_WITHOUT_KEY = 300  # packets without a keyframe after which any frame may be the first
_JOINED = (
    "it was cut without re-encoding: frames before the first keyframe cannot be decoded and "
    "are left out"
)
# Containers whose index lists the offset of every frame and whether it is shown.
_INDEXED = {"avi", "mov,mp4,m4a,3gp,3g2,mj2"}


class SourceStopped(ImageError):
    """A camera or a stream stopped before its end; always the last element."""


class _NoFrame(ImageError):
    """Data without a decodable frame. Threaded decoding reports it early."""


def sane_rate(*rates: float | Fraction | None) -> Fraction | None:
    """The first plausible one of some frame rates; None if there is none."""
    for rate in rates:
        if rate is not None and math.isfinite(rate) and MIN_RATE <= rate <= MAX_RATE:
            return Fraction(rate)
    return None


class VideoFile:
    """The frames of the video in a file or at a network address, turned upright.

    The video is the largest stream that is not a cover image. Iterating decodes from the
    beginning and yields the frames that a player shows: in a video that was cut without
    re-encoding, those before the first keyframe are left out. An `ImageError` takes the place
    of a damaged frame, and a `SourceStopped` ends a video that is truncated.

    Attributes:
        path: of the file, or the address.
    """

    def __init__(self, path: Path | str):
        self.path = path
        self.time = 0.0
        self.notes: list[str] = []
        with self._open() as container:
            stream = self._choose(container)
            self._stream = stream.index
            self.count = self._count(container, stream)
            stated = stream.average_rate
            self._believed = sane_rate(stated)
            # MP4 states the mean over all frames, from which the first ones may differ much.
            is_mean = self._believed and "mp4" in container.format.name
            if not is_mean and "://" not in str(self.path):
                measured = sane_rate(self._measured_rate())
                if measured and not (stated and 1 / _FAR < measured / stated < _FAR):
                    self._believed = measured
            others = stream.guessed_rate, stream.base_rate
            self.frame_rate = self._believed or sane_rate(*others) or FOLDER_RATE
            if stated != self._believed and self.count != 1:
                shown = f"{float(stated):g} frames/s" if stated else "no frame rate"
                self._note(f"the video states {shown}; {float(self.frame_rate):g} are assumed")

    def _measured_rate(self) -> Fraction | None:
        """Frames a second, by the time stamps of the first packets."""
        with self._open() as container:
            packets = container.demux(container.streams[self._stream])
            try:
                first = [p for p in itertools.islice(packets, _LOOK_AHEAD) if p.pts is not None]
            except av.FFmpegError:
                return None
        stamps = sorted({packet.pts * packet.time_base for packet in first})
        steps = [later - stamp for stamp, later in itertools.pairwise(stamps)]
        return 1 / statistics.median_low(steps) if steps else None

    def _open(self):
        source, options = str(self.path), {}
        if "://" not in source:
            # A name with a colon is a file name, and a playlist must not open other resources.
            source, options = f"file:{source}", {"protocol_whitelist": "file"}
        try:
            container = av.open(source, options=options, timeout=PATIENCE)
        except (av.FFmpegError, ValueError) as error:
            raise ImageError(f"{self.path}: no readable video: {self._why(error)}") from error
        return container

    def _why(self, error: Exception) -> str:
        """Why it cannot be opened, with the actual file type if its first bytes tell."""
        kind = None
        if "://" not in str(self.path) and Path(self.path).is_file():
            with open(self.path, "rb") as opened:
                kind = describe(opened.read(HEAD))
        return _reason(error) if kind is None or "video" in kind else f"it is {kind}"

    def _choose(self, container):
        videos = [s for s in container.streams.video if s.codec_context is not None]
        moving = [stream for stream in videos if not stream.disposition & _COVER]
        if not moving:
            unknown = (
                "no video of a known codec" if container.streams.video else "no video stream"
            )
            raise ImageError(
                f"{self.path}: holds {'only a cover image' if videos else unknown}"
            )
        if len(moving) > 1 and "://" not in str(self.path):
            moving = self._without_stills(container, moving)
        stream = max(moving, key=lambda stream: (_area(stream), -stream.index))
        if _area(stream) > MAX_PIXELS:
            raise ImageError(
                f"{self.path}: claims frames of {stream.codec_context.width} x "
                f"{stream.codec_context.height} pixels; a frame may have {MAX_PIXELS:,}"
            )
        if len(moving) > 1:
            size = f"{stream.codec_context.width} x {stream.codec_context.height}"
            self.notes.append(f"it holds {len(moving)} videos; the largest, {size}, is read")
        return stream

    def _without_stills(self, container, streams):
        """The streams with several frames; a cover image may not be marked as one."""
        packets = collections.Counter()
        try:
            for packet in itertools.islice(container.demux(streams), _LOOK_AHEAD):
                packets[packet.stream.index] += packet.size > 0
        except av.FFmpegError:
            pass  # the error will show when frames are read
        return [s for s in streams if packets[s.index] > 1] or streams

    def _count(self, container, stream) -> int | None:
        """The number of frames in the index that are shown; headers are not reliable."""
        kind, entries = container.format.name, list(stream.index_entries)
        # 0 frames are stated if the index grows while reading.
        if not stream.frames or kind not in _INDEXED or self._is_cut_short(container, stream):
            return None
        # An AVI file without index has entries only for what was read so far.
        if kind == "avi" and max((e.pos for e in entries), default=0) < container.size / 2:
            return None
        # One without an initial keyframe must be read; there is no other way.
        if not any(entry.is_keyframe for entry in entries[1:]) or entries[0].is_keyframe:
            return sum(not entry.is_discard for entry in entries) or None
        packets = (packet for packet in container.demux(stream) if packet.size)
        packets = list(itertools.dropwhile(lambda packet: not packet.is_keyframe, packets))
        return sum(not p.is_discard and _is_after(p, packets[0].pts) for p in packets)

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        with self._open() as container:
            index, start = 0, None
            early: list[ImageError] = []  # reported before the first frame
            for item in self._decoded(container):
                element, stamp = self._convert(item, index + 1)
                if start is not None:
                    self._advance(stamp, start)
                elif isinstance(element, ImageError):
                    if isinstance(item, av.VideoFrame):
                        self._note(_JOINED)
                    early.append(element)
                    continue
                else:
                    start, self.time = stamp or 0.0, 0.0
                yield element
                if isinstance(element, SourceStopped):
                    return
                index += 1
                # Threaded decoding reports damage early: its position is unknown.
                later = [error for error in early if isinstance(error, _NoFrame)]
                yield from later
                index, early = index + len(later), []
            yield from early[:1]
            if self._is_cut_short(container, container.streams[self._stream]):
                yield SourceStopped(f"{self.path} is truncated, after {index} frames")

    def _decoded(self, container, wait: bool = True) -> Iterator:
        """Decoded frames from the first keyframe on, with errors in between."""
        stream = container.streams[self._stream]
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        skipped, first, can_begin = 0, None, not wait
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                yield SourceStopped(f"{self.path} stopped: {_reason(error)}")
                return
            if packet is None:
                break
            if not can_begin:
                can_begin = packet.is_keyframe or skipped == _WITHOUT_KEY
                first = packet.pts
                if not can_begin:
                    skipped += packet.size > 0
                    continue
                if skipped:
                    self._note(_JOINED)
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                yield error
                continue
            # some frames shown before the keyframe need frames that are missing
            yield from (frame for frame in frames if _is_after(frame, first))
        if skipped and not can_begin:  # no frame is marked as a keyframe
            with self._open() as again:
                yield from self._decoded(again, wait=False)

    def _convert(self, item, number: int) -> tuple[np.ndarray | ImageError, float | None]:
        """A decoded item as an element, and its time stamp in seconds, if it has one."""
        if isinstance(item, ImageError):
            return item, None
        if isinstance(item, av.FFmpegError):
            told = f"{self.path}: frame {number} is damaged: {item.strerror}"
            return _NoFrame(told), None
        try:
            if not item.is_corrupt:
                return _upright(item), item.time
            reason = "is damaged"
        except (av.FFmpegError, ValueError) as error:  # a format that cannot be converted
            reason = f"cannot be converted: {error}"
        return ImageError(f"{self.path}: frame {number} {reason}"), item.time

    def _advance(self, stamp: float | None, start: float) -> None:
        """Moves `time` to this time stamp, or by one frame if there is none."""
        if stamp is None or not self._believed:
            self.time += float(1 / self.frame_rate)
        else:
            self.time = max(self.time, stamp - start)

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def _is_cut_short(self, container, stream) -> bool:
        """Whether the file is shorter than its container states."""
        path = Path(self.path)
        if "://" in str(self.path) or not path.is_file():
            return False
        size = path.stat().st_size
        if container.format.name in _INDEXED and any(
            entry.pos + entry.size > size for entry in stream.index_entries
        ):
            return True
        with open(path, "rb") as opened:
            return size + _SLACK < _stated_end(opened.read(256))


def _is_after(item: av.Packet | av.VideoFrame, first: int | None) -> bool:
    return item.pts is None or first is None or item.pts >= first


def _area(stream) -> int:
    return (stream.codec_context.width or 0) * (stream.codec_context.height or 0)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame with its display rotation and mirroring, in steps of 90 degrees."""
    image = frame.to_ndarray(format="bgr24")
    held: Any = frame.side_data
    matrix = held.get(SideData.DISPLAYMATRIX)
    if matrix is not None:
        # a pixel (x, y) moves to (a x + c y, b x + d y)
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if abs(a) + abs(d) < abs(b) + abs(c):
            image, a, d = image.transpose(1, 0, 2), c, b
        image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def _stated_end(start: bytes) -> int:
    """The size that an AVI or Matroska file states; 0 if it states none."""
    if start[:4] == b"RIFF":
        size = int.from_bytes(start[4:8], "little")
        return 8 + size if size < 0xFFFFFFFF else 0
    if start[:4] == b"\x1aE\xdf\xa3":
        place, _ = _ebml_end(start, 4)
        if start[place : place + 4] == b"\x18S\x80g":
            end, is_known = _ebml_end(start, place + 4)
            return end if is_known else 0
    return 0


def _ebml_end(content: bytes, place: int) -> tuple[int, bool]:
    """The end of the element whose length is stored at `place`, and whether it is known."""
    first = content[place] if place < len(content) else 0
    length = 9 - first.bit_length()  # bytes of the number; its first bits count them
    value = int.from_bytes(content[place : place + length]) & ((1 << 7 * length) - 1)
    return place + length + value, value != (1 << 7 * length) - 1


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):  # FFmpeg's "Immediate exit requested"
        return f"no data for {PATIENCE:g} s"
    return getattr(error, "strerror", None) or str(error)
