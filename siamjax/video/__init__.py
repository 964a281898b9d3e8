"""Frames in and out: folders of images, video files, cameras, streams.

Frames are `[h, w, 3]` uint8 BGR everywhere. What cannot be read is an `ImageError` that names
the file, and inside a sequence it is one of its elements, so that the caller can skip it,
count it and go on. Every source has

    count       how many frames there are to come, or None where nothing sure is known
    frame_rate  frames per second, a `Fraction` that makes sense, to write them at
    time        seconds from the first frame to the one that came last
    notes       what the user should know about the source, in words; may grow while reading
"""

from siamjax.video.reading import SourceStopped, VideoFile
from siamjax.video.sources import Camera, ImageFolder, is_live, open_frames
from siamjax.video.writing import VideoWriter

__all__ = [
    "Camera",
    "ImageFolder",
    "SourceStopped",
    "VideoFile",
    "VideoWriter",
    "is_live",
    "open_frames",
]
