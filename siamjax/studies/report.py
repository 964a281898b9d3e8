"""A study's report: `table.md`, `table.tex`, `table.csv`, plots, and `index.html`."""

import base64
from pathlib import Path

from siamjax.evaluation.report.page import render_template
from siamjax.evaluation.report.tables import markdown_table
from siamjax.files import write_whole
from siamjax.studies import plots
from siamjax.studies.runs import Run, probes_of
from siamjax.studies.study import Study
from siamjax.studies.table import (
    as_csv,
    as_latex,
    as_lines,
    claim_lines,
    probe_tables,
    rows_of,
)


def write_report(study: Study, runs: list[Run], workdir: Path) -> Path:
    """Writes the report of the runs done so far; returns the path of its `index.html`."""
    rows = rows_of(study, runs)
    probed = probe_tables(runs)
    if study.claims:
        probed = {"Claims": claim_lines(study, runs), **probed}
    images = _images(runs)
    for name, content in images.items():
        write_whole(workdir / f"{name}.png", content)
    markdown = "\n".join(map(markdown_table, [as_lines(rows), *probed.values()]))
    write_whole(workdir / "table.md", markdown)
    write_whole(workdir / "table.tex", as_latex(rows))
    write_whole(workdir / "table.csv", as_csv(study, runs))
    heading, *body = as_lines(rows)
    page = render_template(
        Path(__file__).with_name("report.html.j2"),
        study=study,
        heading=heading,
        body=body,
        probed=probed,
        done=sum(row.done for row in rows),
        planned=sum(row.planned for row in rows),
        images={name: base64.b64encode(image).decode() for name, image in images.items()},
    )
    write_whole(workdir / "index.html", page)
    return workdir / "index.html"


def _images(runs: list[Run]) -> dict[str, bytes]:
    made = {}
    losses = plots.loss_curves(runs)
    if losses:
        made["loss"] = plots.draw_curves(losses, x_label="step", y_label="training loss")
    responses = probes_of(runs, "response")
    if responses:
        made["response"] = plots.draw_maps(
            plots.response_maps(responses), label="mean response"
        )
        made["localisation"] = plots.draw_curves(
            plots.error_curves(responses),
            x_label="target's offset from the centre, pixels",
            y_label="localisation error, pixels",
        )
    positions = probes_of(runs, "equivariance")
    if positions:
        made["equivariance"] = plots.draw_maps(
            plots.equivariance_maps(positions), label="equivariance error, relative"
        )
    return made
