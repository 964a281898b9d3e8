"""Results in VOT's folder layout, read and written.

    <root>/<tracker>/baseline/<sequence>/<sequence>_001.txt           supervised, _002 ... _015
    <root>/<tracker>/longterm/<sequence>/<sequence>_001.txt           long-term
    <root>/<tracker>/longterm/<sequence>/<sequence>_001_confidence.value
    <root>/<tracker>/longterm/<sequence>/<sequence>_time.txt          seconds, as in PySOT

A line of regions is 1 where the tracker was initialised, 2 where it failed, 0 where it did not
run, and otherwise a box or a polygon. A confidence file has a blank first line.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.names import match_files, plain_name
from siamjax.evaluation.benchmarks.textfiles import format_regions, read_regions
from siamjax.evaluation.metrics.longterm import LongTermRun
from siamjax.evaluation.metrics.regions import (
    FAILED,
    INITIALISED,
    SKIPPED,
    RegionError,
    Regions,
    VotSequence,
)
from siamjax.evaluation.metrics.vot import VotProtocol
from siamjax.evaluation.problems import Problem
from siamjax.files import file_name, keep_name, write_whole
from siamjax.folders import files_in, folders_in
from siamjax.text import in_line, parse_number, read_lines

SUPERVISED, LONG_TERM = "baseline", "longterm"


def read_supervised(
    folder: Path, sequences: Iterable[VotSequence], protocol: VotProtocol
) -> tuple[dict[str, list[Regions]], list[Problem]]:
    """The usable runs of each sequence, and a list of problems.

    Sequences without results are left out and listed, as is every run that cannot be read,
    has not one line per frame, or is not from a supervised experiment. Runs with values that
    are not finite, which count as misses, runs re-initialised earlier or later than the
    protocol says, and unexpected numbers of repetitions are listed but kept.
    """
    runs, problems = {}, []
    sequences = list(sequences)
    folders = _match_folders(folder, sequences, problems)
    for sequence in sequences:
        usable = []
        for file in _run_files(folders.get(sequence.name), sequence.name, problems):
            try:
                regions = _read_run(file, sequence)
                _refuse_unsupervised(regions, file)
            except InputError as error:
                problems.append(Problem(sequence.name, f"not scored: {error}"))
                continue
            odd = _oddities(regions, file, protocol.skip)
            problems += [Problem(sequence.name, line) for line in odd]
            usable.append(regions)
        if usable:
            runs[sequence.name] = usable
        if len(usable) not in (0, 1, protocol.repetitions):
            expected = f"expected 1 or {protocol.repetitions} runs, found {len(usable)}"
            problems.append(Problem(sequence.name, expected))
    return runs, problems


def read_long_term(
    folder: Path, sequences: Iterable[VotSequence]
) -> tuple[dict[str, LongTermRun], list[Problem]]:
    """The first run of each sequence, and a list of problems.

    Sequences without results, or whose regions or confidences cannot be read or are not one
    per frame, are left out and listed. A region of NaN means that the target is absent.
    """
    runs, problems = {}, []
    sequences = list(sequences)
    folders = _match_folders(folder, sequences, problems)
    for sequence in sequences:
        files = _run_files(folders.get(sequence.name), sequence.name, problems)
        if not files:
            continue
        try:
            regions = _read_run(files[0], sequence)
            confidence = _read_confidence(files[0], len(sequence))
        except InputError as error:
            problems.append(Problem(sequence.name, f"not scored: {error}"))
            continue
        runs[sequence.name] = LongTermRun(regions, confidence)
        missing = int(np.isnan(confidence[1:]).sum())
        if missing:
            problems.append(Problem(sequence.name, f"{missing} frames have no confidence"))
    return runs, problems


def write_supervised(folder: Path, name: str, regions: Regions, repetition: int = 1) -> Path:
    """Writes one run atomically; returns the file.

    `folder` is the tracker's experiment folder. Raises `OSError` naming the file.
    """
    keep_name(folder, name)
    safe = file_name(name)
    file = Path(folder) / safe / f"{safe}_{repetition:03d}.txt"
    write_whole(file, format_regions(regions))
    return file


def write_long_term(folder: Path, name: str, run: LongTermRun, seconds: np.ndarray) -> Path:
    """Writes one long-term run, the regions last; returns their file.

    The first frame, of the initialisation, gets the code 1 and no confidence. `seconds` are
    the times per frame. Raises `OSError` naming the file.
    """
    values, count = run.regions.values.copy(), run.regions.count.copy()
    values[0], count[0] = np.nan, 1
    values[0, 0] = INITIALISED
    keep_name(folder, name)
    safe = file_name(name)
    file = Path(folder) / safe / f"{safe}_001.txt"
    times = "".join(f"{value:.6f}\n" for value in seconds)
    write_whole(file.with_name(f"{safe}_time.txt"), times)
    lines = "\n" + "".join(f"{value:.6f}\n" for value in run.confidence[1:])
    write_whole(file.with_name(f"{safe}_001_confidence.value"), lines)
    write_whole(file, format_regions(Regions(values, count)))
    return file


def _match_folders(folder, sequences, problems) -> dict[str, Path]:
    """Folders by sequence name; names match as in `match_files`."""
    inside = {path.name: path for path in folders_in(folder)}
    names = match_files([sequence.name for sequence in sequences], inside)
    matched = {name: inside[found] for name, found in names.items()}
    used = set(matched.values())
    problems += [
        Problem(path.name, "results for a sequence that is not in the benchmark")
        for path in inside.values()
        if path not in used
    ]
    return matched


def _run_files(folder: Path | None, name: str, problems: list[Problem]) -> list[Path]:
    if folder is None:
        problems.append(Problem(name, "not scored: no results"))
        return []
    called = plain_name(folder.name)
    files = files_in(folder, "*_[0-9][0-9][0-9].txt")
    files = [file for file in files if plain_name(file.stem[:-4]) == called]
    if not files:
        hint = "; binary results are not supported" if any(folder.glob("*.bin")) else ""
        what = f"not scored: no file {folder.name}_001.txt{hint}"
        problems.append(Problem(name, what))
    return files


def _read_run(file: Path, sequence: VotSequence) -> Regions:
    regions = read_regions(file)
    if len(regions) != len(sequence):
        raise RegionError(
            f"{file.name}: expected {len(sequence)} lines, one per frame, read {len(regions)}"
        )
    return regions


def _refuse_unsupervised(regions: Regions, file: Path) -> None:
    if not regions.has_code(INITIALISED)[0]:
        raise RegionError(f"{file.name} must start with 1, as results of supervised runs do")
    known = np.isin(regions.values[:, 0], (SKIPPED, INITIALISED, FAILED))
    unknown = ~regions.is_region & ~known
    if unknown.any():
        line = int(unknown.argmax())
        raise RegionError(
            f"{file.name} has {regions.values[line, 0]:g} in line {line + 1}; a single "
            "number must be 0, 1 or 2"
        )


def _oddities(regions: Regions, file: Path, skip: int):
    if wrong := int((regions.is_region & ~regions.is_finite).sum()):
        yield f"{file.name} has {wrong} regions that are not finite and count as misses"
    failures = np.flatnonzero(regions.has_code(FAILED))
    again = failures + skip
    again = again[again < len(regions)]
    starts = np.flatnonzero(regions.has_code(INITIALISED))[1:]
    if not np.array_equal(again, starts):
        yield f"{file.name} has starts that are not {skip} frames after a failure"


def _read_confidence(regions_file: Path, frames: int) -> np.ndarray:
    file = regions_file.with_name(f"{regions_file.stem}_confidence.value")
    lines = [line.strip() for line in read_lines(file)]
    if len(lines) != frames:
        raise RegionError(
            f"{file.name}: expected {frames} lines, one per frame, read {len(lines)}"
        )
    return np.array(
        [
            in_line(file, number, parse_number, line) if line else np.nan
            for number, line in enumerate(lines, 1)
        ]
    )
