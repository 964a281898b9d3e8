"""Plots as inline SVG."""

import io
import re
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from siamjax.evaluation.metrics import got10k
from siamjax.evaluation.metrics.ope import (
    NORM_PRECISION_THRESHOLDS,
    PRECISION_REPORTED,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
)
from siamjax.evaluation.metrics.vot import VotProtocol, reliability
from siamjax.evaluation.report.tables import HEADINGS
from siamjax.evaluation.scoring import TrackerScores

# One colour per tracker, in plots and on frames; green is reserved for ground truth.
COLORS = ("#1c6dd0", "#d9480f", "#8a3fb3", "#b7791f", "#0c7c86", "#c2255c", "#5c677d")
_LONGEST_LABEL = 48  # characters of a legend entry
LINES = ("-", "--", "-.", ":")
MARKERS = "osD^vP*X"
_PRECISIONS = (
    ("precision", "precision_20px", PRECISION_THRESHOLDS, "pixels"),
    ("norm_precision", "norm_precision", NORM_PRECISION_THRESHOLDS, "target sizes"),
)


def color_of(index: int) -> str:
    """The colour of the tracker with this index."""
    return COLORS[index % len(COLORS)]


def plots_of(trackers: list[TrackerScores], protocol: VotProtocol | None) -> list[str]:
    """All plots that the trackers' scores allow."""
    curves = {name for tracker in trackers for name in tracker.curves}
    made = []
    if "success" in curves:
        made.append(success_plot(trackers))
    if "precision" in curves:
        made += [precision_plot(trackers, *kind) for kind in _PRECISIONS]
    if "eao" in curves and protocol is not None:
        made += [eao_plot(trackers, protocol), accuracy_robustness_plot(trackers, protocol)]
    if "lt_recall" in curves:
        made.append(precision_recall_plot(trackers))
    if any(tracker.fps for tracker in trackers):
        made.append(speed_plot(trackers))
    return made


def success_plot(trackers: list[TrackerScores]) -> str:
    """Fraction of frames by overlap threshold; the legend has the area under each curve."""

    def thresholds(curve):
        is_got10k = len(curve) == len(got10k.THRESHOLDS)
        return got10k.THRESHOLDS if is_got10k else SUCCESS_THRESHOLDS

    lines = _lines(trackers, "success", ("success_auc", "ao"), thresholds)
    return _plot("success", lines, x_label="overlap threshold", x_limits=(0, 1))


def precision_plot(
    trackers: list[TrackerScores], curve: str, key: str, thresholds: np.ndarray, unit: str
) -> str:
    """Fraction of frames by centre error; the legend has the value at the marked one."""
    reported = thresholds[PRECISION_REPORTED]
    return _plot(
        "precision" if unit == "pixels" else "normalised precision",
        _lines(trackers, curve, (key,), lambda _: thresholds),
        x_label=f"centre error threshold, {unit}",
        x_limits=(0, thresholds[-1]),
        decorate=lambda axes: axes.axvline(reported, color="#9aa5b1", linewidth=0.8),
    )


def eao_plot(trackers: list[TrackerScores], protocol: VotProtocol) -> str:
    """Expected overlap by sequence length; the range that EAO averages is shaded."""
    lines = _lines(trackers, "eao", ("eao",), lambda curve: np.arange(len(curve)))
    return _plot(
        "expected overlap",
        lines,
        x_label="sequence length, frames",
        x_limits=(1, protocol.eao_high * 1.25),
        decorate=lambda axes: axes.axvspan(
            protocol.eao_low, protocol.eao_high, color="#eef2f6", zorder=0
        ),
    )


def accuracy_robustness_plot(trackers: list[TrackerScores], protocol: VotProtocol) -> str:
    """Accuracy over reliability; the best is at the upper right."""
    points = [
        (
            index,
            tracker.name,
            reliability(tracker.overall["lost_number"], tracker.frames, protocol.sensitivity),
            tracker.overall["accuracy"],
        )
        for index, tracker in enumerate(trackers)
        if "accuracy" in tracker.overall
    ]
    label = f"reliability, runs that survive {protocol.sensitivity:.0f} frames"
    return _plot("accuracy", points, x_label=label, x_limits=(0, 1), name="robustness")


def precision_recall_plot(trackers: list[TrackerScores]) -> str:
    """Long-term precision over recall; the legend has the best F-score."""
    lines = [
        (i, _legend(t, ("lt_f_score",)), t.curves["lt_recall"], t.curves["lt_precision"])
        for i, t in enumerate(trackers)
        if "lt_recall" in t.curves
    ]
    return _plot("precision", lines, x_label="recall", x_limits=(0, 1), name="long-term")


def speed_plot(trackers: list[TrackerScores]) -> str:
    """The leading score over speed, for the trackers with recorded times."""
    leading = leading_key(trackers)
    points = [
        (index, t.name, t.fps, t.overall[leading])
        for index, t in enumerate(trackers)
        if t.fps and leading in t.overall
    ]
    return _plot(
        HEADINGS.get(leading, "score"),
        points,
        x_label="speed, frames per second",
        decorate=_speeds,
        name="speed",
    )


def _speeds(axes) -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 times powers of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def leading_key(trackers: list[TrackerScores]) -> str:
    """The key that trackers are ranked by; empty if none has a score."""
    keys = {key for tracker in trackers for key in tracker.overall}
    return next((key for key in HEADINGS if key in keys), "")


def _lines(trackers, curve: str, keys, x_of: Callable):
    return [
        (index, _legend(t, keys), x_of(t.curves[curve]), t.curves[curve])
        for index, t in enumerate(trackers)
        if curve in t.curves
    ]


def _legend(tracker: TrackerScores, keys) -> str:
    value = next((tracker.overall[key] for key in keys if key in tracker.overall), None)
    return tracker.name if value is None else f"{tracker.name} [{value:.3f}]"


def _plain(label: str) -> str:
    """A label that Matplotlib neither parses as mathematics nor hides."""
    label = label if len(label) <= _LONGEST_LABEL else f"{label[:36]} … {label[-8:]}"
    return label.replace("$", r"\$").replace("_", " _", label.startswith("_"))


def _plot(y_label, series, *, x_label, x_limits=None, decorate=None, name="") -> str:
    """A plot of series (tracker index, label, x, y): lines for arrays, points for scalars."""

    def draw(axes) -> None:
        if decorate is not None:
            decorate(axes)
        for index, label, x, y in series:
            style = {"color": color_of(index), "label": _plain(label)}
            if np.ndim(y):
                line = LINES[index // len(COLORS) % len(LINES)]
                axes.plot(x, y, line, linewidth=2, **style)
            else:
                axes.plot([x], [y], MARKERS[index % len(MARKERS)], markersize=9, **style)
        axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.01))
        if x_limits is not None:
            axes.set_xlim(*x_limits)
        if series:
            axes.legend(frameon=False, fontsize=9)

    return draw_plot(draw, name or y_label)


def draw_plot(draw: Callable[[Axes], None], name: str) -> str:
    """The SVG element of what `draw` puts on axes; `name` is unique in a page."""
    # A Figure without pyplot: no global state and no display.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        axes.grid(color="#e4e7eb", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return _inline(out.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """The SVG element without prologue and namespaces, with ids unique in the page."""
    prefix = name.replace(" ", "-")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\1{prefix}-", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{name} plot"', 1)
