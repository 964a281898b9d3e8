"""Success and precision plots as inline SVG."""

import io
import re

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from siamjax.evaluation.protocols import PRECISION_THRESHOLDS, SUCCESS_THRESHOLDS
from siamjax.evaluation.scoring import TrackerScores

# One colour a tracker, here and on the frames; green is the ground truth's alone.
COLORS = ("#1c6dd0", "#d9480f", "#8a3fb3", "#b7791f", "#0c7c86", "#c2255c", "#5c677d")
LINES = ("-", "--", "-.", ":")


def color_of(index: int) -> str:
    """The colour of the tracker with this place in the list."""
    return COLORS[index % len(COLORS)]


def success_plot(trackers: list[TrackerScores]) -> str:
    """Share of frames by overlap threshold; the legend gives the area under each curve."""
    return _plot(
        SUCCESS_THRESHOLDS,
        [(t.name, t.mean_curves.success, t.overall.success_auc) for t in trackers],
        "overlap threshold",
        "success",
    )


def precision_plot(trackers: list[TrackerScores]) -> str:
    """Share of frames by centre error; the legend gives the value at 20 pixels."""
    return _plot(
        PRECISION_THRESHOLDS,
        [(t.name, t.mean_curves.precision, t.overall.precision_20px) for t in trackers],
        "centre error threshold, pixels",
        "precision",
        marked=20,
    )


def _plot(thresholds, curves, x_label, y_label, marked=None) -> str:
    # A figure of its own, without pyplot: no global state and no display.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": y_label}):
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if marked is not None:
            axes.axvline(marked, color="#9aa5b1", linewidth=0.8)
        for index, (name, values, number) in enumerate(curves):
            axes.plot(
                thresholds,
                values,
                LINES[index // len(COLORS) % len(LINES)],
                color=color_of(index),
                linewidth=2,
                label=f"{name} [{number:.3f}]",
            )
        axes.set(
            xlabel=x_label,
            ylabel=y_label,
            xlim=(thresholds[0], thresholds[-1]),
            ylim=(0, 1.01),
        )
        axes.grid(color="#e4e7eb", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return _inline(out.getvalue(), y_label)


def _inline(svg: str, prefix: str) -> str:
    """The element alone, without prologue and addresses, its ids unique in the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{prefix} plot"', 1)
