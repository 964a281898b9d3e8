"""Reading and writing of frames: folders of images, video files, cameras, streams.

Frames are `[h, w, 3]` uint8 BGR. A frame that cannot be read is an `ImageError` that names the
file, yielded in its place, so that the caller can count it and continue. Every source has

    count       number of frames, or None if it is not known for certain
    frame_rate  frames per second, a plausible `Fraction`, for writing them
    time        seconds from the first frame to the latest one
    notes       remarks for the user about the source; may grow while reading
"""

from siamjax.video.reading import SourceStopped, VideoFile
from siamjax.video.sources import Camera, ImageFolder, is_live, open_frames
from siamjax.video.writing import VideoWriter
