"""Videos written frame by frame with PyAV."""

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from siamjax.errors import InputError
from siamjax.files import replacing, require_writable
from siamjax.video.reading import FOLDER_RATE, MAX_RATE, MIN_RATE, VIDEO_SUFFIXES, sane_rate

MAX_SIDE = 16384  # pixels of a frame side that H.264 encoders take


class _Discarded(Exception):
    """Removes the unfinished file of a video that is discarded."""


class VideoWriter:
    """Writes frames to a video file, H.264 where the build of PyAV has it, else MPEG-4.

        with VideoWriter("out.mp4", frame_rate=25) as writer:
            writer.write(frame)

    The file appears under its name when it is complete: at the end of the `with` block, also
    after Ctrl-C, with the frames until then. After any other exception no file is left. An odd
    width or height is padded by one pixel, which repeats its neighbour.
    """

    def __init__(self, path: str | Path, frame_rate: float | Fraction = FOLDER_RATE):
        self.path = Path(path)
        if self.path.suffix.lower() not in VIDEO_SUFFIXES:
            raise InputError(
                f"a video cannot be written to {str(path)!r}: its name must end in one of "
                f"{' '.join(sorted(VIDEO_SUFFIXES))}"
            )
        require_writable(self.path)
        if sane_rate(frame_rate) is None:
            raise InputError(
                f"`frame_rate` (={frame_rate}) must lie between {MIN_RATE} and {MAX_RATE} "
                "frames per second"
            )
        self._file = contextlib.ExitStack()
        partial = self._file.enter_context(replacing(self.path))
        self._shape: tuple[int, ...] | None = None
        suffix = self.path.suffix.lower()
        container = "matroska" if suffix == ".mkv" else suffix[1:]
        try:
            self._container = av.open(f"file:{partial}", "w", format=container)
        except av.FFmpegError as error:
            raise self._failure(error) from error
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        options = {"preset": "veryfast", "crf": "20"} if codec == "libx264" else {}
        # MPEG-4 stores numerator and denominator of the rate in 16 bits.
        rate = Fraction(frame_rate).limit_denominator(min(1001, int(65535 / frame_rate)))
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame; raises `InputError` if its size differs from the first.

        Raises `OSError` when the file cannot be written, for example on a full disk.
        """
        if self._shape is None:
            height, width = frame.shape[:2]
            if max(height, width) > MAX_SIDE:
                raise InputError(
                    f"{self.path}: frames of {width} x {height} pixels cannot be written as a "
                    f"video; a side may have {MAX_SIDE}"
                )
            self._shape = frame.shape
            self._stream.height, self._stream.width = height + height % 2, width + width % 2
        if frame.shape != self._shape:
            raise InputError(
                f"{self.path}: a frame of shape {frame.shape} does not fit a video of "
                f"{self._shape}"
            )
        odd = [(0, side % 2) for side in frame.shape[:2]]
        frame = np.pad(frame, [*odd, (0, 0)], mode="edge")
        self._mux(av.VideoFrame.from_ndarray(frame, format="bgr24"))

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise self._failure(error) from error

    def _failure(self, error: av.FFmpegError) -> OSError:
        return OSError(error.errno, f"cannot write: {error.strerror}", str(self.path))

    def close(self) -> None:
        """Finishes the file and gives it its name; without frames, no file is written.

        Raises `OSError`, and leaves no file, if it cannot be written.
        """
        if self._shape is None:
            self.discard()
            return
        with self._file:
            try:
                self._mux(None)
                self._container.close()
            except av.FFmpegError as error:
                raise self._failure(error) from error

    def discard(self) -> None:
        """Discards the video: no file is left."""
        # the reason may well be that nothing can be written
        with contextlib.suppress(av.FFmpegError):
            self._container.close()
        with contextlib.suppress(_Discarded), self._file:
            raise _Discarded

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()
