"""Pictures in and out: images, folders of images, video files, cameras, streams.

Frames are `[h, w, 3]` uint8 BGR everywhere. What cannot be read is an `ImageError` that names
the file, and inside a sequence it is one of its elements, so that the caller can skip it,
count it and go on.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from siamjax.errors import InputError, RefusedError

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {".avi", ".mkv", ".mov", ".mp4"}  # those that we write; PyAV reads many more
PATIENCE = 20.0  # seconds without data after which a network stream has stopped
FOLDER_RATE = Fraction(30)  # frames per second of a folder of images, which has no rate


class ImageError(RefusedError):
    """An image, a frame or a video cannot be read; the message names the file."""


class SourceStopped(ImageError):
    """A camera or a stream stopped before its end; as an element, it is the last one."""


def read_image(path: str | Path) -> np.ndarray:
    """An image file as `[h, w, 3]` uint8 BGR, turned upright where its EXIF data says so.

    Grey becomes three equal channels, alpha is dropped, 16 bits become 8. Raises `ImageError`
    for a file that is missing, empty, truncated or no image.
    """
    try:
        encoded = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
    if not encoded:
        raise ImageError(f"{path}: the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{path}: no readable image: {error.err}") from error
    if image is None:
        raise ImageError(f"{path}: no readable image, or a truncated one")
    return image


def natural_order(path: Path) -> tuple:
    """Sorting key under which `2.jpg` comes before `10.jpg`."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts], path


class ImageFolder:
    """The images of a folder, in natural order of their names.

    Iterating gives a frame, or an `ImageError` in the place of one that cannot be read.

    Attributes:
        paths: of the images.
        count: how many.
        frame_rate: frames per second to play them at.
    """

    def __init__(self, path: Path):
        self.paths = sorted(_images_in(path), key=natural_order)
        self.count = len(self.paths)
        self.frame_rate = FOLDER_RATE
        if not self.paths:
            inner = [p for p in sorted(path.iterdir()) if p.is_dir() and _images_in(p)]
            hint = f"; did you mean {inner[0]}?" if inner else ""
            raise ImageError(
                f"{path}: holds no image ({' '.join(sorted(IMAGE_SUFFIXES))}){hint}"
            )

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        for path in self.paths:
            try:
                frame = read_image(path)
            except ImageError as error:
                frame = error
            yield frame


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]


