"""What sharing saves in a search of hyper-parameters: candidates together against one by one.

    python benchmarks/search.py --weights runs/quickstart
    python benchmarks/search.py --weights runs/quickstart --data DIR --benchmark otb

Counts the search images that the network sees, and times both, on rendered sequences or on
the first frames of a benchmark's. One by one a few of the candidates are timed, and the time
of all is counted up from them, without the compilation that each of them needs. Without
weights the network is an untrained one, whose trajectories part at once: the saving is then
the smallest there can be.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import jax
from harness import print_table

from siamjax.api import load_model
from siamjax.config import SyntheticConfig
from siamjax.data.synthetic import write_otb
from siamjax.evaluation.proposals import Space, make_proposer
from siamjax.evaluation.protocols import get_benchmark
from siamjax.evaluation.runner import run_sequence
from siamjax.evaluation.search import follow
from siamjax.evaluation.sequences import load_sequences
from siamjax.tracking.adapters import Tracker
from siamjax.tracking.candidates import CandidateTracker


def shortened(sequence, frames):
    truth = dataclasses.replace(sequence.truth, boxes=sequence.truth.boxes[:frames])
    return dataclasses.replace(
        sequence,
        frame_paths=sequence.frame_paths[:frames],
        gt_xywh=sequence.gt_xywh[:frames],
        truth=truth,
    )


def together(model, sequences, settings):
    tracker = CandidateTracker(model.network, model.variables, model.config, settings)
    for _ in range(2):  # the first time compiles, a size of batch whenever one is new
        before, start = tracker.evaluations, time.perf_counter()
        for sequence in sequences:
            follow(tracker, sequence, len(settings))
    return tracker.evaluations - before, time.perf_counter() - start


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
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--benchmark", default="otb")
    parser.add_argument("--data", type=Path, help="of the benchmark; rendered without it")
    parser.add_argument("--sequences", nargs="*", default=())
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--alone", type=int, default=4, help="candidates timed one by one")
    arguments = parser.parse_args()
    model = load_model(arguments.config, arguments.weights)
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or Path(folder)
        if arguments.data is None:
            write_otb(SyntheticConfig(split="test", sequences=6, frames=arguments.frames), data)
        benchmark = get_benchmark(arguments.benchmark)
        loaded, _ = load_sequences(data, benchmark, arguments.sequences)
        sequences = [shortened(sequence, arguments.frames) for sequence in loaded]
        compare(model, sequences, arguments)


def compare(model, sequences, arguments):
    space = Space(search_sizes=(model.config.tracker.search_size,))
    rows = []
    # a search over everything, and the fine search around good values that follows it
    fine = dataclasses.replace(
        space,
        **{
            name: (0.95 * value, 1.05 * value)
            for name in ("penalty_k", "window_influence", "size_lr")
            for value in [getattr(model.config.tracker, name)]
        },
    )
    for title, where in (("wide", space), ("fine, 5 %", fine)):
        asked = make_proposer("random", where, 0, arguments.candidates)
        settings = [
            dataclasses.replace(model.config.tracker, **each._asdict())
            for each in asked.ask(arguments.candidates)
        ]
        shared, shared_seconds = together(model, sequences, settings)
        alone = len(settings) * sum(len(sequence) - 1 for sequence in sequences)
        timed = settings[: arguments.alone]
        alone_seconds = len(settings) * one_by_one(model, sequences, timed)
        rows.append(
            (
                title,
                alone,
                shared,
                alone / shared,
                alone_seconds,
                shared_seconds,
                alone_seconds / shared_seconds,
            )
        )
    weights = "trained" if arguments.weights else "untrained"
    print_table(
        f"Search: {arguments.candidates} candidates, {len(sequences)} sequences, {weights}, "
        f"{jax.default_backend()}",
        (
            "space",
            "evaluations alone",
            "together",
            "times fewer",
            "seconds alone",
            "together",
            "times faster",
        ),
        rows,
    )


if __name__ == "__main__":
    main()
