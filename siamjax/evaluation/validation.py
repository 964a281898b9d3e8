"""Tracking performance of a network during training."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siamjax.config import Config, ConfigError

if TYPE_CHECKING:
    from siamjax.evaluation.benchmarks.protocols import Benchmark
    from siamjax.evaluation.benchmarks.sequences import Sequence


def make_validation(
    config: Config, make_tracker: Callable[[dict, int], Any]
) -> Callable[[dict], dict[str, float]] | None:
    """A function that tracks `config.validation`'s sequences; None where there are none.

    It takes a network's variables and returns `success_auc`, `precision_20px` and
    `norm_precision` of one pass from the first ground truth box, whatever the benchmark's own
    experiment, and the `seconds` it took. A polygon counts as its bounding box.
    `make_tracker(variables, slots)` returns a tracker of several sequences at once.

    Sequences are listed here once, so that mistakes show before any training. Raises
    `ConfigError` where the ground truth is not public, and the sequences' own errors.
    """
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.benchmarks.sequences import load_sequences

    settings = config.validation
    if not settings.data:
        return None
    benchmark = get_benchmark(settings.benchmark)
    if benchmark.hidden_truth:
        raise ConfigError(
            f"`validation.benchmark` (={settings.benchmark!r}) keeps its ground truth on a "
            "server; choose one whose boxes are public"
        )
    loaded, problems = load_sequences(Path(settings.data), benchmark, settings.sequences)
    for problem in problems:
        print(f"validation: {problem}")
    one_pass = dataclasses.replace(
        benchmark, layout="otb", experiment="one-pass", challenge="", norm_precision_auc=False
    )
    sequences = [_shortened(each, one_pass, settings.max_frames) for each in loaded]
    slots = min(settings.slots, len(sequences))

    def validate(variables: dict) -> dict[str, float]:
        from siamjax.evaluation.results.files import ResultFolder
        from siamjax.evaluation.running.runner import evaluate
        from siamjax.evaluation.scoring import score_tracker

        began = time.perf_counter()
        tracker = make_tracker(variables, slots)
        with tempfile.TemporaryDirectory() as folder:
            results = ResultFolder(Path(folder) / "network", one_pass, {})
            refused = evaluate(tracker, sequences, results, "validation", slots=slots)
            truths = [sequence.truth for sequence in sequences]
            scores = score_tracker("network", results.folder, truths, one_pass, refused)
        if len(scores.sequences) < len(sequences):
            for problem in scores.problems:
                print(f"validation: {problem}")
        return {**scores.overall, "seconds": time.perf_counter() - began}

    return validate


def _shortened(sequence: "Sequence", benchmark: "Benchmark", max_frames: int) -> "Sequence":
    """The first frames of a sequence, with boxes as ground truth."""
    from siamjax.evaluation.benchmarks.truths import Truth

    frames = sequence.frame_paths[: max_frames or None]
    boxes = sequence.gt_xywh[: len(frames)]
    visible = getattr(sequence.truth, "visible", None)
    truth = Truth(
        sequence.name,
        boxes + benchmark.origin_xywh,
        visible=None if visible is None else visible[: len(frames)],
        frame_size=sequence.frame_size,
    )
    return dataclasses.replace(sequence, frame_paths=frames, gt_xywh=boxes, truth=truth)
