"""Ground truth of VOT's challenges, from their own folders and from PySOT's JSON files.

    <root>/<sequence>/groundtruth.txt              a box or a polygon per line
    <root>/<sequence>/color/00000001.jpg           or without color/
    <root>/<sequence>/camera_motion.tag, ...       0 or 1 per line; .label in older challenges
    <root>/list.txt                                the names in order, optional

A JSON file is `{name: {gt_rect, img_names, camera_motion, ..., width, height}}`.
"""

from pathlib import Path

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.entries import (
    flags_of,
    read_entries,
    rows_of,
    size_of,
    words_of,
)
from siamjax.evaluation.benchmarks.layouts import SequenceError
from siamjax.evaluation.benchmarks.protocols import VOT_ATTRIBUTES
from siamjax.evaluation.benchmarks.textfiles import read_regions
from siamjax.evaluation.metrics.regions import RegionError, Regions, VotSequence
from siamjax.evaluation.problems import Problem
from siamjax.folders import folders_in, images_in
from siamjax.images import read_image
from siamjax.text import TextError, read_flags, read_lines, read_settings, refuse_no_region


def read_vot_annotations(path: Path) -> tuple[list[VotSequence], list[Problem]]:
    """The sequences of a VOT folder or of a JSON file, and the problems with others.

    Image names in a JSON file are relative to its folder. Frame sizes come from the first
    image of each sequence, as in PySOT, or from a folder's `sequence` file. Raises
    `SequenceError` if nothing can be used.
    """
    path = Path(path)
    if path.is_dir():
        found, problems = _read_folder(path)
    else:
        found, problems = _read_json(path)
    if not found:
        shown = f" ({'; '.join(map(str, problems[:3]))})" if problems else ""
        raise SequenceError(f"{str(path)!r} holds no usable VOT ground truth{shown}")
    return found, problems


def _read_folder(root: Path) -> tuple[list[VotSequence], list[Problem]]:
    if (root / "groundtruth.txt").is_file():
        raise SequenceError(
            f"{str(root)!r} is a sequence itself; give the folder that holds it, "
            f"{str(root.parent)!r}"
        )
    folders = sorted(folders_in(root))
    if (root / "list.txt").is_file():
        try:
            lines = read_lines(root / "list.txt")
        except TextError as error:
            raise SequenceError(str(error)) from None
        if not lines:
            raise SequenceError(f"{str(root / 'list.txt')!r} is empty")
        folders = [root / name for name in dict.fromkeys(map(str.strip, lines)) if name]
    found, problems = [], []
    for folder in folders:
        try:
            found.append(_read_sequence(folder, problems))
        except InputError as error:
            problems.append(Problem(folder.name, f"skipped: {error}"))
    return found, problems


def _read_sequence(folder: Path, problems: list[Problem]) -> VotSequence:
    ground_truth = read_regions(folder / "groundtruth.txt")
    frames = _frames(folder / "color") or _frames(folder)
    if frames and len(frames) != len(ground_truth):
        raise RegionError(
            f"expected {len(frames)} regions, as there are frames, read {len(ground_truth)}"
        )
    tags = {}
    for attribute in VOT_ATTRIBUTES:
        for suffix in (".tag", ".label"):
            file = folder / f"{attribute}{suffix}"
            if file.is_file():
                values = read_flags(file)
                _add_tag(tags, attribute, values, folder.name, len(ground_truth), problems)
    size = _stated_in_folder(folder) or _size_of(frames)
    return VotSequence(folder.name, ground_truth, tags, size, frames)


def _frames(folder: Path) -> tuple[Path, ...]:
    return tuple(images_in(folder))


def _stated_in_folder(folder: Path) -> tuple[int, int] | None:
    """The size in vot-toolkit's `sequence` file, which has lines of key=value."""
    file = folder / "sequence"
    if not file.is_file():
        return None
    return size_of(read_settings(file))


def _size_of(frames: tuple[Path, ...]) -> tuple[int, int] | None:
    if not frames or not frames[0].is_file():
        return None
    height, width = read_image(frames[0]).shape[:2]
    return width, height


def _add_tag(tags, attribute, values, name, frames, problems) -> None:
    if len(values) == frames:
        tags[attribute] = np.array(values) == 1
    else:
        what = f"{len(values)} values of {attribute} for {frames} frames; ignored"
        problems.append(Problem(name, what))


def _read_json(path: Path) -> tuple[list[VotSequence], list[Problem]]:
    try:
        content = read_entries(path)
    except TextError as error:
        raise SequenceError(str(error)) from None
    found, problems = [], []
    for name, entry in content.items():
        try:
            found.append(_from_entry(name, entry, path.parent, problems))
        except InputError as error:
            problems.append(Problem(name, f"skipped: {error}"))
    return found, problems


def _from_entry(name, entry, images, problems) -> VotSequence:
    rows = rows_of(entry)
    for number, row in enumerate(rows, 1):
        try:
            refuse_no_region(row)
        except TextError as error:
            raise TextError(f"`gt_rect` row {number}: {error}") from None
    ground_truth = Regions.from_rows(rows)
    if not len(ground_truth):
        raise RegionError("no ground truth")
    tags = {}
    for attribute in VOT_ATTRIBUTES:
        if values := flags_of(entry, attribute):
            _add_tag(tags, attribute, values, name, len(ground_truth), problems)
    frames = _json_frames(entry, images)
    return VotSequence(name, ground_truth, tags, _size_of(frames), frames)


def _json_frames(entry: dict, images: Path) -> tuple[Path, ...]:
    """The image paths; PySOT's VOT2019 file omits their folder, color/."""
    frames = tuple(images / image for image in words_of(entry, "img_names"))
    if frames and not frames[0].is_file() and _in_color(frames[0]).is_file():
        return tuple(map(_in_color, frames))
    return frames


def _in_color(frame: Path) -> Path:
    return frame.parent / "color" / frame.name
