"""Result files in each toolkit's own format, written so that an evaluation can resume.

    <root>/<tracker>/<sequence>.txt                           one-pass: x,y,w,h per line
    <root>/<tracker>/times/<sequence>_time.txt                seconds per line
    <root>/<tracker>/<sequence>/<sequence>_001.txt            GOT-10k, one per repetition
    <root>/<tracker>/<sequence>/<sequence>_time.txt           one column per repetition
    <root>/<tracker>/baseline/<sequence>/<sequence>_001.txt   VOT, see `results/vot.py`; also
                                                              realtime/ and longterm/
    <root>/<tracker>/problems/<sequence>.txt                  problems, if any
    <root>/<tracker>/tracker.json                             fingerprint of the tracker

Names of trackers and sequences become file names by `files.file_name`.

Boxes are in the benchmark's index base; the first line of a one-pass result is the box that
the tracker was initialised with, as in PySOT's files. A time is nan where the tracker did not
run.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from siamjax.config import Config
from siamjax.config_files import config_to_dict, flatten
from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.names import match_files, plain_name
from siamjax.evaluation.benchmarks.protocols import Benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence
from siamjax.evaluation.benchmarks.textfiles import read_boxes, read_regions
from siamjax.evaluation.metrics.longterm import LongTermRun
from siamjax.evaluation.metrics.regions import INITIALISED, Regions
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.results.vot import (
    LONG_TERM,
    SUPERVISED,
    write_long_term,
    write_supervised,
)
from siamjax.files import file_name, keep_name, original_name, printable, write_whole
from siamjax.folders import files_in, folders_in, has_match
from siamjax.text import TextError, read_json, read_lines, read_rows

REAL_TIME = "realtime"
_OWN_FOLDERS = (SUPERVISED, LONG_TERM, REAL_TIME, "unsupervised")


class StaleResultsError(InputError):
    """A results folder holds results of another tracker."""


class ResultsError(InputError):
    """There are no usable results."""


class Run(NamedTuple):
    """The run of a tracker on one sequence of t frames."""

    boxes_xywh: np.ndarray  # [t, 4] 0-based pixels; the first is the initial box
    seconds: np.ndarray  # [t]; NaN where the tracker did not run
    problems: list[str]
    scores: np.ndarray | None = None  # [t] confidence
    codes: np.ndarray | None = None  # [t] codes of a supervised run; -1 for a region
    # where the code is -1: a box [4] or corners [8]
    regions: list[np.ndarray | None] | None = None


def fingerprint(config: Config, variables: dict[str, Any], version: str) -> dict[str, Any]:
    """Everything that determines a tracker's boxes, as JSON-ready values.

    These are the model's and tracker's settings, the package version and a digest of the
    variables (a tree of arrays), so that equal weights are the same tracker wherever they
    were read from.
    """
    settings = config_to_dict(config)
    del settings["tracker"]["lost_score"]  # it changes no box
    digest = hashlib.sha256()
    for name, value in sorted(flatten(variables).items()):
        array = np.asarray(value)
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return {
        "version": version,
        "weights": digest.hexdigest()[:16],
        "config": {"model": settings["model"], "tracker": settings["tracker"]},
    }


def experiment_folder(benchmark: Benchmark, real_time: bool = False) -> str:
    """The subfolder of a tracker's folder for an experiment; empty for the folder itself."""
    if real_time:
        return REAL_TIME
    return {"supervised": SUPERVISED, "long-term": LONG_TERM}.get(benchmark.experiment, "")


