"""COCO and users' data in COCO JSON: still images, or videos where the file marks them so.

    annotations/instances_train2017.json, ..._val2017.json    or any *.json with the same keys
    train2017/<file_name>, val2017/...                        or images/<...>, or beside

Images with a `video_id` (and `frame_id` or `frame_index`, as in CocoVID's and TAO's files)
are frames of a video, and `track_id` (or `instance_id`) says which target a box belongs
to. Without one, a box in a video is a track of one frame.

YouTube-VIS's own form is read too: `videos` with their `file_names`, and annotations that
are tracks, with `video_id` and a box (or null) for each of the file names in `bboxes`. Its
images are in `JPEGImages` inside the folders above.
"""

import functools
import math
import os
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from siamjax.data.formats.annotations import (
    CROWD,
    NO_IDENTITY,
    Annotation,
    Box,
    Clip,
    LayoutError,
    as_box,
    as_index,
    as_size,
    bounding_box,
    within,
)
from siamjax.folders import files_in, natural_order
from siamjax.text import TextError, as_number, as_whole, quote, read_json

NO_BOX = "`bbox` is not a box of four numbers"
_FRAMES, _TRACKS = ("frame_id", "frame_index"), ("track_id", "instance_id")


class _Target(NamedTuple):
    box: Box | None
    category: str
    is_crowd: bool
    track: Any  # as in the file; None where not given
    excluded: str = ""


def find(root: Path) -> list[Clip]:
    """Every image (or video) of the instance files of train and val, or of all files."""
    folders = (folder for folder in (root / "annotations", root) if files_in(folder, "*.json"))
    files = sorted(files_in(next(folders, root), "*.json"))
    # COCO's own folder has captions and keypoints of the same images, too
    files = [f for f in files if f.name.startswith("instances_")] or files
    clips = []
    for file in files:
        try:
            clips += _clips_of(root, file)
        except (TextError, LayoutError) as error:
            said = str(error) if str(file) in str(error) else f"{str(file)!r}: {error}"
            raise LayoutError(f"not in COCO's layout: {said}") from None
    return clips


def _clips_of(root, file):
    content = _object(read_json(file), "the file")
    categories = _list(content, "categories") if "categories" in content else []
    names = {_id(c, "id"): str(c.get("name") or "") for c in categories}
    if "images" not in content and "videos" in content:
        clips = _videos_with_tracks(root, file.stem, content, names)
    else:
        clips = _images(root, file.stem, content, names)
    return [
        Clip(f"{file.stem}/{key}", functools.partial(_annotations_of, rows))
        for key, rows in clips.items()
    ]


def _images(root, stem, content, names):
    """Rows of (image, frame, targets, size) by clip name."""
    annotations = defaultdict(list)
    for item in _list(content, "annotations"):
        annotations[_id(item, "image_id")].append(_target(item, names))
    videos, known, clips = defaultdict(list), set(), {}
    for image in _list(content, "images"):
        number, name = _id(image, "id"), image.get("file_name")
        if number in known:
            raise TextError(f"two images have the id {quote(number)}")
        known.add(number)
        row = (_path_of(root, stem, name), image, annotations.pop(number, []), _size(image))
        if image.get("video_id") is not None:
            videos[_id(image, "video_id")].append(row)
        elif clips.setdefault(str(name), [(row[0], 0, *row[2:])])[0][2] is not row[2]:
            raise TextError(f"two images have the file_name {quote(name)}")
    clips |= {str(video): _in_frames(video, rows) for video, rows in videos.items()}
    for lost, targets in annotations.items():  # of images that the file does not list
        clips[f"image {lost}"] = [(root / "(no such image)", 0, targets, None)]
    return clips


def _in_frames(video, rows):
    """The rows of a video with their frame numbers; raises `TextError`."""
    key = next((k for k in _FRAMES if rows[0][1].get(k) is not None), None)
    if key is None:
        paths = [path for path, *_ in rows]
        if paths != natural_order(paths):
            raise TextError(
                f"images of video {quote(video)} have no `frame_id`, and are not in the order "
                "of their names"
            )
        return [(path, n, *rest) for n, (path, _, *rest) in enumerate(rows)]
    found = [(path, as_index(_get(i, key)), *rest) for path, i, *rest in rows]
    frames = [frame for _, frame, *_ in found]
    if len(set(frames)) < len(frames):
        twice = next(frame for frame in frames if frames.count(frame) > 1)
        raise TextError(f"two images of video {quote(video)} have the {key} {twice}")
    return found


