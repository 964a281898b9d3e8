"""Result files: a folder for each tracker, one text file of boxes for each sequence.

    <root>/<tracker>/<sequence>.txt              x,y,w,h a line, in the benchmark's index base
    <root>/<tracker>/times/<sequence>_time.txt   seconds a line, nan where nothing was tracked
    <root>/<tracker>/problems/<sequence>.txt     what went wrong, where something did
    <root>/<tracker>/tracker.json                which tracker made them

The first line of a result is the box that the tracker was given, as in PySOT's files.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from siamjax.config import flatten
from siamjax.evaluation.boxfiles import BoxFileError, read_boxes, write_atomically
from siamjax.evaluation.protocols import Benchmark, plain_name
from siamjax.evaluation.sequences import Sequence


class StaleResultsError(ValueError):
    """A results folder was filled by another tracker."""


class ResultsError(ValueError):
    """There are no results where they were looked for."""


class Run(NamedTuple):
    """One tracker on one sequence of t frames."""

    boxes_xywh: np.ndarray  # [t, 4] 0-based pixels; the first is the box given
    seconds: np.ndarray  # [t]; NaN where the tracker did not see the frame
    problems: list[str]


class ResultFolder:
    """The results of one tracker on one benchmark, safe to stop and to come back to."""

    def __init__(self, folder: Path, benchmark: Benchmark, fingerprint: dict[str, Any]):
        """Opens or makes the folder.

        `fingerprint` says in JSON-ready values what made the results: configuration,
        weights, version. Raises `StaleResultsError` when the folder is another tracker's.
        """
        self.folder = Path(folder)
        self.benchmark = benchmark
        fingerprint = {"benchmark": benchmark.name, **json.loads(json.dumps(fingerprint))}
        file = self.folder / "tracker.json"
        if file.is_file():
            self._refuse_another(file, fingerprint)
        elif any(self.folder.glob("*.txt")):
            raise StaleResultsError(
                f"{str(self.folder)!r} holds results but no tracker.json that says whose "
                "they are; give another `--out`, or move them away"
            )
        else:
            write_atomically(file, json.dumps(fingerprint, indent=1) + "\n")

    def _refuse_another(self, file: Path, fingerprint: dict[str, Any]) -> None:
        try:
            found = flatten(json.loads(file.read_text(encoding="utf-8")))
        except ValueError:
            found = {}
        ours = flatten(fingerprint)
        different = [k for k in {**ours, **found} if ours.get(k) != found.get(k)]
        if different:
            shown = ", ".join(
                f"`{key}` is {found.get(key)!r} there and {ours.get(key)!r} here"
                for key in different[:3]
            )
            more = f" and {len(different) - 3} more" if len(different) > 3 else ""
            raise StaleResultsError(
                f"{str(self.folder)!r} holds results of another tracker: {shown}{more}; "
                "give another `--out`, or delete that folder"
            )

    def box_file(self, name: str) -> Path:
        """Where the boxes of a sequence lie."""
        return self.folder / f"{name}.txt"

    def is_complete(self, sequence: Sequence) -> bool:
        """Whether a sequence has its result: as many boxes as frames, from its first box."""
        try:
            boxes = read_boxes(self.box_file(sequence.name))
        except BoxFileError:
            return False
        given = sequence.gt_xywh[0] + self.benchmark.origin_xywh
        return len(boxes) == len(sequence) and bool(np.abs(boxes[0] - given).max() < 1e-3)

    def write(self, name: str, run: Run) -> None:
        """Writes one sequence's files, each whole or not at all, the boxes last.

        Raises `OSError` naming the file when the disk is full or closed to us.
        """
        seconds = "".join(f"{value:.8f}\n" for value in run.seconds)
        write_atomically(self.folder / "times" / f"{name}_time.txt", seconds)
        problems = self.folder / "problems" / f"{name}.txt"
        if run.problems:
            write_atomically(problems, "".join(f"{line}\n" for line in run.problems))
        else:
            problems.unlink(missing_ok=True)
        boxes = run.boxes_xywh + self.benchmark.origin_xywh
        lines = (",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes)
        write_atomically(self.box_file(name), "".join(lines))


def find_trackers(root: Path) -> dict[str, Path]:
    """Results below `root`: tracker name -> folder of its text files.

    `root` is one tracker's folder or holds several. Raises `ResultsError` when there is
    nothing.
    """
    root = Path(root)
    if not root.is_dir():
        raise ResultsError(f"results folder {str(root)!r} does not exist")
    if any(root.glob("*.txt")):
        return {root.resolve().name: root}
    folders = {path.name: path for path in sorted(root.iterdir()) if any(path.glob("*.txt"))}
    if not folders:
        raise ResultsError(
            f"{str(root)!r} holds no results: neither <sequence>.txt nor "
            "<tracker>/<sequence>.txt"
        )
    return folders


def find_results(folder: Path, names: list[str]) -> dict[str, Path]:
    """The file of each sequence that has one; names match exactly, or else plainly.

    Plainly is without case, hyphens, dots and underscores, where that leaves one sequence
    and one file.
    """
    files = {path.stem: path for path in Path(folder).glob("*.txt")}
    loose: dict[str, list[str]] = {}
    for stem in files:
        loose.setdefault(plain_name(stem), []).append(stem)
    wanted: dict[str, list[str]] = {}
    for name in names:
        wanted.setdefault(plain_name(name), []).append(name)
    found = {}
    for name in names:
        plain = plain_name(name)
        if name in files:
            found[name] = files[name]
        elif len(loose.get(plain, ())) == len(wanted[plain]) == 1:
            found[name] = files[loose[plain][0]]
    return found


def read_problems(folder: Path, name: str) -> list[str]:
    """What went wrong while a sequence was tracked."""
    file = Path(folder) / "problems" / f"{name}.txt"
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def read_seconds(folder: Path, name: str) -> np.ndarray:
    """Seconds for each frame, `[t]`, or nothing where no times were kept."""
    file = Path(folder) / "times" / f"{name}_time.txt"
    try:
        return np.array(file.read_text(encoding="utf-8").split(), dtype=np.float64)
    except (OSError, ValueError):
        return np.zeros(0)
