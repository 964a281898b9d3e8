"""Where frames come from: a folder of images, a camera, or a video."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from siamjax.folders import IMAGE_SUFFIXES, FolderError, files_in, folders_in, images_in
from siamjax.images import ImageError, read_image
from siamjax.video.reading import (
    FOLDER_RATE,
    VIDEO_SUFFIXES,
    SourceStopped,
    VideoFile,
    sane_rate,
)

_LAST_CAMERA = 2**31 - 1  # the largest index that OpenCV takes


class ImageFolder:
    """The images of a folder, in natural order of their names, or a single image.

    Iterating yields frames, or an `ImageError` in the place of one that cannot be read.

    Attributes:
        paths: of the images.
    """

    def __init__(self, path: Path):
        try:
            self.paths = [path] if path.is_file() else images_in(path)
        except FolderError as error:
            raise ImageError(str(error)) from error
        self.count = len(self.paths)
        self.frame_rate = FOLDER_RATE
        self.time = 0.0
        self.notes: list[str] = []
        if not self.paths:
            inner = [folder for folder in folders_in(path) if images_in(folder)]
            inner += [f for f in files_in(path, "*") if f.suffix.lower() in VIDEO_SUFFIXES]
            hint = f"; did you mean {inner[0]}?" if inner else ""
            raise ImageError(
                f"{path}: holds no images ({' '.join(sorted(IMAGE_SUFFIXES))}){hint}"
            )

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        for number, path in enumerate(self.paths):
            try:
                frame = read_image(path)
            except ImageError as error:
                frame = error
            self.time = float(number / self.frame_rate)
            yield frame


class Camera:
    """The frames of a camera from now on; the last element is a `SourceStopped`.

    Attributes:
        index: in the numbering of OpenCV.
    """

    def __init__(self, index: int):
        self.index = index
        self.count = None
        self.time = 0.0
        self.notes: list[str] = []
        if index > _LAST_CAMERA:
            raise ImageError(
                f"camera {index} does not exist: the largest index is {_LAST_CAMERA}"
            )
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise ImageError(
                f"camera {index} cannot be opened; is it connected, and not in use?"
            )
        self.frame_rate = sane_rate(self._capture.get(cv2.CAP_PROP_FPS)) or FOLDER_RATE

    def __iter__(self) -> Iterator[np.ndarray | ImageError]:
        start = None
        try:
            while True:
                is_read, frame = self._capture.read()
                if not is_read:
                    yield SourceStopped(f"camera {self.index} stopped")
                    return
                now = time.monotonic()
                start = now if start is None else start
                self.time = now - start
                yield frame
        finally:
            self._capture.release()


def open_frames(source: str | Path) -> ImageFolder | VideoFile | Camera:
    """Opens a video file, a folder of images, an image, a camera or a network stream.

    A camera is given by its number, a stream by an address such as rtsp://host/path. Files
    and folders can be iterated repeatedly. Raises `ImageError` if there is nothing to read.
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
    if path.is_fifo() or path.is_socket():  # would be opened more than once, or block
        raise ImageError(f"{path}: is a pipe, not a file; save its content to a file first")
    is_still = path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES
    return ImageFolder(path) if is_still else VideoFile(path)


def is_live(source: str | Path) -> bool:
    """Whether a source is a camera number or a network address."""
    text = str(source)
    return "://" in text or (text.isdecimal() and not Path(text).exists())
