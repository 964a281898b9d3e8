"""What sharing saves in a search of hyper-parameters: candidates together against one by one.

    python benchmarks/search.py --weights runs/quickstart
    python benchmarks/search.py --weights runs/quickstart --data DIR --benchmark otb

Counts the search images that the network sees, and times both, on rendered sequences or on
the first frames of a benchmark's. One by one a few of the candidates are timed, and the time
of all is counted up from them, without the compilation that each of them needs. Together
they share search images that differ by no more pixels than the tolerance; the last column is
how far that takes a candidate's score from that of its own run. Without weights the network is
an untrained one, whose trajectories part at once: the saving is then the smallest there can be.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from harness import print_table

from siamjax.api import load_model
from siamjax.config import SyntheticConfig
from siamjax.data.synthetic import write_otb
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.running.runner import run_sequence
from siamjax.evaluation.search.following import follow, score_boxes
from siamjax.evaluation.search.proposals import Space, make_proposer
from siamjax.tracking.candidates import CandidateTracker
from siamjax.tracking.tracker import Tracker


def shortened(sequence, frames):
    truth = dataclasses.replace(sequence.truth, boxes=sequence.truth.boxes[:frames])
    return dataclasses.replace(
        sequence,
        frame_paths=sequence.frame_paths[:frames],
        gt_xywh=sequence.gt_xywh[:frames],
        truth=truth,
    )


def together(model, sequences, settings, tolerance, benchmark):
    """Search images seen, seconds, and the score of each candidate."""
    parts = (model.network, model.variables, model.config)
    tracker = CandidateTracker(*parts, settings, tolerance=tolerance)
    for _ in range(2):  # the first time compiles, a size of batch whenever one is new
        before, start = tracker.evaluations, time.perf_counter()
        found = [follow(tracker, sequence, len(settings)) for sequence in sequences]
        seconds = time.perf_counter() - start
    scores = [
        [score_boxes(sequence, boxes, benchmark) for boxes in of_all]
        for sequence, of_all in zip(sequences, found, strict=True)
    ]
    return tracker.evaluations - before, seconds, np.mean(scores, axis=0)


def one_by_one(model, sequences, settings):
    seconds = 0.0
    for each in settings:
        config = dataclasses.replace(model.config, tracker=each)
        tracker = Tracker(model.network, model.variables, config)
        run_sequence(tracker, shortened(sequences[0], 3))  # compiles
        start = time.perf_counter()
        for sequence in sequences:
            run_sequence(tracker, sequence)
        seconds += time.perf_counter() - start
    return seconds / len(settings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.py"))
    parser.add_argument("--weights", default="random")
    parser.add_argument("--benchmark", default="otb")
    parser.add_argument("--data", type=Path, help="of the benchmark; rendered without it")
    parser.add_argument("--sequences", nargs="*", default=())
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--alone", type=int, default=2, help="candidates timed one by one")
    parser.add_argument("--tolerances", type=float, nargs="+", default=(1.0, 2.0))
    arguments = parser.parse_args()
    model = load_model(arguments.config, arguments.weights)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or Path(folder)
        if arguments.data is None:
            write_otb(SyntheticConfig(split="test", sequences=5, frames=arguments.frames), data)
        benchmark = get_benchmark(arguments.benchmark)
        loaded, _ = load_sequences(data, benchmark, arguments.sequences)
        sequences = [shortened(sequence, arguments.frames) for sequence in loaded]
        compare(model, sequences, benchmark, arguments)


def compare(model, sequences, benchmark, arguments):
    # a search over everything, and the fine search around good values that follows it
    wide = Space(search_sizes=(model.config.tracker.search_size,))
    narrow = {
        name: (0.95 * value, 1.05 * value)
        for name in ("penalty_k", "window_influence", "size_lr")
        for value in [getattr(model.config.tracker, name)]
    }
    rows = []
    for title, space in (("wide", wide), ("5 %", dataclasses.replace(wide, **narrow))):
        asked = make_proposer("random", space, 0, arguments.candidates)
        settings = [
            dataclasses.replace(model.config.tracker, **each._asdict())
            for each in asked.ask(arguments.candidates)
        ]
        timed = settings[: arguments.alone]
        seconds_alone = len(settings) * one_by_one(model, sequences, timed)
        alone = len(settings) * sum(len(sequence) - 1 for sequence in sequences)
        exact = None
        for tolerance in sorted({0.0, *arguments.tolerances}):
            seen, seconds, scores = together(model, sequences, settings, tolerance, benchmark)
            exact = scores if exact is None else exact
            off = float(np.abs(scores - exact).max())
            rows.append((title, tolerance, alone / seen, seconds_alone / seconds, off))
    weights = "trained" if arguments.weights else "untrained"
    print_table(
        f"Search: {arguments.candidates} candidates, {len(sequences)} sequences, {weights}, "
        f"{jax.default_backend()}",
        (
            "space",
            "tolerance, px",
            "times fewer passes",
            "times faster",
            "score off by at most",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