class VideoFile:
    """The frames of the first video stream of a file or a network address, turned upright.

    Iterating decodes from the beginning and gives a frame, or an `ImageError` in the place
    of one that is damaged; a `SourceStopped` where reading ends before the video does.

    Attributes:
        path: of the file, or the address.
        count: how many frames the file says it has, or None; it may be wrong.
        frame_rate: frames per second.
    """

    def __init__(self, path: Path | str):
        self.path = path
        with self._open() as container:
            stream = container.streams.video[0]
            self.count = stream.frames or None
            self.frame_rate = stream.average_rate or FOLDER_RATE

    def _open(self):
        try:
            container = av.open(str(self.path), timeout=PATIENCE)
        except av.FFmpegError as error:
            raise ImageError(f"{self.path}: no readable video: {_reason(error)}") from error
        if not container.streams.video:
            container.close()
            raise ImageError(f"{self.path}: holds no video stream")
        return container

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            packets = container.demux(stream)
            index = 0
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except av.FFmpegError as error:
                    yield SourceStopped(f"{self.path} stopped: {_reason(error)}")
                    return
                for frame in self._decode(packet, index):
                    yield frame
                    index += 1

    def _decode(self, packet, index: int) -> Iterator[np.ndarray | ImageError]:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            yield ImageError(f"{self.path}: frame {index} is damaged: {error.strerror}")
            return
        for offset, frame in enumerate(frames):
            if frame.is_corrupt:
                yield ImageError(f"{self.path}: frame {index + offset} is damaged")
            else:
                yield np.ascontiguousarray(
                    np.rot90(frame.to_ndarray(format="bgr24"), frame.rotation // 90)
                )


def _reason(error: av.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):  # FFmpeg's "Immediate exit requested"
        return f"nothing came for {PATIENCE:g} s"
    return error.strerror or str(error)


class Camera:
    """The frames of a camera, from now until it stops, which its last element says.

    Attributes:
        index: which one, as OpenCV counts them.
        count: None, for it has no end.
        frame_rate: frames per second that it says it gives.
    """

    def __init__(self, index: int):
        self.index = index
        self.count = None
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise ImageError(f"camera {index} cannot be opened: is it there, and free?")
        self.frame_rate = Fraction(self._capture.get(cv2.CAP_PROP_FPS) or FOLDER_RATE)

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        try:
            while True:
                is_read, frame = self._capture.read()
                if not is_read:
                    yield SourceStopped(f"camera {self.index} stopped")
                    return
                yield frame
        finally:
            self._capture.release()


def open_frames(source: str | Path) -> ImageFolder | VideoFile | Camera:
    """The frames of a video file, a folder of images, a camera or a network stream.

    A camera is its number, a stream an address such as rtsp://host/path. Files and folders
    may be iterated as often as wanted. Raises `ImageError` when there is nothing to read.
    """
    if is_live(source):
        text = str(source)
        return Camera(int(text)) if text.isdecimal() else VideoFile(text)
    path = Path(source)
    if not path.exists():
        raise ImageError(
            f"{path}: does not exist; give a video file, a folder of images, the number of a "
            "camera, or an address with ://"
        )
    return ImageFolder(path) if path.is_dir() else VideoFile(path)


def is_live(source: str | Path) -> bool:
    """Whether it is a camera's number or an address, and no file."""
    text = str(source)
    return "://" in text or (text.isdecimal() and not Path(text).exists())


class VideoWriter:
    """Writes frames to a video file, H.264 where the build of PyAV has it, else MPEG-4.

        with VideoWriter("out.mp4", frame_rate=25) as writer:
            writer.write(frame)

    The file appears under its name only when it is complete: at the end of the `with` block,
    or when Ctrl-C leaves it, with what was written until then. Any other exception removes
    it. An odd width or height grows by one pixel, which repeats its neighbour.
    """

    def __init__(self, path: str | Path, frame_rate: float | Fraction = FOLDER_RATE):
        self.path = Path(path)
        if self.path.suffix.lower() not in VIDEO_SUFFIXES:
            raise InputError(
                f"a video cannot be written to {str(path)!r}: its name must end in one of "
                f"{' '.join(sorted(VIDEO_SUFFIXES))}"
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._partial = self.path.with_name(f".{self.path.stem}.partial{self.path.suffix}")
        self._shape: tuple[int, ...] | None = None
        try:
            self._container = av.open(str(self._partial), "w")
        except av.FFmpegError as error:
            raise self._failure(error) from error
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        options = {"preset": "veryfast", "crf": "20"} if codec == "libx264" else {}
        # MPEG-4 keeps the rate in 16 bits.
        rate = Fraction(frame_rate).limit_denominator(1001)
        self._stream = self._container.add_stream(codec, rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame; all must have the size of the first, else `ValueError`.

        Raises `OSError` when the file cannot be written, as on a full disk.
        """
        if self._shape is None:
            self._shape = frame.shape
            height, width = frame.shape[:2]
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
        return OSError(
            error.errno, f"the video cannot be written: {error.strerror}", str(self.path)
        )

    def close(self) -> None:
        """Finishes the file and gives it its name; without any frame, there is no file.

        Raises `OSError`, and leaves nothing, when it cannot be written to the end.
        """
        if self._shape is None:
            self.discard()
            return
        try:
            self._mux(None)
            self._container.close()
        except av.FFmpegError as error:
            raise self._failure(error) from error
        else:
            self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def discard(self) -> None:
        """Gives up: nothing is left on disk."""
        try:
            self._container.close()
        except av.FFmpegError:
            pass  # the reason for giving up may well be that nothing can be written
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()
