"""Ground truth in a benchmark's own index base, without frames, for scoring."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.annotations import read_vot_annotations
from siamjax.evaluation.benchmarks.entries import flags_of, read_entries, rows_of, words_of
from siamjax.evaluation.benchmarks.layouts import (
    SequenceError,
    Target,
    find_flat,
    find_targets,
    frame_files,
)
from siamjax.evaluation.benchmarks.members import belongs
from siamjax.evaluation.benchmarks.protocols import (
    LASOT_ATTRIBUTES,
    OTB_ATTRIBUTES,
    UAV_ATTRIBUTES,
    Benchmark,
)
from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.evaluation.metrics.regions import VotSequence, enclosing_boxes
from siamjax.evaluation.problems import Problem
from siamjax.text import TextError, parse_number, quote, read_flags, read_lines, read_settings

_ATTRIBUTES = {
    **dict.fromkeys(("otb", "otb50", "cvpr13"), OTB_ATTRIBUTES),
    **dict.fromkeys(("uav123", "uav20l"), UAV_ATTRIBUTES),
    "lasot": LASOT_ATTRIBUTES,
}
# A track id, four corners, the frame, three flags, a quoted label.
_VATIC = re.compile(r'\S+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(\s+\S+){4}\s+".*"\s*')


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """The ground truth of one sequence of t frames, in boxes.

    Attributes:
      name: unique in its benchmark.
      boxes: [t, 4] float64, x, y, width, height in the benchmark's index base; NaN where
        there is none.
      visible: [t] bool, False where the target is absent; None if not annotated.
      attributes: of the whole sequence.
      frame_size: width and height, pixels; None if unknown.
    """

    name: str
    boxes: np.ndarray
    visible: np.ndarray | None = None
    attributes: tuple[str, ...] = ()
    frame_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.boxes)


AnyTruth = Truth | VotSequence


def read_truths(path: Path, benchmark: Benchmark) -> tuple[list[AnyTruth], list[Problem]]:
    """The ground truth of a benchmark, and the problems with it.

    `path` is the benchmark's folder, a folder of annotation files `<name>.txt` (with
    `absent/` and `att/` beside them, as in LaSOT's toolkit), or a JSON file of PySOT's
    toolkit. Raises `SequenceError` if it is none of these.
    """
    path = Path(path)
    if not path.exists():
        raise SequenceError(f"annotations {str(path)!r} do not exist")
    if benchmark.layout == "vot":
        found, problems = read_vot_annotations(path)
        if benchmark.experiment == "one-pass":
            return [as_boxes(truth) for truth in found], problems
        return list(found), problems
    truths: list[AnyTruth] = []
    if path.is_file():
        read, problems = _read_json(path)
        truths += read
    else:
        targets, problems = annotated_targets(path, benchmark)
        for target in targets:
            try:
                truths.append(read_truth(target, benchmark))
            except InputError as error:
                problems.append(Problem(target.name, f"skipped: {error}"))
    members = [truth for truth in truths if belongs(truth.name, benchmark.members)]
    if not truths:
        shown = f" ({'; '.join(map(str, problems[:3]))})" if problems else ""
        raise SequenceError(f"{str(path)!r} holds no usable ground truth{shown}")
    return members or truths, problems


def annotated_targets(path: Path, benchmark: Benchmark) -> tuple[list[Target], list[Problem]]:
    """Targets of a benchmark's folder, or of a flat folder of annotation files."""
    try:
        targets, problems = find_targets(path, benchmark)
    except SequenceError:
        targets, problems = [], []
    if targets:
        return targets, problems
    if flat := find_flat(path):
        return flat, []
    return find_targets(path, benchmark)


def as_boxes(truth: VotSequence) -> Truth:
    """VOT's ground truth as bounding boxes, for one-pass evaluation."""
    boxes = enclosing_boxes(truth.ground_truth)
    return Truth(truth.name, boxes, frame_size=truth.frame_size)


def read_truth(target: Target, benchmark: Benchmark) -> Truth:
    """The ground truth of one target.

    If only the first box is public, the rows of the other frames are NaN. Raises
    `TextError` or `SequenceError`.
    """
    boxes = _read_corners(target) if benchmark.layout == "nfs" else read_boxes(target.truth)
    if benchmark.hidden_truth and len(boxes) == 1 and target.images:
        frames = len(frame_files(target.images))
        boxes = np.concatenate([boxes, np.full((frames - 1, 4), np.nan)])
    return Truth(
        target.name,
        boxes,
        _visible(target, len(boxes)),
        _attributes(target, benchmark),
        _stated_size(target),
    )


