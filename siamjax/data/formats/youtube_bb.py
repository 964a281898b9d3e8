"""YouTube-BoundingBoxes: one frame per second of clips, boxes in fractions of the frame.

    yt_bb_detection_train.csv, yt_bb_detection_validation.csv   (also youtube_boundingboxes_...)
    yt_bb_detection_train/<class>/<video>_<time>_<class>_<object>.jpg
    yt_bb_detection_train/<class>/<video>+<class>+<object>+<time>.jpg
    yt_bb_detection_train/<class>/<video>[+<class>+<object>]/<...><time>.jpg

A line: video, time in ms, class number, class, object, present or absent, xmin, xmax, ymin,
ymax (in this order; -1 where absent). There is no header, and the lines of a video need not be
adjacent. The first file names are those of youtube-bb-utility, which PySOT reads, the second
those of its conversion to Pascal VOC; in a folder per clip, the last number of a file name is
the time in milliseconds or seconds. The frame number is the time in seconds, and a track is
one clip of one object.
"""

import functools
import os
import re
from collections import defaultdict
from pathlib import Path

from siamjax.data.formats.annotations import (
    ABSENT,
    Annotation,
    Clip,
    as_index,
    corners,
)
from siamjax.folders import files_in, images_in
from siamjax.text import TextError, parse_number, quote, read_lines

_MALFORMED = "the line is malformed"
_SPLITS = {"train": "yt_bb_detection_train", "validation": "yt_bb_detection_validation"}


def find(root: Path) -> list[Clip]:
    """Every video with its objects, also those whose frames were not downloaded."""
    clips = []
    for split, folder in _SPLITS.items():
        for file in files_in(root, f"*detection_{split}.csv"):
            for video, lines in sorted(_lines(file).items()):
                read = functools.partial(_read, root / folder, video, lines)
                clips.append(Clip(f"{split}/{video}", read))
    return clips


def _lines(file):
    """The lines of each video, joined: there are millions, so they stay text."""
    lines = defaultdict(list)
    for line in read_lines(file):
        if line.strip():
            lines[line.split(",", 1)[0].strip()].append(line)
    return {video: "\n".join(found) for video, found in lines.items()}


def _read(folder: Path, video: str, lines: str) -> list[Annotation]:
    folders: dict[tuple, dict[int, Path]] = {}
    found, numbers = [], {}
    for line in lines.split("\n"):
        try:
            _, time, kind, category, number, presence, *box = map(str.strip, line.split(","))
            milliseconds = as_index(time)
            x1, x2, y1, y2 = map(parse_number, box)
            if presence not in ("present", "absent"):
                raise TextError(f"{quote(presence)} is neither present nor absent")
        except ValueError:  # wrong number of columns, or of the wrong type
            nowhere = folder / video / "(malformed line)"
            found.append(Annotation(nowhere, 0, 0, None, excluded=_MALFORMED))
            continue
        track = numbers.setdefault((kind, number), len(numbers))
        image = _image_of(folder, video, kind, number, milliseconds)
        if image is None:
            key = (kind, number)
            if key not in folders:
                folders[key] = _frames(folder, video, kind, number)
            frames = folders[key]
            image = frames.get(milliseconds) or frames.get(milliseconds // 1000)
        image = image or folder / kind / video / f"(time {milliseconds})"
        found.append(
            Annotation(
                image,
                milliseconds // 1000,
                track,
                corners(x1, y1, x2, y2),
                category,
                (ABSENT,) if presence == "absent" else (),
                is_fraction=True,
            )
        )
    return found


def _image_of(folder, video, kind, number, milliseconds):
    """The image of a line, if images are in one folder per class, or all in one."""
    names = (
        f"{video}_{milliseconds}_{kind}_{number}.jpg",
        f"{video}+{kind}+{number}+{milliseconds}.jpg",
    )
    places = [place / name for place in (folder / kind, folder) for name in names]
    return next((place for place in places if os.path.isfile(place)), None)


def _frames(folder, video, kind, number):
    """The images of a folder per clip, by the last number of their names."""
    names = (f"{video}+{kind}+{number}", video)
    for place in [folder / kind / name for name in names] + [folder / name for name in names]:
        images = images_in(place)
        if images:
            return {
                int(digits[-1]): image
                for image in images
                if (digits := re.findall(r"\d+", image.stem))
            }
    return {}