def _videos_with_tracks(root, stem, content, names):
    """As `_images`, of YouTube-VIS's own form."""
    clips = {}
    for video in _list(content, "videos"):
        number = _id(video, "id")
        if str(number) in clips:
            raise TextError(f"two videos have the id {quote(number)}")
        paths = [_path_of(root, stem, name) for name in _get(video, "file_names", list)]
        size = _size(video)
        clips[str(number)] = [(path, n, [], size) for n, path in enumerate(paths)]
    for item in _list(content, "annotations"):
        number, boxes = _id(item, "video_id"), _get(item, "bboxes", list)
        rows = clips.get(str(number))
        if rows is None or len(rows) != len(boxes):
            there = "no such video" if rows is None else f"{len(rows)} file_names"
            raise TextError(
                f"an annotation with video_id {quote(number)} has {len(boxes)} bboxes, and "
                f"there is {there}"
            )
        for (_, _, targets, _), box in zip(rows, boxes, strict=True):
            if box is not None:  # null: the target is not in the frame
                one = {**item, "bbox": box, "track_id": _id(item, "id"), "segmentation": None}
                targets.append(_target(one, names))
    return clips


def _target(item, names) -> _Target:
    excluded, box = "", None
    try:
        box = as_box(item.get("bbox"))
        if box is None:
            box = _around(item.get("segmentation"))
    except TextError:
        excluded = NO_BOX
    category, is_crowd = item.get("category_id"), item.get("iscrowd") or 0
    track = next((item[k] for k in _TRACKS if item.get(k) is not None), None)
    return _Target(
        box,
        names.get(_plain(category), ""),
        is_crowd is True or as_number(is_crowd) != 0,
        track if track is None else _plain(track),
        excluded,
    )


def _around(segmentation) -> Box | None:
    """The box around polygons; None for a mask, or where there is nothing."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    corners = []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise TextError(f"{quote(polygon)} is not a polygon")
        corners += map(as_number, polygon)
    return bounding_box(corners)


def _path_of(root, stem, file_name):
    """The path of an image; in the folder of the split's name if it is found nowhere."""
    split = stem.removeprefix("instances_")
    places = [root / split, root / "images" / split, root / "images", root]
    places += [root / split / "JPEGImages", root / "JPEGImages"]
    spelled = [file_name]
    if isinstance(file_name, str) and "\\" in file_name:  # written on Windows
        spelled.append(file_name.replace("\\", "/"))
    found = (within(place, name, "file_name") for name in spelled for place in places)
    return next(filter(os.path.isfile, found), within(root / split, spelled[-1], "file_name"))


def _size(item: dict) -> tuple[float, float] | None:
    return as_size(item.get("width"), item.get("height"))


def _annotations_of(rows) -> list[Annotation]:
    tracks = [target.track for _, _, targets, _ in rows for target in targets]
    whole = {track for track in tracks if isinstance(track, int) and abs(track) < 2**40}
    # other ids, such as names, and targets without a track get unused numbers
    numbers = {track: track for track in whole}
    free = iter(range(max(whole, default=-1) + 1, max(whole, default=-1) + 1 + len(tracks)))
    found = []
    for path, frame, targets, size in rows:
        for box, category, is_crowd, track, excluded in targets:
            remark = ""
            if track is None:
                number = next(free)
                remark = NO_IDENTITY if len(rows) > 1 else ""
            else:
                number = numbers[track] if track in numbers else next(free)
                numbers[track] = number
            flags = (CROWD,) if is_crowd else ()
            found.append(
                Annotation(
                    path,
                    frame,
                    number,
                    box,
                    category,
                    flags,
                    excluded=excluded,
                    remark=remark,
                    annotated_size=size,
                )
            )
    return found


def _plain(value: Any) -> Any:
    """An id in comparable form: 1.0 and "1" are the integer 1; raises `TextError`."""
    try:
        return as_whole(value)
    except TextError:
        if isinstance(value, str) and value:
            return value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        raise


def _id(item: dict, key: str) -> Any:
    found = _plain(_get(item, key))
    if found is None:
        raise TextError(f"`{key}` is {quote(item[key])} in {quote(item)}")
    return found


def _object(value: Any, what: str) -> dict:
    if not isinstance(value, dict):
        raise TextError(f"{what} must be an object, not {quote(value)}")
    return value


def _get(item: dict, key: str, kind: type = object) -> Any:
    if key not in item or not isinstance(item[key], kind):
        of = f", a {kind.__name__}," if kind is not object else ""
        raise TextError(f"`{key}`{of} is missing in {quote(item)}")
    return item[key]


def _list(content: dict, key: str) -> list[dict]:
    if not isinstance(content.get(key), list):
        raise TextError(f"`{key}` must be a list; the file has the keys {quote(list(content))}")
    return [_object(item, f"each of `{key}`") for item in content[key]]
