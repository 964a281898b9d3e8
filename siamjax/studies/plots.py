"""A study's plots: curves with their spread over seeds, and heat maps, as PNG bytes."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from siamjax.evaluation.report.plots import color_of
from siamjax.studies.cost import training_lines
from siamjax.studies.runs import Run

Curve = tuple[str, np.ndarray, np.ndarray]  # name, x [n], y [seeds, n]


def loss_curves(runs: Sequence[Run]) -> list[Curve]:
    """Training loss over steps, by variant, at the steps that all its seeds have."""
    curves = []
    for variant in dict.fromkeys(run.variant for run in runs):
        by_step = [_losses(run) for run in runs if run.variant == variant]
        by_step = [each for each in by_step if each]
        steps = sorted(set.intersection(*map(set, by_step))) if by_step else []
        if steps:
            losses = np.array([[each[step] for step in steps] for each in by_step])
            curves.append((variant, np.array(steps), _smooth(losses)))
    return curves


def _losses(run: Run) -> dict[float, float]:
    curve = (run.outcome or {}).get("curve")
    if curve is not None:
        return dict(zip(curve["step"], curve["loss"], strict=True))
    return {line["step"]: line["loss"] for line in training_lines(run.folder / "run")}


def draw_curves(curves: list[Curve], *, x_label: str, y_label: str) -> bytes:
    """One line per curve, with a band of one standard deviation over seeds."""
    figure = Figure(figsize=(8.2, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, (name, x, y) in enumerate(curves):
        style = ("-", "--", ":")[index // 7 % 3]
        mean, deviation = y.mean(0), y.std(0, ddof=1) if len(y) > 1 else np.zeros(y.shape[1])
        axes.plot(x, mean, style, color=color_of(index), label=name, linewidth=1.8)
        axes.fill_between(
            x,
            mean - deviation,
            mean + deviation,
            color=color_of(index),
            alpha=0.15,
            linewidth=0,
        )
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return _png(figure)


def draw_maps(maps: dict[str, np.ndarray], *, label: str) -> bytes:
    """Square maps side by side on one colour scale, `{title: [h, w]}`."""
    columns = min(len(maps), 5)
    lines = -(-len(maps) // columns)
    figure = Figure(figsize=(2.3 * columns + 0.6, 2.5 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False)
    highest = max(float(np.max(each)) for each in maps.values())
    for axes in grid.flat:
        axes.axis("off")
    for axes, (title, values) in zip(grid.flat, maps.items(), strict=False):
        axes.imshow(values, cmap="magma", vmin=0, vmax=highest)
        axes.set_title(title, fontsize=9)
    figure.colorbar(grid[0, 0].images[0], ax=grid, shrink=0.8, label=label)
    return _png(figure)


def response_maps(probes: dict[str, list[dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Each variant's mean response over pairs and seeds, `[h, w]`."""
    return {
        variant: np.mean([np.array(each["response"]["heat"]) for each in found], 0)
        for variant, found in probes.items()
    }


def error_curves(probes: dict[str, list[dict[str, Any]]]) -> list[Curve]:
    """Localisation error over the target's offset, by variant and for a constant peak."""
    curves = []
    for variant, found in probes.items():
        errors = np.array([each["response"]["errors"] for each in found], float)
        curves.append((variant, np.array(found[0]["response"]["offsets"]), errors))
    if curves:
        any_of = next(iter(probes.values()))[0]["response"]
        still = np.array([any_of["errors_at_center"]], float)
        curves.append(("always the centre", np.array(any_of["offsets"]), still))
    return curves


def equivariance_maps(probes: dict[str, list[dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Each variant's relative equivariance error by position, one map a level."""
    return {
        f"{variant}, {level}": np.mean(
            [np.array(each["equivariance"][level]) for each in found], 0
        )
        for variant, found in probes.items()
        for level in found[0]["equivariance"]
    }


def _smooth(values: np.ndarray, share: int = 20) -> np.ndarray:
    """A moving average over a twentieth of the curve, shorter at its ends."""
    width = max(1, values.shape[1] // share)
    kernel = np.ones(width)
    weight = np.convolve(np.ones(values.shape[1]), kernel, "same")
    return np.stack([np.convolve(line, kernel, "same") / weight for line in values])


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
