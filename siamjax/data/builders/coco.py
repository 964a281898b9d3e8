"""COCO, and people's own data as COCO json: still images, or videos where they say so.

    annotations/instances_train2017.json, ..._val2017.json    or any *.json with the same keys
    train2017/<file_name>, val2017/...                        or images/<...>, or beside

Pictures with a `video_id` (and `frame_id`, as in YouTube-VIS's and CocoVID's files) are
frames of a video, and `track_id` (or `instance_id`) says which of its targets a box is.
"""

import functools
import json
import math
from collections import defaultdict
from pathlib import Path

from siamjax.data.builders.annotations import CROWD, Clip, LayoutError, Sighting


def find(root: Path) -> list[Clip]:
    """Every picture (or video) of the instance files of train and val, or of all files."""
    folders = [f for f in (root / "annotations", root) if f.is_dir() and any(f.glob("*.json"))]
    files = sorted(folders[0].glob("*.json")) if folders else []
    # COCO's own folder has captions and keypoints of the same images, too
    files = [f for f in files if f.name.startswith("instances_")] or files
    clips = []
    for file in files:
        clips += _clips_of(root, file)
    return clips


def _clips_of(root, file):
    try:
        content = json.loads(file.read_bytes())
        names = {c["id"]: str(c["name"]) for c in content.get("categories", ())}
        annotations = defaultdict(list)
        for item in content["annotations"]:
            annotations[item["image_id"]].append(item)
        clips = defaultdict(list)
        for place, image in enumerate(content["images"]):
            key = image.get("video_id", f"{image['file_name']}")
            picture = _picture(root, file.stem, image["file_name"])
            frame = int(image.get("frame_id", place if "video_id" in image else 0))
            boxes = [_box(item, names) for item in annotations.pop(image["id"], ())]
            clips[key].append((picture, frame, boxes))
        for lost in annotations:  # of images that the file does not list
            absent = root / f"(image {lost})"
            clips[f"image {lost}"].append(
                (absent, 0, [_box(i, names) for i in annotations[lost]])
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayoutError(
            f"{file}: not in COCO's layout: {type(error).__name__}: {error}"
        ) from error
    return [
        Clip(f"{file.stem}/{key}", functools.partial(_sightings, rows))
        for key, rows in clips.items()
    ]


def _picture(root, stem, file_name):
    """Where the picture is; the folder that carries the split's name, if nothing else is."""
    split = stem.removeprefix("instances_")
    # no name leads out of the folder
    name = Path(*(p for p in Path(file_name).parts if p not in ("/", "..")))
    places = [root / split, root / "images" / split, root / "images", root]
    return next((p / name for p in places if (p / name).is_file()), root / split / name)


def _box(item, names):
    box = item.get("bbox")
    good = isinstance(box, list) and len(box) == 4
    track = item.get("track_id", item.get("instance_id"))
    return (
        tuple(float(v) if v is not None else math.nan for v in box) if good else None,
        names.get(item.get("category_id"), ""),
        bool(item.get("iscrowd", 0)),
        track,
    )


def _sightings(rows) -> list[Sighting]:
    found = []
    for picture, frame, boxes in rows:
        for number, (box, category, crowd, track) in enumerate(boxes):
            which = number if track is None else int(track)
            found.append(
                Sighting(picture, frame, which, box, category, (CROWD,) if crowd else ())
            )
    return found
