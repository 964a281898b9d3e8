"""VOT's measures without a compiler: overlaps a second, and a whole challenge.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --annotations VOT2018.json --results DIR

The second form times a published challenge with a tracker's results, reading included. Pin
to one core (`taskset -c 0`) for the numbers of one core. Beside ours, in the same run, is
vot-toolkit's compiled overlap where that package is installed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from harness import print_table, time_call

from siamjax.evaluation.overlap import raster_overlap
from siamjax.evaluation.protocols import find_vot_protocol
from siamjax.evaluation.regions import Regions
from siamjax.evaluation.vot import eao_curve, measure, score_supervised
from siamjax.evaluation.vot_annotations import VotSequence, read_vot_annotations
from siamjax.evaluation.vot_results import (
    find_vot_trackers,
    read_supervised,
    write_supervised,
)

PROTOCOL = find_vot_protocol("VOT2018")
SIZE = (640, 360)
SEQUENCES, FRAMES = 60, 356  # as many frames as VOT2018 has


def draw_sequence(rng, name):
    """A rotated box that walks through a frame, and a run that fails now and then."""
    walk = rng.normal(0, 3, (FRAMES, 2)).cumsum(axis=0)
    center = np.array(SIZE) / 2 + 100 * np.sin(walk / 40)
    half = rng.uniform(15, 60, 2) * np.exp(rng.normal(0, 0.01, (FRAMES, 1)).cumsum(axis=0))
    angle = rng.normal(0, 0.03, FRAMES).cumsum()
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = half[:, None] * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    polygons = center[:, None] + np.einsum("tkc,cdt->tkd", corners, turn)
    found = np.concatenate([center - half, 2 * half], axis=1)
    rows = (found + rng.normal(0, 5, found.shape)).tolist()
    start = 0
    for frame in range(FRAMES):
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
        compiled = _vot_toolkit_seconds(*pair)
        yield name, len(pair[0]) / seconds, len(pair[0]) / compiled if compiled else "-"


def _vot_toolkit_seconds(first, second):
    try:
        from vot.region.raster import calculate_overlaps
        from vot.region.shapes import Polygon, Rectangle
    except Exception:  # absent, or broken on this version of Python
        return None

    def shape(row):
        if len(row) == 4:
            return Rectangle(*row)
        return Polygon(row.reshape(-1, 2).tolist())

    shapes = [[shape(r.row(i)) for i in range(len(r))] for r in (first, second)]
    return time_call(lambda: calculate_overlaps(*shapes, SIZE), repeat=3)


def challenge_rows(folder, read_sequences):
    """Milliseconds of each step from files to the expected average overlap."""
    sequences, _ = read_sequences()
    runs, problems = read_supervised(folder, sequences, PROTOCOL)
    measured = [measure(s, runs[s.name], PROTOCOL) for s in sequences if s.name in runs]
    steps = {
        "read annotations": read_sequences,
        "read results": lambda: read_supervised(folder, sequences, PROTOCOL),
        "overlaps": lambda: [
            measure(s, runs[s.name], PROTOCOL) for s in sequences if s.name in runs
        ],
        "EAO of what is measured": lambda: eao_curve(measured, PROTOCOL),
        "all scores": lambda: score_supervised(sequences, runs, PROTOCOL),
    }
    for name, step in steps.items():
        yield name, 1000 * time_call(step, repeat=5)
    if problems:
        print(f"{len(problems)} problems, the first: {problems[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", type=Path, help="a VOT folder or PySOT's json file")
    parser.add_argument("--results", type=Path, help="a tracker's folder of results")
    arguments = parser.parse_args()
    if arguments.annotations and arguments.results:
        (name, folder), *_ = find_vot_trackers(arguments.results).items()
        rows = challenge_rows(folder, lambda: read_vot_annotations(arguments.annotations))
        print_table(f"{name} on {arguments.annotations.stem}", ("step", "ms"), rows)
        return
    rng = np.random.default_rng(0)
    drawn = [draw_sequence(rng, f"s{i:02d}") for i in range(SEQUENCES)]
    print_table(
        "Raster overlap", ("pairs", "pairs/s", "vot-toolkit, compiled"), overlap_rows(drawn)
    )
    with tempfile.TemporaryDirectory() as folder:
        for sequence, run in drawn:
            write_supervised(Path(folder), sequence.name, run)
        sequences = [sequence for sequence, _ in drawn]
        rows = challenge_rows(Path(folder), lambda: (sequences, []))
        print_table(
            f"{SEQUENCES} sequences of {FRAMES} frames, supervised",
            ("step", "ms"),
            list(rows)[1:],
        )


if __name__ == "__main__":
    main()
