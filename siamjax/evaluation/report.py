"""The report folder: `index.html`, which needs nothing beside itself, and `summary.json`."""

import json
from pathlib import Path

import jinja2
import numpy as np

from siamjax.evaluation.boxfiles import write_atomically
from siamjax.evaluation.ope import OpeScores, counted_frames, overlaps
from siamjax.evaluation.plots import color_of, precision_plot, success_plot
from siamjax.evaluation.protocols import Benchmark
from siamjax.evaluation.scoring import TrackerScores, summary
from siamjax.evaluation.sequences import Problem, Sequence
from siamjax.evaluation.strips import TRUE_COLOR, strip

# Frames are embedded for at most this many sequences, the worst ones: about 100 kB each.
SEQUENCES_WITH_FRAMES = 80
# Points of the line that shows overlap over time.
LINE_POINTS = 200


def write_report(
    folder: Path,
    benchmark: Benchmark,
    sequences: list[Sequence],
    trackers: list[TrackerScores],
    problems: list[Problem],
    title: str,
) -> Path:
    """Writes the report and returns the path of its `index.html`.

    The first tracker is the one that the report is about: sequences are sorted by its
    success, worst first, and its worst moments are shown. `problems` are those of the
    benchmark folder. Raises `OSError` when a file cannot be written.
    """
    folder = Path(folder)
    content = summary(benchmark.name, trackers, problems)
    write_atomically(folder / "summary.json", json.dumps(content, indent=1) + "\n")
    scored = [t for t in trackers if t.curves]
    main = trackers[0]
    order = sorted(
        (s for s in sequences if s.name in main.curves),
        key=lambda s: main.sequences[s.name].success_auc,
    )
    colors = {tracker.name: color_of(i) for i, tracker in enumerate(scored)}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        benchmark=benchmark.name,
        trackers=trackers,
        main=main,
        colors=colors,
        true_color=TRUE_COLOR,
        best=_best([t.overall for t in scored]),
        plots=[success_plot(scored), precision_plot(scored)] if scored else [],
        rows=[_row(s, scored) for s in order],
        details=[_detail(s, scored, colors, benchmark) for s in order[:SEQUENCES_WITH_FRAMES]],
        untold=max(len(order) - SEQUENCES_WITH_FRAMES, 0),
        problems=[(None, p) for p in problems]
        + [(t.name, p) for t in trackers for p in t.problems],
    )
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def _best(rows: list[OpeScores]) -> OpeScores | None:
    return OpeScores(*(max(column) for column in zip(*rows, strict=True))) if rows else None


def _row(sequence: Sequence, trackers: list[TrackerScores]) -> dict:
    by_tracker = [t.sequences.get(sequence.name) for t in trackers]
    return {
        "name": sequence.name,
        "frames": len(sequence),
        "scores": by_tracker,
        "best": _best([s for s in by_tracker if s]),
    }


def _detail(
    sequence: Sequence,
    trackers: list[TrackerScores],
    colors: dict[str, str],
    benchmark: Benchmark,
) -> dict:
    present = [t for t in trackers if sequence.name in t.boxes]
    boxes = [(t.boxes[sequence.name] - benchmark.origin_xywh, colors[t.name]) for t in present]
    return {
        "name": sequence.name,
        "frames": len(sequence),
        "score": present[0].sequences[sequence.name],
        "moments": strip(sequence, boxes),
        "lines": [
            (color, _polyline(sequence.gt_xywh, predicted)) for predicted, color in boxes
        ],
    }


def _polyline(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> str:
    """Overlap over time as points of an SVG line in a box of 1000 x 100."""
    overlap = overlaps(gt_xywh, predicted_xywh).clip(0)
    shown = np.flatnonzero(counted_frames(gt_xywh))
    # the lowest of each group, so that no failure is smoothed away
    groups = np.array_split(shown, min(LINE_POINTS, len(shown)))
    last = max(len(overlap) - 1, 1)
    return " ".join(
        f"{group[0] / last * 1000:.0f},{(1 - overlap[group].min()) * 100:.1f}"
        for group in groups
    )
