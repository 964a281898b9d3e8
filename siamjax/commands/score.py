"""`siamjax score`: numbers from result files, ours or anybody's."""

from pathlib import Path


def score(*, benchmark: str, annotations: Path, results: Path, json: bool = False) -> None:
    """Scores trackers' result files against the true boxes.

    Names match whatever their case, hyphens and separators. Sequences that are missing or
    of another length are named, and are in no mean.

    Args:
        benchmark: `otb` (or OTB100, OTB50, CVPR13) or `synthetic`
        annotations: the benchmark's folder in OTB layout, or a json file of PySOT's toolkit
        results: one tracker's folder of text files, or a folder of such folders
        json: print JSON instead of a table
    """
    from json import dumps

    from siamjax.evaluation.annotations import read_annotations
    from siamjax.evaluation.protocols import get_benchmark
    from siamjax.evaluation.results import find_trackers
    from siamjax.evaluation.scoring import as_text, score_tracker, summary

    conventions = get_benchmark(benchmark)
    boxes, problems = read_annotations(annotations)
    trackers = [
        score_tracker(name, folder, boxes) for name, folder in find_trackers(results).items()
    ]
    if json:
        print(dumps(summary(conventions.name, trackers, problems), indent=1))
    else:
        print(as_text(trackers, problems))
