"""Folder layouts of the benchmarks: which targets there are, and where their files are.

    otb          <name>/img/0001.jpg, <name>/groundtruth_rect.txt; with several targets
                 groundtruth_rect.1.txt, .2.txt, which become <name>-1, <name>-2
    got10k       [val/ or test/]<name>/00000001.jpg, <name>/groundtruth.txt
    lasot        [<category>/]<name>/img/00000001.jpg, <name>/groundtruth.txt
    uav123       data_seq/UAV123/<folder>/000001.jpg, anno/UAV123/<name>.txt; sequences
    uav20l       may share a folder of images; anno/UAV20L/ for the long ones
    trackingnet  [TEST/]frames/<name>/0.jpg, anno/<name>.txt
    nfs          <name>/30/<name>/00001.jpg, <name>/30/<name>.txt; or 240
    tcolor128    <name>/img/0001.jpg, <name>/<name>_gt.txt, <name>/<name>_frames.txt

`list.txt`, if present, gives the sequences and their order. VOT's layout is read in
`annotations`.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.members import (
    UAV123_FIRST_FRAMES,
    belongs,
    member_count,
    not_among,
)
from siamjax.evaluation.benchmarks.names import plain_name
from siamjax.evaluation.benchmarks.protocols import Benchmark
from siamjax.evaluation.problems import Problem
from siamjax.folders import files_in, folders_in, images_in
from siamjax.text import TextError, read_flags, read_lines


class SequenceError(InputError):
    """A benchmark folder or one of its sequences cannot be used; the message says why."""


class Target(NamedTuple):
    """One target of a benchmark folder, not yet read."""

    name: str
    truth: Path  # file of ground-truth boxes
    images: Path | None  # folder of its frames; None if there are only annotations
    first: int | None = None  # its first frame, from 1, if the folder holds more


Found = tuple[list[Target], list[Problem]]


def find_targets(folder: Path, benchmark: Benchmark) -> Found:
    """Every target of a benchmark's folder, in the order of `list.txt` or by name.

    From a folder that holds more than the benchmark, such as all of LaSOT, its members are
    returned; from one with none of them, everything. Raises `SequenceError` if the folder is
    missing or empty.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SequenceError(f"benchmark folder {str(folder)!r} does not exist")
    root = _subset(folder, benchmark)
    _refuse_single(root)
    targets, problems = _FINDERS[benchmark.layout](root, benchmark)
    if not targets and not problems:
        raise SequenceError(
            f"{str(root)!r} holds no sequence in the layout of {benchmark.name}: it has no "
            "subfolder with ground truth"
        )
    if (root / "list.txt").is_file():
        targets, problems = _in_listed_order(targets, problems, root / "list.txt")
    members = [t for t in targets if belongs(t.name, benchmark.members)]
    if members:
        return members, [p for p in problems if belongs(p.sequence, benchmark.members)]
    return targets, problems


def absent_members(names: Iterable[str], benchmark: Benchmark) -> list[Problem]:
    """The problem that sequences of a benchmark are not among `names`, if so.

    The means over the others are not comparable with published ones. A benchmark without a
    list of its sequences has no absent ones.
    """
    absent = not_among(names, benchmark.members)
    if not absent:
        return []
    more = f", and {len(absent) - 3} more" if len(absent) > 3 else ""
    of = member_count(benchmark.members)
    what = f"{len(absent)} of its {of} sequences are not here: {', '.join(absent[:3])}{more}"
    return [Problem(benchmark.name, what)]


