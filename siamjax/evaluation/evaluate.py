"""An evaluation: trackers over a benchmark, their scores, and a report."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from siamjax.errors import InputError, require_between
from siamjax.evaluation.benchmarks.layouts import absent_members
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.report.page import write_report
from siamjax.evaluation.results.files import experiment_folder, find_trackers
from siamjax.evaluation.results.packing import pack
from siamjax.evaluation.running.runner import Entrant, RealTime, compare
from siamjax.evaluation.scoring import Scores, TrackerScores, score_tracker
from siamjax.files import file_name, printable
from siamjax.locks import held


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        trackers: scores of each tracker, the evaluated one first.
        problems: unusable sequences, and other remarks.
        page: the report, index.html.
        archive: for the benchmark's server; None if it has no server or sequences are
            missing.
    """

    trackers: list[TrackerScores]
    problems: list[Problem]
    page: Path
    archive: Path | None = None

    @property
    def overall(self) -> Scores:
        """The scores of the evaluated tracker, such as `success_auc`."""
        return self.trackers[0].overall

    @property
    def sequences(self) -> dict[str, Scores]:
        """The scores of the evaluated tracker by sequence."""
        return self.trackers[0].sequences


def evaluate(
    enter: Callable[[int], list[Entrant]],
    benchmark: str,
    *,
    data: Path,
    out: Path,
    title: str,
    sequences: Sequence[str] = (),
    experiment: Literal["one-pass"] | None = None,
    slots: int = 8,
    real_time: bool = False,
    speed: float | None = None,
    repetitions: int = 1,
    others: Sequence[Path] = (),
) -> Evaluation:
    """Runs trackers over a benchmark, scores them beside `others`, and writes a report.

    `enter(slots)` makes the trackers, for that many sequences at once; the other arguments are
    those of `siamjax eval`. If `out` holds part of the same evaluation, only the rest is run.
    Raises `InputError` before anything is run, and the errors of the sequences.
    """
    protocol = get_benchmark(benchmark, experiment or "")
    require_between("slots", slots, 0, 4096)
    require_between("repetitions", repetitions, 1, 999)  # files are called _001 to _999
    if speed is not None:
        require_between("speed", speed, 1e-3, 1e6)
        if not real_time:
            raise InputError(f"`speed` (={speed}) is for `real_time`; give both, or neither")
    if repetitions > 1 and protocol.experiment == "one-pass":
        raise InputError(
            f"`repetitions` (={repetitions}): {protocol.name} has one run of each sequence"
        )
    for folder in others:
        if not folder.is_dir():
            raise InputError(f"`compare` (={str(folder)!r}) is no folder of results")
    camera = RealTime(speed=speed) if real_time else None
    if real_time and speed is None:
        slots = 0  # the speed of one tracker cannot be measured while many run together
    loaded, problems = load_sequences(data, protocol, tuple(sequences))
    skipped = tuple(problems)
    if not sequences:
        names = [sequence.name for sequence in loaded] + [p.sequence for p in skipped]
        problems += absent_members(names, protocol)
    truths = [sequence.truth for sequence in loaded]
    entrants = enter(min(slots, len(loaded)))
    same: list[Any] = [protocol.name, [truth.name for truth in truths], real_time, speed]
    same += [experiment, repetitions]
    same += [[entrant.name, entrant.fingerprint] for entrant in entrants]
    with held(out, "--out", shared_as=same):
        results = out / "results"
        scores = compare(
            entrants,
            loaded,
            protocol,
            results,
            real_time=camera,
            repetitions=repetitions,
            skipped=skipped,
        )
        inner = experiment_folder(protocol, real_time)
        for folder in others:
            names = [truth.name for truth in truths]
            found, unusable = find_trackers(folder, protocol, names, experiment=inner)
            problems += unusable
            taken = {each.name for each in scores}
            for name, path in found.items():
                if name in taken:  # two runs of one configuration, say
                    name = f"{name} ({printable(str(folder))})"
                scores.append(score_tracker(name, path, truths, protocol, skipped=skipped))
        page = write_report(out, protocol, loaded, scores, problems, title)
        archive = None
        if protocol.hidden_truth and not sequences and not skipped:
            own = file_name(title)
            archive = pack(results / own / inner, truths, protocol, out / f"{own}.zip")
    return Evaluation(scores, problems, page, archive)
