"""Square crops that are cut already, listed line by line in `index.jsonl`.

    index.jsonl    {"file": "crops/a/b.jpg", "source": "coco", "video": "b", "frame": "b",
                    "object": 0, "box_xywh_in_crop": [x, y, w, h], "category": "dog",
                    "is_video": false}

A crop shows one object at its centre, with context; the origin of its box is the centre of
the crop's first pixel. Preparing with the crops' own `--crop-size` and the `--template-size`
they were cut for keeps them as they are. All objects of an image are one
video, within which no negative pair is made; an image is a still image unless `is_video` is
true and `frame` is its frame number. Only `file` and `box_xywh_in_crop` are required, for a
video `frame` and `object` as well.
"""

import functools
from collections import defaultdict
from pathlib import Path

from siamjax.data.formats.annotations import (
    Annotation,
    Clip,
    LayoutError,
    as_box,
    as_index,
    within,
)
from siamjax.text import TextError, parse_json, quote, read_lines

INDEX = "index.jsonl"


def find(root: Path) -> list[Clip]:
    """Every image (or video) of the index, in its order; `<source>/<video>` is its name."""
    file = root / INDEX
    if not file.is_file():
        return []
    clips = defaultdict(list)
    for number, line in enumerate(read_lines(file), 1):
        if line.strip():
            try:
                name, annotation = _annotation(root, line)
            except (TextError, LayoutError) as error:
                raise LayoutError(
                    f"{str(file)!r} line {number} is not a valid crop: {error}"
                ) from None
            clips[name].append(annotation)
    return [Clip(name, functools.partial(tuple, found)) for name, found in clips.items()]


def _annotation(root, line):
    """The name of a line's video, and its annotation; raises `TextError`, `LayoutError`."""
    entry = parse_json(line)
    if not isinstance(entry, dict):
        raise TextError(f"{quote(entry)} is not an object")
    image = within(root, entry.get("file"))
    video, source = str(entry.get("video", image.stem)), entry.get("source", "")
    box, is_video = as_box(entry.get("box_xywh_in_crop")), entry.get("is_video", False)
    if box is None or not isinstance(is_video, bool):
        raise TextError("`box_xywh_in_crop` must be four numbers, `is_video` true or false")
    frame = as_index(entry.get("frame")) if is_video else 0
    if is_video and "object" not in entry:
        raise TextError("`object` is missing: which of the video's targets is it?")
    track = as_index(entry.get("object", 0))
    x, y, w, h = box
    return (
        f"{source}/{video}" if source else video,
        Annotation(
            image,
            frame,
            track,
            # from pixel centres to pixel edges
            (x + 0.5, y + 0.5, w, h),
            str(entry.get("category") or ""),
        ),
    )
