"""Benchmark folders to sequences: where the frames lie and what the true boxes are.

OTB layout: `<name>/img/0001.jpg ...` and `<name>/groundtruth_rect.txt`, one `x,y,w,h` a
frame. A sequence with several targets has `groundtruth_rect.1.txt`, `.2.txt` and becomes
`<name>-1`, `<name>-2`. `list.txt`, where there is one, names the sequences and their order.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from siamjax.evaluation.boxfiles import BoxFileError, read_boxes
from siamjax.evaluation.protocols import OTB_ANNOTATED_FRAMES, Benchmark, plain_name
from siamjax.video import IMAGE_SUFFIXES, ImageError, natural_order, read_image


class SequenceError(ValueError):
    """A benchmark folder or one of its sequences cannot be used; the message says why."""


class Problem(NamedTuple):
    """Something wrong with one sequence, in one line, for the list at the end of a run."""

    sequence: str
    message: str

    def __str__(self):
        return f"{self.sequence}: {self.message}"


class Target(NamedTuple):
    """One target of a benchmark folder, before anything of it is read."""

    name: str
    folder: Path
    ground_truth: Path


@dataclasses.dataclass(frozen=True, eq=False)
class Sequence:
    """Frames in order and the true box in each; frames are read when they are asked for.

    Attributes:
      name: unique in its benchmark.
      frame_paths: the t image files.
      gt_xywh: [t, 4] float64, 0-based pixels; rows with NaN are frames that do not count.
      frame_size: width and height of the first frame, pixels.
    """

    name: str
    frame_paths: tuple[Path, ...]
    gt_xywh: np.ndarray
    frame_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.frame_paths)

    def read_frame(self, index: int) -> np.ndarray:
        """Frame `index`, `[h, w, 3]` uint8 BGR.

        Raises `ImageError` where it cannot be read or is not of the first frame's size:
        the ground truth then speaks of other pixels.
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
    """The usable sequences of a folder in OTB layout, and what is wrong with the others.

    Reads every ground truth and every first frame, so that bad input is found before any
    tracking. `names` picks sequences, none of them means all; case, hyphens, dots and
    underscores do not matter.
    Raises `SequenceError` when the folder is missing, a name is unknown, or nothing is
    left.
    """
    targets, problems = find_targets(folder)
    if names := list(names):
        targets, problems = _pick(targets, problems, names)
    sequences = []
    for target in targets:
        try:
            sequences.append(_load(target, benchmark))
        except (SequenceError, BoxFileError, ImageError) as error:
            problems.append(Problem(target.name, f"skipped: {error}"))
    if not sequences:
        shown = "; ".join(str(problem) for problem in problems[:3])
        raise SequenceError(
            f"{str(folder)!r} holds no sequence that can be used"
            + (f" ({len(problems)} with problems: {shown})" if problems else "")
        )
    return sequences, problems


def find_targets(folder: Path) -> tuple[list[Target], list[Problem]]:
    """Every target of a folder in OTB layout, in the order of `list.txt` or by name.

    Raises `SequenceError` when there is no such folder or nothing in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SequenceError(f"benchmark folder {str(folder)!r} does not exist")
    if (folder / "img").is_dir() or _ground_truths(folder):
        raise SequenceError(
            f"{str(folder)!r} is a sequence itself; give the folder that holds it, "
            f"{str(folder.parent)!r}, and pick it with `--sequences {folder.name}`"
        )
    targets, problems = [], []
    inside = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    for path in sorted(inside, key=lambda p: p.name.casefold()):
        files = _ground_truths(path)
        if not files:
            problems.append(Problem(path.name, "skipped: no groundtruth_rect.txt"))
        for file in files:
            which = re.fullmatch(r"groundtruth_rect\.(\d+)\.txt", file.name)
            name = f"{path.name}-{which[1]}" if which else path.name
            targets.append(Target(name, path, file))
    if not targets and not problems:
        raise SequenceError(f"{str(folder)!r} holds no sequence: it has no folder inside")
    if (folder / "list.txt").is_file():
        return _in_listed_order(targets, problems, folder / "list.txt")
    return targets, problems


def _ground_truths(folder: Path) -> list[Path]:
    return sorted(folder.glob("groundtruth_rect*.txt"))


def _in_listed_order(targets, problems, file):
    kept = []
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for name in filter(None, map(str.strip, lines)):
        wanted = plain_name(name)
        found = [
            t for t in targets if wanted in (plain_name(t.name), plain_name(t.folder.name))
        ]
        kept += [t for t in found if t not in kept]
        if not found and not any(plain_name(p.sequence) == wanted for p in problems):
            problems.append(Problem(name, "skipped: in list.txt, but has no folder"))
    listed = {plain_name(name.strip()) for name in lines}
    return kept, [p for p in problems if plain_name(p.sequence) in listed]


def _pick(targets, problems, names):
    known = {plain_name(t.name): t for t in targets}
    known_problems = {plain_name(p.sequence): p for p in problems}
    picked, picked_problems = [], []
    for name in dict.fromkeys(names):
        wanted = plain_name(name)
        if wanted in known:
            picked.append(known[wanted])
        elif wanted in known_problems:
            picked_problems.append(known_problems[wanted])
        else:
            close = difflib.get_close_matches(wanted, list(known), n=1)
            hint = f"; did you mean {known[close[0]].name!r}?" if close else ""
            raise SequenceError(
                f"`sequences` names {name!r}, which is none of the {len(known)} here{hint}"
            )
    return picked, picked_problems


def _load(target: Target, benchmark: Benchmark) -> Sequence:
    frames = _frame_files(target.folder / "img")
    gt = read_boxes(target.ground_truth) - benchmark.origin_xywh
    if span := OTB_ANNOTATED_FRAMES.get(target.name):
        first, last = span
        if len(frames) > len(gt) == last - first + 1 and len(frames) >= last:
            frames = frames[first - 1 : last]
    if len(frames) != len(gt):
        raise SequenceError(f"{len(gt)} rows of ground truth for {len(frames)} frames")
    height, width = read_image(frames[0]).shape[:2]
    _check_first_box(gt[0], width, height)
    return Sequence(target.name, tuple(frames), gt, (width, height))


def _frame_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SequenceError("no folder img/ with its frames")
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise SequenceError("img/ holds no image")
    return sorted(files, key=natural_order)


def _check_first_box(box_xywh, width: int, height: int) -> None:
    shown = ", ".join(f"{value:g}" for value in box_xywh)
    if not np.isfinite(box_xywh).all():
        raise SequenceError(f"the first true box ({shown}) is not finite")
    x, y, w, h = box_xywh
    if w <= 0 or h <= 0:
        raise SequenceError(f"the first true box ({shown}) has no area")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise SequenceError(
            f"the first true box ({shown}, 0-based) lies outside the frame ({width} x {height})"
        )
