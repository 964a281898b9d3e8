"""Sequences of a benchmark: frame files with ground-truth boxes."""

import dataclasses
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.annotations import read_vot_annotations
from siamjax.evaluation.benchmarks.entries import words_of
from siamjax.evaluation.benchmarks.layouts import (
    SequenceError,
    Target,
    find_targets,
    frame_files,
)
from siamjax.evaluation.benchmarks.members import belongs
from siamjax.evaluation.benchmarks.names import match_names, plain_name
from siamjax.evaluation.benchmarks.protocols import OTB_ANNOTATED_FRAMES, Benchmark
from siamjax.evaluation.benchmarks.truths import (
    AnyTruth,
    Truth,
    as_boxes,
    entries_of,
    read_truth,
    truth_of_entry,
)
from siamjax.evaluation.metrics.regions import VotSequence, enclosing_boxes, initial_box
from siamjax.evaluation.problems import Problem
from siamjax.images import ImageError, read_image


@dataclasses.dataclass(frozen=True, eq=False)
class Sequence:
    """The frames of a sequence, read on demand, and their ground truth.

    Attributes:
      name: unique in its benchmark.
      frame_paths: the t image files.
      gt_xywh: [t, 4] float64, 0-based pixels; NaN where there is no ground truth. A polygon is
        replaced by its bounding box, in the first row by the box to initialise with.
      frame_size: width and height of the first frame, pixels.
      truth: the ground truth in the benchmark's own index base, for scoring.
    """

    name: str
    frame_paths: tuple[Path, ...]
    gt_xywh: np.ndarray
    frame_size: tuple[int, int]
    truth: AnyTruth

    def __len__(self) -> int:
        return len(self.frame_paths)

    def read_frame(self, index: int) -> np.ndarray:
        """Frame `index`, `[h, w, 3]` uint8 BGR.

        Raises `ImageError` if it cannot be read or differs in size from the first frame, in
        which case the ground truth would not fit.
        """
        path = self.frame_paths[index]
        frame = read_image(path)
        height, width = frame.shape[:2]
        if (width, height) != self.frame_size:
            raise ImageError(
                f"{str(path)!r} is {width} x {height}, the first frame "
                f"{self.frame_size[0]} x {self.frame_size[1]}"
            )
        return frame


def load_sequences(
    folder: Path, benchmark: Benchmark, names: Iterable[str] = ()
) -> tuple[list[Sequence], list[Problem]]:
    """The usable sequences of a benchmark folder, and the problems with the others.

    `folder` may also be a JSON file of PySOT's toolkit beside the sequences' folders. Reads
    all ground truth and every first frame, so that bad input is found before any tracking.
    `names` selects sequences, by default all; case and separators do not matter. Raises
    `SequenceError` if the folder is missing, a name is unknown, or nothing is left.
    """
    folder = Path(folder)
    candidates: dict[str, Any]
    if benchmark.layout == "vot":
        candidates, problems = _vot_candidates(folder, benchmark)
    elif folder.suffix == ".json":
        candidates, problems = _json_candidates(folder, benchmark)
    else:
        targets, problems = find_targets(folder, benchmark)
        candidates = {target.name: (_load, target, benchmark) for target in targets}
    if names := list(names):
        candidates, problems = _pick(candidates, problems, names)
    sequences = []
    for name, (load, *given) in candidates.items():
        try:
            sequences.append(load(*given))
        except InputError as error:
            problems.append(Problem(name, f"skipped: {error}"))
    if not sequences:
        shown = "; ".join(str(problem) for problem in problems[:3])
        raise SequenceError(
            f"{str(folder)!r} holds no usable sequence"
            + (f" ({len(problems)} with problems: {shown})" if problems else "")
        )
    return sequences, problems


def _pick(candidates: dict, problems: list[Problem], names: list[str]):
    known = {plain_name(name): name for name in candidates}
    known_problems = {problem.sequence: problem for problem in problems}
    matched = match_names(names, [*candidates, *known_problems])
    picked, picked_problems = {}, []
    for name in dict.fromkeys(names):
        if (found := matched.get(name)) in candidates:
            picked[found] = candidates[found]
        elif found is not None:
            picked_problems.append(known_problems[found])
        else:
            close = difflib.get_close_matches(plain_name(name), list(known), n=1)
            hint = f"; did you mean {known[close[0]]!r}?" if close else ""
            raise SequenceError(
                f"`sequences` names {name!r}, which is not among the {len(known)} here{hint}"
            )
    return picked, picked_problems


