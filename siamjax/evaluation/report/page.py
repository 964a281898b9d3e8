"""The report folder: a self-contained `index.html`, `summary.json`, `table.md`, `table.tex`."""

import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from siamjax.evaluation.benchmarks.protocols import Benchmark, find_vot_protocol
from siamjax.evaluation.benchmarks.sequences import Sequence
from siamjax.evaluation.metrics.ope import counted_frames, overlaps
from siamjax.evaluation.metrics.vot import VotProtocol
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.report.plots import color_of, leading_key, plots_of
from siamjax.evaluation.report.strips import TRUE_COLOR, strip
from siamjax.evaluation.report.tables import (
    HEADINGS,
    as_latex,
    as_markdown,
    best_of,
    columns,
    comparable,
    missing_note,
    number,
    quality,
    ranked,
)
from siamjax.evaluation.scoring import TrackerScores, summary
from siamjax.files import write_whole

# Frames are embedded for at most this many sequences, the worst: about 100 kB each.
SEQUENCES_WITH_FRAMES = 80
# Points of the line of overlap over time.
LINE_POINTS = 200

_ONE_PASS = (
    "One-pass evaluation: each tracker is initialised in the first frame and never again."
)
_HOW = {
    "one-pass": _ONE_PASS,
    "repeated": f"{_ONE_PASS} Every frame has the same weight.",
    "supervised": "Supervised: a tracker that loses the target is re-initialised.",
    "long-term": "Long-term: the target may leave the view, and each box has a confidence.",
}


def write_report(
    folder: Path,
    benchmark: Benchmark,
    sequences: list[Sequence],
    trackers: list[TrackerScores],
    problems: list[Problem],
    title: str,
) -> Path:
    """Writes the report and returns the path of its `index.html`.

    The report is about the first tracker: sequences are sorted by its scores, worst first,
    the others are compared with it, and its worst frames are shown if `sequences` has them.
    `summary.json` is the output of `siamjax score --json` with `attributes`, `frames` and
    `fps` of each tracker added. `problems` are those of the benchmark folder. Raises `OSError`
    if a file cannot be written.
    """
    folder = Path(folder)
    content = summary(benchmark.name, trackers, problems)
    for tracker in trackers:
        more = {"attributes": tracker.attributes, "frames": tracker.frames, "fps": tracker.fps}
        content["trackers"][tracker.name] |= more
    write_whole(folder / "summary.json", json.dumps(content, indent=1) + "\n")
    write_whole(folder / "table.md", as_markdown(trackers))
    write_whole(folder / "table.tex", as_latex(trackers))
    scored = [t for t in trackers if t.overall]
    rivals = comparable(trackers)
    main = trackers[0]
    names = sorted(main.sequences, key=lambda name: quality(main.sequences[name]))
    by_name = {sequence.name: sequence for sequence in sequences}
    shown = [by_name[name] for name in names if name in by_name][:SEQUENCES_WITH_FRAMES]
    colors = {tracker.name: color_of(i) for i, tracker in enumerate(scored)}
    protocol = find_vot_protocol(benchmark.challenge)
    keys = columns([t.overall for t in scored])
    page = render_template(
        Path(__file__).with_name("page.html.j2"),
        title=title,
        benchmark=benchmark.name,
        how=_HOW[benchmark.experiment],
        trackers=ranked(trackers),
        main=main,
        scored=scored,
        colors=colors,
        true_color=TRUE_COLOR,
        keys=keys,
        headings=HEADINGS,
        number=number,
        best=best_of([t.overall for t in rivals]) if len(scored) > 1 else {},
        rivals=[t.name for t in rivals],
        notes=[note for t in trackers if (note := missing_note(t))],
        plots=plots_of(scored, protocol if isinstance(protocol, VotProtocol) else None),
        has_auc="success_auc" in keys,
        attributes=_attributes(scored),
        leading=leading_key(scored),
        row_keys=columns([row for t in scored for row in t.sequences.values()]),
        rows=[_row(name, scored) for name in names],
        details=[_detail(s, scored, colors, benchmark) for s in shown],
        anchors={sequence.name: i for i, sequence in enumerate(shown, start=1)},
        untold=max(len(names) - len(shown), 0),
        problems=[(None, p) for p in problems]
        + [(t.name, p) for t in trackers for p in t.problems],
    )
    write_whole(folder / "index.html", page)
    return folder / "index.html"


def render_template(file: Path, **values: Any) -> str:
    """The HTML of a Jinja template; text is escaped, and an undefined name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(file.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(file.name).render(**values)


def _attributes(trackers: list[TrackerScores]) -> list[dict]:
    """One row per attribute: the leading score of each tracker."""
    leading = leading_key(trackers)
    names = dict.fromkeys(name for t in trackers for name in t.attributes)
    rows = []
    for name in names:
        values = [t.attributes.get(name, {}).get(leading) for t in trackers]
        known = [value for value in values if value is not None]
        best = max(known) if len(known) > 1 else None
        rows.append({"name": name, "values": values, "best": best})
    return rows


def _row(name: str, trackers: list[TrackerScores]) -> dict:
    """The row of a sequence: all trackers' scores, and differences from the main tracker."""
    rows = [t.sequences.get(name) for t in trackers]
    present = [row for row in rows if row]
    key = next(iter(columns(present)), "")
    main = rows[0][key] if rows[0] and key in rows[0] else None
    differences = [
        row[key] - main if i and row and main is not None and key in row else None
        for i, row in enumerate(rows)
    ]
    frames = next(len(t.boxes[name]) for t in trackers if name in t.boxes)
    return {
        "name": name,
        "frames": frames,
        "scores": list(zip(rows, differences, strict=True)),
        "best": best_of(present) if len(present) > 1 else {},
    }


def _detail(
    sequence: Sequence,
    trackers: list[TrackerScores],
    colors: dict[str, str],
    benchmark: Benchmark,
) -> dict:
    present = [t for t in trackers if sequence.name in t.boxes]
    boxes = [(t.boxes[sequence.name] - benchmark.origin_xywh, colors[t.name]) for t in present]
    scores = present[0].sequences[sequence.name]
    return {
        "name": sequence.name,
        "frames": len(sequence),
        "score": ", ".join(f"{HEADINGS[k]} {number(k, scores[k])}" for k in columns([scores])),
        "moments": strip(sequence, boxes),
        "lines": [
            (color, _polyline(sequence.gt_xywh, predicted)) for predicted, color in boxes
        ],
    }


def _polyline(gt_xywh: np.ndarray, predicted_xywh: np.ndarray) -> str:
    """Overlap over time as points of an SVG line in a box of 1000 x 100."""
    overlap = overlaps(gt_xywh, predicted_xywh)
    overlap = np.where(np.isfinite(overlap), overlap, 0).clip(0)
    shown = np.flatnonzero(counted_frames(gt_xywh))
    # the minimum of each group, so that failures stay visible
    groups = np.array_split(shown, min(LINE_POINTS, len(shown)))
    last = max(len(overlap) - 1, 1)
    return " ".join(
        f"{group[0] / last * 1000:.0f},{(1 - overlap[group].min()) * 100:.1f}"
        for group in groups
    )