def _read_corners(target: Target) -> np.ndarray:
    """VATIC's columns: track id, xmin, ymin, xmax, ymax, frame, three flags, a quoted label.

    NFS at 30 frames per second is every eighth frame of its 240; annotations may be for
    either. Reference: the GOT-10k toolkit.
    """
    corners = []
    for number, line in enumerate(read_lines(target.truth), 1):
        match = _VATIC.fullmatch(line)
        if not match:
            raise TextError(
                f"{str(target.truth)!r} line {number}: {quote(line)} is not in VATIC's format "
                "(track id, xmin, ymin, xmax, ymax, frame, three flags, a quoted label)"
            )
        corners.append([parse_number(word) for word in match.groups()[:4]])
    if not corners:
        raise TextError(f"{str(target.truth)!r} is empty")
    corners = np.array(corners)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    frames = len(frame_files(target.images)) if target.images else len(boxes)
    if abs(len(boxes) / frames - 8) < 1:
        boxes = boxes[::8]
    return boxes[:frames] if len(boxes) == frames + 1 else boxes


def _visible(target: Target, frames: int) -> np.ndarray | None:
    """Where the target is visible, from the annotation files that the folder has."""
    beside = target.truth.parent
    absent = [beside / "absent" / target.truth.name]
    if target.truth.name == "groundtruth.txt":
        absent = [beside / "full_occlusion.txt", beside / "out_of_view.txt"]
        absent += [beside / "absence.label"]
    flags = [_flags(file, frames) for file in absent if file.is_file()]
    cover = beside / "cover.label"
    if target.truth.name == "groundtruth.txt" and cover.is_file():
        # GOT-10k: nothing of the target is visible at a cover of 0
        flags = [_flags(cover, frames) == 0]
    return ~np.any(np.array(flags) != 0, axis=0) if flags else None


def _flags(file: Path, frames: int) -> np.ndarray:
    """The integers of a file, one per frame, `[t]`."""
    numbers = read_flags(file)
    if len(numbers) != frames:
        raise SequenceError(
            f"expected {frames} values in {file.name}, one per frame, read {len(numbers)}"
        )
    return np.array(numbers)


def _attributes(target: Target, benchmark: Benchmark) -> tuple[str, ...]:
    names = _ATTRIBUTES.get(benchmark.name, ())
    file = target.truth.parent / "att" / target.truth.name
    values = read_flags(file) if file.is_file() else []
    if len(values) != len(names):
        return ()
    return tuple(name for name, value in zip(names, values, strict=True) if value)


def _stated_size(target: Target) -> tuple[int, int] | None:
    """The frame size in GOT-10k's meta_info.ini, `resolution: (1920, 1080)`."""
    file = target.truth.with_name("meta_info.ini")
    stated = read_settings(file).get("resolution") if file.is_file() else None
    if stated is None:
        return None
    found = re.fullmatch(r"\(?([1-9]\d{0,5})\s*[,x]\s*([1-9]\d{0,5})\)?", stated, re.ASCII)
    if not found:
        raise SequenceError(
            f"{file.name}: the resolution {quote(stated)} is not (width, height)"
        )
    return int(found[1]), int(found[2])


def entries_of(path: Path) -> dict[str, Any]:
    """The entries of a JSON file by name; raises `SequenceError`."""
    try:
        return read_entries(path)
    except TextError as error:
        raise SequenceError(f"annotations {error}") from None


def _read_json(path: Path) -> tuple[list[Truth], list[Problem]]:
    truths, problems = [], []
    for name, entry in entries_of(path).items():
        try:
            truths.append(truth_of_entry(name, entry))
        except InputError as error:
            problems.append(Problem(name, f"skipped: {error}"))
    return truths, problems


def truth_of_entry(name: str, entry: Any) -> Truth:
    """One entry of a JSON file: `gt_rect`, `absent` (1 where visible), `attr`.

    Raises `TextError` or `SequenceError`.
    """
    rows = rows_of(entry)
    for number, row in enumerate(rows, 1):
        if len(row) != 4:
            polygons = "; these seem to be polygons" if len(row) == 8 else ""
            raise SequenceError(
                f"`gt_rect` row {number}: expected x, y, w, h, got {len(row)} values{polygons}"
            )
    if not rows:
        raise SequenceError("`gt_rect` is empty")
    visible = np.array(flags_of(entry, "absent")) == 1
    if len(visible) not in (0, len(rows)):
        raise SequenceError(
            f"expected {len(rows)} values of `absent`, one per frame, got {len(visible)}"
        )
    visible = visible if len(visible) else None
    return Truth(name, np.array(rows), visible, tuple(words_of(entry, "attr")))