def _load(target: Target, benchmark: Benchmark) -> Sequence:
    frames = frame_files(cast(Path, target.images))  # which every target here has
    truth = read_truth(target, benchmark)
    t = len(truth)
    first = target.first
    if first is None and benchmark.layout == "otb":
        first = _annotated_from(target.name, len(frames), t)
    if first is not None and len(frames) >= first - 1 + t:
        frames = frames[first - 1 : first - 1 + t]
    if len(frames) != t:
        where = "" if first in (None, 1) else f" from number {first} on"
        raise SequenceError(
            f"expected {len(frames)} rows of ground truth, one per frame{where}, read {t}"
        )
    return _sequence(truth, frames, benchmark)


def _annotated_from(name: str, frames: int, annotated: int) -> int | None:
    """The first annotated frame, for OTB's sequences that are annotated in part."""
    first, last = OTB_ANNOTATED_FRAMES.get(name, (0, 0))
    return first if frames > annotated == last - first + 1 and first else None


def _sequence(truth: Truth, frames: Iterable[Path], benchmark: Benchmark) -> Sequence:
    frames = tuple(frames)
    gt = truth.boxes - benchmark.origin_xywh
    height, width = read_image(frames[0]).shape[:2]
    _check_first_box(gt[0], width, height)
    truth = dataclasses.replace(truth, frame_size=truth.frame_size or (width, height))
    return Sequence(truth.name, frames, gt, (width, height), truth)


def _json_candidates(file: Path, benchmark: Benchmark):
    entries = entries_of(file)
    members = [name for name in entries if belongs(name, benchmark.members)] or list(entries)
    candidates = {
        name: (_load_entry, file.parent, name, entries[name], benchmark) for name in members
    }
    return candidates, []


def _load_entry(root: Path, name: str, entry: Any, benchmark: Benchmark) -> Sequence:
    truth = truth_of_entry(name, entry)
    frames = [root / image for image in words_of(entry, "img_names")]
    if len(frames) != len(truth):
        raise SequenceError(
            f"expected {len(frames)} rows of ground truth, one per frame, read {len(truth)}"
        )
    return _sequence(truth, frames, benchmark)


def _vot_candidates(folder: Path, benchmark: Benchmark):
    if not folder.exists():
        raise SequenceError(f"benchmark folder {str(folder)!r} does not exist")
    truths, problems = read_vot_annotations(folder)
    return {truth.name: (_load_vot, truth, benchmark) for truth in truths}, problems


def _load_vot(truth: VotSequence, benchmark: Benchmark) -> Sequence:
    if not truth.frame_paths:
        raise SequenceError("no frames")
    if benchmark.experiment == "one-pass":
        return _sequence(as_boxes(truth), truth.frame_paths, benchmark)
    height, width = read_image(truth.frame_paths[0]).shape[:2]
    gt = enclosing_boxes(truth.ground_truth)
    supervised = benchmark.experiment == "supervised"
    gt[0] = initial_box(truth.ground_truth.row(0), as_polygon=supervised)
    _check_first_box(gt[0], width, height)
    truth = dataclasses.replace(truth, frame_size=truth.frame_size or (width, height))
    return Sequence(truth.name, truth.frame_paths, gt, (width, height), truth)


def _check_first_box(box_xywh, width: int, height: int) -> None:
    shown = ", ".join(f"{value:g}" for value in box_xywh)
    if not np.isfinite(box_xywh).all():
        raise SequenceError(f"the first ground-truth box ({shown}) is not finite")
    x, y, w, h = box_xywh
    if w <= 0 or h <= 0:
        raise SequenceError(f"the first ground-truth box ({shown}) has no area")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise SequenceError(
            f"the first ground-truth box ({shown}, 0-based) lies outside the frame, "
            f"{width} x {height}"
        )
