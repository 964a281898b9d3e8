"""Scoring without a compiler, and tracking many sequences at once.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --toolkits FOLDER
    python benchmarks/evaluation.py --benchmark vot2018 --annotations VOT2018.json --results DIR

The first form makes up 100 sequences of one-pass evaluation and 60 of a VOT challenge, and
renders some that are tracked; the last times a published benchmark with a tracker's results.
Beside ours, in the same run, are the GOT-10k toolkit and vot-toolkit's compiled overlap where
they can be imported: `--toolkits` names folders to look in as well, as
`pip install --no-deps --target FOLDER got10k fire six wget shapely` fills one. Pin to one core
(`taskset -c 0`) for the numbers of one core.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import print_table, time_call
from toolkits import got10k_one_pass, got10k_supervised, vot_toolkit_overlaps

from siamjax.evaluation.benchmarks.protocols import Benchmark, find_vot_protocol, get_benchmark
from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.evaluation.benchmarks.truths import read_truths
from siamjax.evaluation.metrics.overlap import raster_overlap
from siamjax.evaluation.metrics.regions import Regions, VotSequence
from siamjax.evaluation.metrics.vot import eao_curve, measure, score_supervised
from siamjax.evaluation.results.files import find_results, find_trackers
from siamjax.evaluation.results.vot import read_supervised, write_supervised
from siamjax.evaluation.scoring import score_tracker

PROTOCOL = find_vot_protocol("VOT2018")
SIZE = (640, 360)
OTB_SEQUENCES, OTB_FRAMES = 100, 590  # as many frames as OTB-100 has
VOT_SEQUENCES, VOT_FRAMES = 60, 356  # as many as VOT2018 has
TRACKED_SEQUENCES, TRACKED_FRAMES = 16, 40


def draw_boxes(rng, frames):
    """A box that walks through a frame, `[t, 4]`, and an answer that follows it."""
    corner = 100 + rng.normal(0, 3, (frames, 2)).cumsum(axis=0) % 300
    truth = np.concatenate([corner, np.full((frames, 2), rng.uniform(20, 90))], axis=1)
    return truth, truth + rng.normal(0, 6, truth.shape)


def draw_sequence(rng, name):
    """A rotated box that walks through a frame, and a run that fails now and then."""
    walk = rng.normal(0, 3, (VOT_FRAMES, 2)).cumsum(axis=0)
    center = np.array(SIZE) / 2 + 100 * np.sin(walk / 40)
    growth = np.exp(rng.normal(0, 0.01, (VOT_FRAMES, 1)).cumsum(axis=0))
    half = rng.uniform(15, 60, 2) * growth
    angle = rng.normal(0, 0.03, VOT_FRAMES).cumsum()
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = half[:, None] * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    polygons = center[:, None] + np.einsum("tkc,cdt->tkd", corners, turn)
    found = np.concatenate([center - half, 2 * half], axis=1)
    rows = (found + rng.normal(0, 5, found.shape)).tolist()
    start = 0
    for frame in range(VOT_FRAMES):
        if frame == start:
            rows[frame] = [1]
        elif frame < start:
            rows[frame] = [0]
        elif rng.random() < 1 / 350:
            rows[frame], start = [2], frame + PROTOCOL.skip
    sequence = VotSequence(name, Regions.from_polygons(polygons), {}, SIZE, ())
    return sequence, Regions.from_rows(rows)


def overlap_rows(drawn):
    """Pairs a second of polygons and boxes, of polygons alone, and of crossed polygons."""
    truth = np.concatenate([sequence.ground_truth.polygons() for sequence, _ in drawn])
    boxes = np.concatenate([run.values[run.is_region, :4] for _, run in drawn])
    polygons = Regions.from_polygons(truth)
    cases = {
        "box, polygon": (Regions.from_boxes(boxes), polygons[: len(boxes)]),
        "polygon, polygon": (polygons[1:], polygons[:-1]),
        "polygon, crossed polygon": (
            polygons[1:],
            Regions.from_polygons(truth[:-1, [0, 2, 1, 3]]),
        ),
    }
    for name, pair in cases.items():
        seconds = time_call(lambda pair=pair: raster_overlap(*pair, SIZE), repeat=5)
        compiled = vot_toolkit_overlaps(*pair, SIZE)
        theirs = len(pair[0]) / time_call(compiled, repeat=3) if compiled else "-"
        yield name, len(pair[0]) / seconds, theirs


def one_pass_rows(annotations: Path, results: Path, benchmark: Benchmark, theirs=None):
    """Seconds from files to success and precision, and the numbers that come out."""
    truths, _ = read_truths(annotations, benchmark)
    names = [truth.name for truth in truths]

    def read():
        return [read_boxes(file) for (file,) in find_results(results, names).values()]

    def score(convention):
        return score_tracker("", results, truths, benchmark, convention=convention)

    # the toolkits read what they score
    yield "read annotations", time_call(lambda: read_truths(annotations, benchmark), 3), "-"
    yield "read results", time_call(read, 3), "-"
    seconds = time_call(lambda: score(""), 3)
    yield "read results and score", seconds, time_call(theirs, 3) if theirs else "-"
    overall = score("got10k").overall
    numbers = theirs() if theirs else ("-", "-")
    keys = ("success_auc", "precision_20px")
    for key, number in zip(keys, numbers, strict=True):
        yield f"{key} as the GOT-10k toolkit counts", overall[key], number


def supervised_rows(annotations, results: Path, theirs=None):
    """Seconds of each step from files to the expected average overlap."""
    sequences, _ = annotations()
    runs, problems = read_supervised(results, sequences, PROTOCOL)
    measured = [measure(s, runs[s.name], PROTOCOL) for s in sequences if s.name in runs]
    steps = {
        "read annotations": annotations,
        "read results": lambda: read_supervised(results, sequences, PROTOCOL),
        "overlaps": lambda: [
            measure(s, runs[s.name], PROTOCOL) for s in sequences if s.name in runs
        ],
        "EAO of what is measured": lambda: eao_curve(measured, PROTOCOL),
        "all scores": lambda: score_supervised(sequences, runs, PROTOCOL),
    }
    for name, step in steps.items():
        yield name, time_call(step, repeat=3), "-"
    if theirs:
        yield "read results, accuracy and robustness, no EAO", "-", time_call(theirs, 1)
    if problems:
        print(f"{len(problems)} problems, the first: {problems[0]}")


def tracking_rows(folder: Path, all_slots):
    """Frames a second over the same sequences, one at a time and several in a device call."""
    import siamjax
    from siamjax.config import SyntheticConfig
    from siamjax.data.synthetic import write_otb
    from siamjax.evaluation.benchmarks.sequences import load_sequences
    from siamjax.evaluation.results.files import ResultFolder
    from siamjax.evaluation.running.runner import evaluate
    from siamjax.tracking.batch import BatchTracker
    from siamjax.tracking.tracker import Tracker

    rendered = SyntheticConfig(split="test", sequences=TRACKED_SEQUENCES, frames=TRACKED_FRAMES)
    write_otb(rendered, folder / "data")
    benchmark = get_benchmark("otb")
    sequences, _ = load_sequences(folder / "data", benchmark)
    model = siamjax.load_model("configs/quickstart.py", "random")
    alone = None
    for slots in all_slots:
        parts = (model.network, model.variables, model.config)
        tracker = BatchTracker(*parts, slots) if slots else Tracker(*parts)
        for name in ("compiles", "timed"):
            results = ResultFolder(folder / f"{name}-{slots}", benchmark, {})
            start = time.perf_counter()
            evaluate(tracker, sequences, results, f"{slots} slots, {name}", slots=slots)
            seconds = time.perf_counter() - start
        speed = TRACKED_SEQUENCES * TRACKED_FRAMES / seconds
        alone = alone or speed
        yield "one at a time" if not slots else f"{slots} at once", speed, speed / alone


def made_up(folder: Path, all_slots):
    """Every table that needs no files of anybody's."""
    rng = np.random.default_rng(0)
    annotations, results = folder / "otb", folder / "results" / "made-up"
    for path in (annotations, results):
        path.mkdir(parents=True)
    for number in range(OTB_SEQUENCES):
        for path, boxes in zip(
            (annotations, results), draw_boxes(rng, OTB_FRAMES), strict=True
        ):
            np.savetxt(path / f"s{number:03d}.txt", boxes, fmt="%.4f", delimiter=",")
    print_table(
        f"{OTB_SEQUENCES} sequences of {OTB_FRAMES} frames, one pass",
        ("step", "ours, s", "GOT-10k toolkit, s"),
        one_pass_rows(
            annotations, results, get_benchmark("otb"), got10k_one_pass(annotations, results)
        ),
    )
    drawn = [draw_sequence(rng, f"s{i:02d}") for i in range(VOT_SEQUENCES)]
    runs = folder / "vot" / "made-up" / "baseline"
    for sequence, run in drawn:
        write_supervised(runs, sequence.name, run)
    sequences = [dataclasses.replace(sequence) for sequence, _ in drawn]
    rows = supervised_rows(
        lambda: (sequences, []), runs, got10k_supervised(sequences, runs.parent, PROTOCOL)
    )
    print_table(
        f"{VOT_SEQUENCES} sequences of {VOT_FRAMES} frames, supervised",
        ("step", "ours, s", "GOT-10k toolkit, s"),
        list(rows)[1:],
    )
    print_table(
        "Raster overlap", ("pairs", "pairs/s", "vot-toolkit, compiled"), overlap_rows(drawn)
    )
    print_table(
        f"Evaluation of {TRACKED_SEQUENCES} rendered sequences, quickstart network",
        ("sequences", "frames/s", "times one at a time"),
        tracking_rows(folder, all_slots),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="vot2018")
    parser.add_argument("--annotations", type=Path, help="a folder, or PySOT's json file")
    parser.add_argument("--results", type=Path, help="a tracker's folder of results")
    parser.add_argument(
        "--toolkits", nargs="+", default=(), help="folders of packages, got10k and vot-toolkit"
    )
    parser.add_argument("--slots", type=int, nargs="+", default=(0, 4, 8))
    arguments = parser.parse_args()
    sys.path += arguments.toolkits
    if not (arguments.annotations and arguments.results):
        with tempfile.TemporaryDirectory() as folder:
            made_up(Path(folder), arguments.slots)
        return
    benchmark = get_benchmark(arguments.benchmark)
    found, _ = find_trackers(arguments.results, benchmark)
    (name, folder), *_ = found.items()
    if benchmark.experiment == "supervised":
        rows = supervised_rows(lambda: read_truths(arguments.annotations, benchmark), folder)
    else:
        rows = one_pass_rows(arguments.annotations, folder, benchmark)
    header = ("step", "ours, s", "GOT-10k toolkit, s")
    print_table(f"{name} on {arguments.annotations.stem}", header, rows)


if __name__ == "__main__":
    main()
