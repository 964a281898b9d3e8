"""`siamjax report`: plots a training run's metrics on one HTML page."""

from pathlib import Path
from typing import Annotated

import tyro

from siamjax.errors import InputError

_POINTS = 400  # of a curve at most: each is the mean over a window of logged steps


def report(workdir: Annotated[Path, tyro.conf.Positional], *, out: Path | None = None) -> None:
    """Draws the curves of a training run as one HTML page.

    Works during training, too.

    Args:
        workdir: the work directory of a training run
        out: the page to write; by default `report.html` in the work directory
    """

    from siamjax.config_files import config_to_dict, flatten, load_config
    from siamjax.evaluation.report.page import render_template
    from siamjax.files import write_whole
    from siamjax.training.writers import read_metrics

    lines = read_metrics(workdir / "metrics.jsonl")
    if not lines:
        raise InputError(
            f"{str(workdir)!r} holds no metrics.jsonl with metrics; give the work directory "
            "of a training that has taken `train.log_every` steps"
        )
    config = load_config(workdir / "config.json")
    page = render_template(
        Path(__file__).with_name("report.html.j2"),
        config=config,
        settings=flatten(config_to_dict(config)),
        facts=_facts(config, lines),
        plots=_plots(lines),
        validations=[line for line in lines if "validation/success_auc" in line],
    )
    out = out or workdir / "report.html"
    write_whole(out, page)
    print(f"report: {out}")


def _facts(config, lines: list[dict]) -> dict[str, str]:
    needed = {"loss", "pairs_per_second", "epoch", "data_wait"}
    training = [line for line in lines if needed <= line.keys()]
    facts = {"step": f"{lines[-1]['step']} of {config.train.steps}"}
    if training:
        last = training[-1]
        rates = sorted(line["pairs_per_second"] for line in training)
        facts |= {
            "epoch": f"{last['epoch']:.0f} of {config.train.epochs}",
            "loss": f"{last['loss']:.4f}",
            "pairs/s": f"{rates[len(rates) // 2]:.1f} (median)",
            "waiting for data": f"{last['data_wait']:.0%}",
        }
    validated = [line for line in lines if "validation/success_auc" in line]
    if validated:
        best = max(validated, key=lambda line: line["validation/success_auc"])
        facts["best success AUC"] = (
            f"{best['validation/success_auc']:.3f} at step {best['step']}; last "
            f"{validated[-1]['validation/success_auc']:.3f}"
        )
    return facts


def _plots(lines: list[dict]) -> list[str]:
    """The plots for which metrics were logged."""
    kinds = [
        (
            "loss",
            {"loss": "total", "cls_loss": "classification", "loc_loss": "location"},
            "log",
        ),
        ("learning rate", {"learning_rate": "learning rate"}, "log"),
        ("gradient norm", {"grad_norm": "before clipping"}, "log"),
        ("pairs/s", {"pairs_per_second": "pairs/s"}, "linear"),
        ("share of time", {"data_wait": "waiting for data"}, "share"),
        (
            "validation",
            {
                "validation/success_auc": "success AUC",
                "validation/precision_20px": "precision at 20 pixels",
                "validation/norm_precision": "normalised precision",
            },
            "share",
        ),
    ]
    plots = [_plot(lines, *kind) for kind in kinds]
    return [plot for plot in plots if plot]


def _plot(lines: list[dict], name: str, curves: dict[str, str], scale: str) -> str:
    from siamjax.evaluation.report.plots import color_of, draw_plot

    known = {key: label for key, label in curves.items() if any(key in line for line in lines)}
    if not known:
        return ""

    def draw(axes) -> None:
        for number, (key, label) in enumerate(known.items()):
            steps, values = _thinned(lines, key)
            marker = "o" if len(steps) < 50 else ""
            axes.plot(
                steps, values, color=color_of(number), label=label, marker=marker, markersize=4
            )
        axes.set(xlabel="step", ylabel=name)
        if scale == "share":
            axes.set_ylim(0, 1.01)
        elif scale == "log":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=9)

    return draw_plot(draw, name)


def _thinned(lines: list[dict], key: str):
    """Steps and values of one curve, averaged down to at most `_POINTS` points."""
    import numpy as np

    known = [(line["step"], line[key]) for line in lines if key in line]
    steps, values = np.array(known, float).T
    groups = np.array_split(np.arange(len(steps)), min(len(steps), _POINTS))
    return [steps[group[-1]] for group in groups], [values[group].mean() for group in groups]