def find_flat(folder: Path) -> list[Target]:
    """Targets of a folder of annotation files, `<name>.txt`, without images."""
    files = (p for p in files_in(folder, "*.txt") if p.name not in _NO_TRUTH)
    return [Target(p.stem, p, None) for p in sorted(files, key=_by_name)]


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder in order; raises `SequenceError` or `FolderError`."""
    if not folder.is_dir():
        raise SequenceError(f"no folder {folder.name}/ with its frames")
    files = images_in(folder)
    if not files:
        raise SequenceError(f"{folder.name}/ holds no images")
    return files


_NO_TRUTH = {"list.txt", "readme.txt", "sequences.txt", "training_set.txt", "testing_set.txt"}


def _by_name(path: Path):
    return path.name.casefold()


def _folders(root: Path) -> list[Path]:
    return sorted(folders_in(root), key=_by_name)


def _subset(folder: Path, benchmark: Benchmark) -> Path:
    """The folder of the split, if its parent was given."""
    inner = folder / benchmark.subset
    is_split = benchmark.layout in ("got10k", "trackingnet")
    return inner if is_split and benchmark.subset and inner.is_dir() else folder


def _refuse_single(folder: Path) -> None:
    is_sequence = any(folder.glob("groundtruth*.txt")) or (folder / "img").is_dir()
    if is_sequence:
        raise SequenceError(
            f"{str(folder)!r} is a sequence itself; give the folder that holds it, "
            f"{str(folder.parent)!r}, and pick it with `--sequences {folder.name}`"
        )


def _otb(root: Path, _: Benchmark) -> Found:
    targets, problems = [], []
    for path in _folders(root):
        files = sorted(path.glob("groundtruth_rect*.txt"))
        if len(files) > 1:  # OTB's Human4 has an empty file for its first target
            files = [file for file in files if file.stat().st_size > 1] or files
        if not files:
            problems.append(Problem(path.name, "skipped: no groundtruth_rect.txt"))
        for file in files:
            which = re.fullmatch(r"groundtruth_rect\.(\d+)\.txt", file.name)
            name = f"{path.name}-{which[1]}" if which else path.name
            targets.append(Target(name, file, path / "img"))
    return targets, problems


def _got10k(root: Path, _: Benchmark) -> Found:
    targets, problems = [], []
    for path in _folders(root):
        if (path / "groundtruth.txt").is_file():
            targets.append(Target(path.name, path / "groundtruth.txt", path))
        else:
            problems.append(Problem(path.name, "skipped: no groundtruth.txt"))
    return targets, problems


def _lasot(root: Path, _: Benchmark) -> Found:
    targets, problems = [], []
    for outer in _folders(root):
        inside = [outer] if _is_lasot(outer) else [p for p in _folders(outer) if _is_lasot(p)]
        if not inside:
            problems.append(Problem(outer.name, "skipped: no groundtruth.txt"))
        for path in inside:
            if (path / "groundtruth.txt").is_file():
                targets.append(Target(path.name, path / "groundtruth.txt", path / "img"))
            else:
                problems.append(Problem(path.name, "skipped: no groundtruth.txt"))
    return targets, problems


def _is_lasot(path: Path) -> bool:
    return (path / "groundtruth.txt").is_file() or (path / "img").is_dir()


def _uav(root: Path, benchmark: Benchmark) -> Found:
    annotations = root / "anno" / benchmark.name.upper()
    images = root / "data_seq" / "UAV123"
    targets = []
    for target in find_flat(annotations) if annotations.is_dir() else []:
        folder, _, number = target.name.rpartition("_")
        starts = UAV123_FIRST_FRAMES.get(folder, ())
        if benchmark.name == "uav123" and number.isdigit() and int(number) <= len(starts):
            first = starts[int(number) - 1]
        else:
            folder, first = target.name, 1
        targets.append(target._replace(images=images / folder, first=first))
    return targets, []


def _trackingnet(root: Path, _: Benchmark) -> Found:
    annotated = {t.name: t for t in find_flat(root / "anno")}
    problems = [
        Problem(path.name, "skipped: no file in anno/")
        for path in _folders(root / "frames")
        if path.name not in annotated
    ]
    frames = root / "frames"
    return [t._replace(images=frames / name) for name, t in annotated.items()], problems


def _nfs(root: Path, benchmark: Benchmark) -> Found:
    targets, problems = [], []
    for path in _folders(root):
        files = files_in(path / benchmark.subset, "*.txt")
        if not files:
            problems.append(Problem(path.name, f"skipped: no {benchmark.subset}/*.txt"))
        targets += [Target(file.stem, file, file.with_suffix("")) for file in files]
    return targets, problems


def _tcolor(root: Path, _: Benchmark) -> Found:
    targets, problems = [], []
    for path in _folders(root):
        files = files_in(path, "*_gt.txt")
        if not files:
            problems.append(Problem(path.name, f"skipped: no {path.name}_gt.txt"))
            continue
        first = None
        for span in files_in(path, "*_frames.txt"):
            try:
                first = read_flags(span)[0]
            except (TextError, IndexError) as error:
                told = error if isinstance(error, TextError) else f"{span.name} is empty"
                problems.append(Problem(path.name, f"skipped: {told}"))
                break
        else:
            targets.append(Target(path.name, files[0], path / "img", first))
    return targets, problems


_FINDERS: dict[str, Callable[[Path, Benchmark], Found]] = {
    "otb": _otb,
    "got10k": _got10k,
    "lasot": _lasot,
    "uav123": _uav,
    "uav20l": _uav,
    "trackingnet": _trackingnet,
    "nfs": _nfs,
    "tcolor128": _tcolor,
}


def _in_listed_order(targets: list[Target], problems: list[Problem], file: Path) -> Found:
    kept = []
    lines = read_lines(file)
    for name in filter(None, map(str.strip, lines)):
        wanted = plain_name(name)
        found = [t for t in targets if wanted in (plain_name(t.name), _folder_name(t))]
        kept += [t for t in found if t not in kept]
        if not found and not any(plain_name(p.sequence) == wanted for p in problems):
            problems.append(Problem(name, "skipped: in list.txt, but has no folder"))
    listed = {plain_name(name.strip()) for name in lines}
    return kept, [p for p in problems if plain_name(p.sequence) in listed]


def _folder_name(target: Target) -> str:
    return plain_name(target.truth.parent.name)
