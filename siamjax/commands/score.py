"""`siamjax score`: scores result files, written by siamjax or by other toolkits."""

import sys
from pathlib import Path


def score(
    *,
    benchmark: str,
    annotations: Path,
    results: Path,
    json: bool = False,
    convention: str = "",
    experiment: str = "",
    report: Path | None = None,
    allow_missing: bool = False,
) -> int:
    """Scores trackers' result files against ground truth.

    Names match regardless of case, hyphens and separators. Results that are missing or of the
    wrong length are listed and excluded from every mean; the exit code is then 3.

    Args:
        benchmark: otb, otb0, otb50, cvpr13, vot2016, vot2017, vot2018, vot2019, vot2018-lt,
            uav123, uav20l, lasot, trackingnet, got10k, nfs, tcolor128, dtb70, ...
        annotations: the benchmark's own folder, a folder of annotation files, or a json file
            of PySOT's toolkit
        results: one tracker's folder, or a folder of such folders
        json: print JSON instead of a table
        convention: the toolkit whose rules apply to frames without boxes: pysot (default),
            matlab, got10k, or pytracking for one pass; pysot (default) or vot-toolkit for VOT
        experiment: the results' subfolder in a tracker's folder, such as `realtime`, if not the
            benchmark's default; or `one-pass`, for VOT's benchmarks run without restarts
        report: also write a report (HTML, Markdown, LaTeX) into this folder, with frames if
            `annotations` has them
        allow_missing: exit with 0 even if sequences are missing from the scores
    """
    from json import dumps

    from siamjax.commands.ending import missing_code
    from siamjax.evaluation.benchmarks.layouts import absent_members
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.benchmarks.truths import read_truths
    from siamjax.evaluation.report.tables import as_text
    from siamjax.evaluation.results.files import find_trackers
    from siamjax.evaluation.scoring import get_convention, score_tracker, summary

    one_pass = "one-pass" if experiment == "one-pass" else ""
    conventions = get_benchmark(benchmark, one_pass)
    get_convention(convention, conventions)
    truths, problems = read_truths(annotations, conventions)
    skipped = tuple(problems)
    found, unusable = find_trackers(
        results,
        conventions,
        [truth.name for truth in truths],
        experiment="" if one_pass else experiment,
        besides=annotations,
    )
    trackers = [
        score_tracker(name, folder, truths, conventions, skipped=skipped, convention=convention)
        for name, folder in found.items()
    ]
    problems += unusable
    names = [truth.name for truth in truths] + [problem.sequence for problem in skipped]
    for note in absent_members(names, conventions):
        # Not a problem of a tracker: scoring part of a benchmark may be intended.
        print(note, file=sys.stderr)
    if report is not None:
        from siamjax.evaluation.report.page import write_report
        from siamjax.evaluation.report.tables import ranked

        frames = _with_frames(annotations, conventions)
        write_report(report, conventions, frames, ranked(trackers), problems, conventions.name)
    if json:
        print(dumps(summary(conventions.name, trackers, problems), indent=1))
    else:
        print(as_text(trackers, problems))
    return missing_code(trackers, allow_missing)


def _with_frames(annotations: Path, benchmark) -> list:
    """The sequences with frames beside their annotations; empty for annotations only."""
    from siamjax.evaluation.benchmarks.layouts import SequenceError
    from siamjax.evaluation.benchmarks.sequences import load_sequences

    try:
        return load_sequences(annotations, benchmark)[0]
    except SequenceError:
        return []
