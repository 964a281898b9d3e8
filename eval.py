"""Runs a tracker over a benchmark and reports; stopped, the same command goes on."""

import dataclasses
import sys
from pathlib import Path

import tyro


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """What to evaluate, on what, and where the results go."""

    config: Path  # a configuration file, .py or the config.json of a run
    weights: Path  # a run's folder, one of its checkpoints, or a converted file
    benchmark: str  # `otb`: any folder in OTB layout; `synthetic`: the rendered test split
    data: Path  # the benchmark's folder; `synthetic` is rendered into it when it is not there
    out: Path  # results/<tracker>/, index.html and summary.json are written here
    sequences: tuple[str, ...] = ()  # only these; all when none is named
    controls: bool = False  # adds the untrained network and a tracker that never moves


def evaluate(arguments: Arguments) -> None:
    """Tracks, scores and reports; raises `ValueError` or `OSError` for bad input."""
    import siamjax
    from siamjax.evaluation.controls import StaticTracker
    from siamjax.evaluation.fingerprint import fingerprint
    from siamjax.evaluation.protocols import get_benchmark
    from siamjax.evaluation.report import write_report
    from siamjax.evaluation.runner import compare
    from siamjax.evaluation.scoring import as_text
    from siamjax.evaluation.sequences import load_sequences

    config = siamjax.load_config(arguments.config)
    benchmark = get_benchmark(arguments.benchmark)
    if benchmark.name == "synthetic" and not (arguments.data / "list.txt").is_file():
        render_test_split(arguments.data)
    sequences, problems = load_sequences(arguments.data, benchmark, arguments.sequences)
    networks = {config.name: siamjax.load_tracker(config, arguments.weights)}
    if arguments.controls:
        networks[f"{config.name}-untrained"] = siamjax.load_tracker(config, None)
    trackers = [
        (name, tracker, fingerprint(config, tracker.variables, siamjax.__version__))
        for name, tracker in networks.items()
    ]
    if arguments.controls:
        trackers.append(("never-moves", StaticTracker(), {"control": "never moves"}))
    scores = compare(trackers, sequences, benchmark, arguments.out / "results")
    page = write_report(arguments.out, benchmark, sequences, scores, problems, config.name)
    print(as_text(scores, problems))
    print(f"report: {page}")


def render_test_split(folder: Path) -> None:
    """Renders the synthetic test split, the same one always, into a folder."""
    from siamjax.config import SyntheticConfig
    from siamjax.data.synthetic import write_otb

    write_otb(SyntheticConfig(split="test", seed=0, sequences=20, frames=60), folder)


def main(words: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 bad input, 130 interrupted."""
    arguments = tyro.cli(Arguments, description=__doc__, args=words)
    try:
        evaluate(arguments)
    except (ValueError, OSError) as error:
        print(f"eval.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\neval.py: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
