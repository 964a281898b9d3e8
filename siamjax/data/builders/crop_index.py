"""Square crops that others cut already, listed line by line in `index.jsonl`.

    index.jsonl    {"file": "crops/a/b.jpg", "source": "coco", "video": "b", "frame": "b",
                    "object": 0, "box_xywh_in_crop": [x, y, w, h], "category": "dog",
                    "is_video": false}

A crop shows one object in its middle, with context around it; the box is counted from the
centre of the crop's first pixel. Preparing with `--crop-size` of the crops' own side, and
the template that they were cut for, keeps them as they are. All objects of a picture are one
video, of which no negative pair is made; a picture is a still image unless `is_video` says
that its `frame` is the number of a frame. Only `file` and `box_xywh_in_crop` are needed.
"""

import functools
import json
from collections import defaultdict
from pathlib import Path

from siamjax.data.builders.annotations import Clip, LayoutError, Sighting

INDEX = "index.jsonl"


def find(root: Path) -> list[Clip]:
    """Every picture (or video) of the index, in its order; `<source>/<video>` is its name."""
    file = root / INDEX
    if not file.is_file():
        return []
    clips = defaultdict(list)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LayoutError(f"{file}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, sighting = _sighting(root, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LayoutError(
                f"{file}: line {number} describes no crop: {type(error).__name__}: {error}"
            ) from error
        clips[name].append(sighting)
    return [Clip(name, functools.partial(tuple, found)) for name, found in clips.items()]


def _sighting(root, entry):
    inside = Path(entry["file"])
    # no name leads out of the folder
    image = root.joinpath(*(p for p in inside.parts if p not in (inside.anchor, "..")))
    video = str(entry.get("video", inside.stem))
    source = entry.get("source", "")
    x, y, w, h = (float(v) for v in entry["box_xywh_in_crop"])
    return (
        f"{source}/{video}" if source else video,
        Sighting(
            image,
            int(entry["frame"]) if entry.get("is_video") else 0,
            int(entry.get("object", 0)),
            # from centres of pixels to edges, as a region is
            (x + 0.5, y + 0.5, w, h),
            str(entry.get("category") or ""),
        ),
    )