class ResultFolder:
    """The results of one tracker in one experiment of a benchmark."""

    def __init__(
        self,
        folder: Path,
        benchmark: Benchmark,
        fingerprint: dict[str, Any],
        *,
        real_time: bool = False,
        repetitions: int = 1,
    ):
        """Opens or creates the folder.

        `folder` is the tracker's. `fingerprint` identifies the tracker in JSON-ready values:
        configuration, weights, version. Raises `StaleResultsError` if the folder is another
        tracker's.
        """
        self.tracker_folder = Path(folder)
        inner = experiment_folder(benchmark, real_time)
        self.folder = self.tracker_folder / inner
        self.experiment = inner
        self.benchmark = benchmark
        self.repetitions = repetitions
        fingerprint = {"benchmark": benchmark.name, **json.loads(json.dumps(fingerprint))}
        file = self.folder / "tracker.json"
        if file.is_file():
            self._refuse_another(file, fingerprint)
        elif has_match(self.folder, "*.txt") or has_match(self.folder, "*/*_001.txt"):
            raise StaleResultsError(
                f"{str(self.folder)!r} holds results but no tracker.json to identify their "
                "tracker; give another `--out`, or move them away"
            )
        else:
            write_whole(file, json.dumps(fingerprint, indent=1) + "\n")

    def _refuse_another(self, file: Path, fingerprint: dict[str, Any]) -> None:
        try:
            found = flatten(read_json(file))
        except (TextError, AttributeError, RecursionError):  # damaged, or not ours
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

    def check_names(self, names: Iterable[str]) -> None:
        """Raises `InputError` for names that would share files on a case-insensitive disk."""
        if not (self.folder / "TRACKER.JSON").is_file():
            return
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(file_name(name).casefold(), name)
            if other != name:
                raise InputError(
                    f"sequences {other!r} and {name!r} differ in case alone, and the file "
                    f"system of {str(self.folder)!r} cannot tell them apart; move `--out`"
                )

    @property
    def claims(self) -> Path:
        """The folder of claims of the processes that share this evaluation."""
        return self.tracker_folder / ".claims" / (self.experiment or "one-pass")

    def box_file(self, name: str, repetition: int = 1) -> Path:
        """The file of a sequence's boxes."""
        safe = file_name(name)
        if self.benchmark.experiment == "one-pass":
            return self.folder / f"{safe}.txt"
        return self.folder / safe / f"{safe}_{repetition:03d}.txt"

    def time_file(self, name: str) -> Path:
        """The file of a sequence's times."""
        safe = file_name(name)
        if self.benchmark.experiment == "one-pass":
            return self.folder / "times" / f"{safe}_time.txt"
        return self.folder / safe / f"{safe}_time.txt"

    def has(self, sequence: Sequence, repetition: int = 1) -> bool:
        """Whether a repetition has a result: one line per frame, from the same initial box."""
        file = self.box_file(sequence.name, repetition)
        try:
            if self.benchmark.experiment in ("supervised", "long-term"):
                regions = read_regions(file)
                return len(regions) == len(sequence) and bool(regions.has_code(INITIALISED)[0])
            boxes = read_boxes(file)
        except TextError:
            return False
        given = sequence.gt_xywh[0] + self.benchmark.origin_xywh
        return len(boxes) == len(sequence) and bool(np.abs(boxes[0] - given).max() < 1e-3)

    def write(self, name: str, run: Run, repetition: int = 1) -> None:
        """Writes one run's files, each atomically, the boxes last.

        Raises `OSError` naming the file, for example when the disk is full.
        """
        keep_name(self.folder, name)
        problems = problem_file(self.folder, name)
        if run.problems:
            write_whole(problems, "".join(f"{line}\n" for line in run.problems))
        else:
            problems.unlink(missing_ok=True)
        boxes = run.boxes_xywh + self.benchmark.origin_xywh
        experiment = self.benchmark.experiment
        if experiment != "long-term":
            self._write_times(name, run.seconds, repetition)
        if experiment == "supervised":
            regions, codes = cast(Any, (run.regions, run.codes))
            rows: list[Any] = [
                [code] if code >= 0 else self._in_own_base(region)
                for region, code in zip(regions, codes, strict=True)
            ]
            write_supervised(self.folder, name, Regions.from_rows(rows), repetition)
        elif experiment == "long-term":
            confident = LongTermRun(Regions.from_boxes(boxes), cast(Any, run.scores))
            write_long_term(self.folder, name, confident, run.seconds)
        else:
            lines = (",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes)
            write_whole(self.box_file(name, repetition), "".join(lines))

    def _in_own_base(self, region: np.ndarray) -> np.ndarray:
        origin = self.benchmark.origin_xywh
        return region + (origin if region.size == 4 else np.resize(origin[:2], region.size))

    def _write_times(self, name: str, seconds: np.ndarray, repetition: int) -> None:
        file = self.time_file(name)
        columns = seconds[:, None]
        if repetition > 1:
            before = _times_or_none(file)
            if len(before) == len(seconds):
                columns = np.concatenate([before[:, : repetition - 1], columns], axis=1)
        lines = (",".join(f"{value:.8f}" for value in row) + "\n" for row in columns)
        write_whole(file, "".join(lines))


def _times_or_none(file: Path) -> np.ndarray:
    """The times of earlier repetitions; nothing if they are damaged."""
    try:
        return read_times(file)
    except TextError:
        return np.zeros((0, 0))


def find_trackers(
    root: Path,
    benchmark: Benchmark,
    names: Iterable[str] = (),
    *,
    experiment: str = "",
    besides: Path | None = None,
) -> tuple[dict[str, Path], list[Problem]]:
    """The trackers with results below `root`, name -> folder of files; and problems.

    `root` is one tracker's folder, with files named after some of the sequences `names`, or
    holds several, or holds a folder of the benchmark's name that does. `experiment` is the
    subfolder of a tracker's, by default the benchmark's; the folder `besides`, which holds
    the annotations, is skipped. Raises `ResultsError` if there are no results.
    """
    root = Path(root)
    if not root.is_dir():
        raise ResultsError(f"results folder {str(root)!r} does not exist")
    inner = experiment or experiment_folder(benchmark)
    names = list(names)
    own = {_shown(root.resolve()): root / inner}
    if _has_results(root / inner, benchmark) and (
        inner or not names or find_results(root, names)
    ):
        return own, []
    found, problems = {}, []
    for path in sorted(folders_in(root)):
        if besides is not None and path.resolve() == Path(besides).resolve():
            continue
        if _has_results(path / inner, benchmark):
            found[_shown(path)] = path / inner
        elif other := _other_layout(path):
            problems.append(
                Problem(_shown(path), f"skipped: {other}; not for {benchmark.name}")
            )
        elif not any(path.iterdir()):
            problems.append(Problem(_shown(path), "skipped: the folder is empty"))
    if found:
        return found, problems
    if _has_results(root / inner, benchmark):
        return own, problems
    called = {plain_name(name) for name in (benchmark.name, *benchmark.aliases)}
    for path in sorted(folders_in(root)):
        if plain_name(path.name) in called:
            return find_trackers(path, benchmark, names, experiment=experiment)
    form = "<sequence>/<sequence>_001.txt" if inner else "<sequence>.txt"
    other = _other_layout(root)
    hint = f"; {other}" if other else "".join(f"; {problem}" for problem in problems[:3])
    raise ResultsError(
        f"{str(root)!r} holds no results: neither {Path(inner) / form} nor "
        f"<tracker>/{Path(inner) / form}{hint}"
    )


def _shown(folder: Path) -> str:
    """The name of the tracker of a folder, in printable form."""
    return printable(original_name(folder.name, folder.parent))


def _has_results(folder: Path, benchmark: Benchmark) -> bool:
    if benchmark.experiment in ("supervised", "long-term"):
        return bool(folders_in(folder))
    return has_match(folder, "*.txt") or _is_nested(folder)


def _is_nested(folder: Path) -> bool:
    files = (file for inner in folders_in(folder) for file in files_in(inner, "*_001.txt"))
    return any(plain_name(file.stem[:-4]) == plain_name(file.parent.name) for file in files)


def _other_layout(folder: Path) -> str:
    held = [name for name in _OWN_FOLDERS if (folder / name).is_dir()]
    if held:
        return f"it holds {' and '.join(f'{name}/' for name in held)} of VOT's layout"
    if has_match(folder, "*.txt"):
        return "it holds one-pass results"
    return "it holds results of GOT-10k's layout" if _is_nested(folder) else ""


def find_results(folder: Path, names: list[str]) -> dict[str, list[Path]]:
    """The result files of each sequence that has any, one per repetition.

    Finds both `<name>.txt` and `<name>/<name>_001.txt`; names match as in `match_files`.
    """
    files = {p.stem: [p] for p in files_in(folder, "*.txt")}
    pattern = "*_[0-9][0-9][0-9].txt"
    for path in (file for inner in folders_in(folder) for file in files_in(inner, pattern)):
        if plain_name(path.stem[:-4]) == plain_name(path.parent.name):
            files.setdefault(path.parent.name, []).append(path)
    return {name: files[found] for name, found in match_files(names, files).items()}


def refuse_two_layouts(files: list[Path]) -> None:
    """Raises `ResultsError` if a sequence has results in two layouts."""
    first, *others = files
    for other in others:
        if other.parent != first.parent:
            raise ResultsError(
                f"results in two layouts, {first.name} and {other.parent.name}/{other.name}; "
                "keep one"
            )


def problem_file(folder: Path, name: str) -> Path:
    """The file of a sequence's problems; not inside VOT's folders of sequences."""
    file = f"{file_name(name)}.txt"
    if folder.name in _OWN_FOLDERS:
        return folder.parent / "problems" / folder.name / file
    return folder / "problems" / file


def read_problems(folder: Path, name: str) -> list[str]:
    """The problems noted while a sequence was tracked."""
    file = problem_file(Path(folder), name)
    return read_lines(file) if file.is_file() else []


def read_seconds(folder: Path, name: str) -> np.ndarray:
    """Seconds per frame, `[t]`, or an empty array if no times were recorded.

    Of several repetitions, those of the first. Raises `TextError` for a damaged file.
    """
    safe = file_name(name)
    for file in (
        Path(folder) / "times" / f"{safe}_time.txt",
        Path(folder) / safe / f"{safe}_time.txt",
    ):
        times = read_times(file)
        if len(times):
            return times[:, 0]
    return np.zeros(0)


def read_times(file: Path) -> np.ndarray:
    """The contents of a file of times, `[t, repetitions]`; `[0, 0]` if there is no file.

    Raises `TextError` for a malformed file.
    """
    if not file.is_file():
        return np.zeros((0, 0))
    rows = list(read_rows(file))
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            raise TextError(
                f"{str(file)!r} line {line}: expected {len(rows[0][1])} times, as before, got "
                f"{len(row)}"
            )
        if any(value < 0 or math.isinf(value) for value in row):
            raise TextError(
                f"{str(file)!r} line {line}: a time must be seconds of at least 0, or nan"
            )
    return np.array([row for _, row in rows]).reshape(len(rows), len(rows[0][1]) if rows else 0)
