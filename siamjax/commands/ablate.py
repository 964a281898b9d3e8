"""`siamjax ablate`: trains and evaluates the runs of a study, and tabulates them."""

from pathlib import Path
from typing import Annotated

import tyro

from siamjax.studies.study import Size


def ablate(
    study: Annotated[Path, tyro.conf.Positional],
    *,
    workdir: Path,
    size: Size = "small",
    variants: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    gpus: tuple[str, ...] = (),
    jobs: int = 1,
    outcomes: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Trains and evaluates the variants of a study.

    The same command resumes an interrupted study.

    Writes table.md, table.tex, table.csv, plots and index.html.

    Args:
        study: a study by name, such as `shift`, or a file
        workdir: the folder for runs and tables
        size: `full` needs the paper's data; `small` renders its own; `real` needs what `make
            real` prepares
        variants: run only these variants; by default all
        seeds: run these seeds instead of the study's own
        gpus: train on these GPUs in parallel, one run on each (CUDA's numbers); by default
            one run at a time
        jobs: train this many runs in parallel on the CPU, each on its share of the cores,
            which is faster than one at a time
        outcomes: a folder, of a repository for example, that keeps a small file of each
            finished run; what it holds counts as done
        dry_run: list the runs and what they cost, without training
    """
    import dataclasses

    from siamjax.config import ConfigError, did_you_mean
    from siamjax.evaluation.report.tables import markdown_table
    from siamjax.locks import held
    from siamjax.studies.cost import as_plan
    from siamjax.studies.report import write_report
    from siamjax.studies.runs import (
        adopt,
        divide_machine,
        prepare_workdir,
        render_shared,
        run_all,
        runs_of,
    )
    from siamjax.studies.study import load_study
    from siamjax.studies.table import as_lines, rows_of

    chosen = load_study(study, size)
    if seeds:
        chosen = dataclasses.replace(chosen, seeds=seeds)
    known = [variant.name for variant in chosen.variants]
    for name in variants:
        if name not in known:
            raise ConfigError(
                f"`variants` (={name!r}): study {chosen.name!r} has {known}"
                f"{did_you_mean(name, known)}"
            )
    places = divide_machine(gpus, jobs)
    workdir = workdir.resolve()
    runs = runs_of(chosen, workdir)
    wanted = [run for run in runs if not variants or run.variant in variants]
    if dry_run:
        print(as_plan(chosen, wanted))
        return
    with held(workdir, "--workdir"):
        prepare_workdir(chosen, workdir)
        if outcomes is not None:
            print(f"{adopt(chosen, runs, outcomes)} finished runs taken from {outcomes}")
        if pending := [run for run in wanted if not run.is_done(chosen)]:
            render_shared(chosen, pending, workdir / "data")
        try:
            run_all(chosen, wanted, workdir, places, outcomes)
        finally:
            page = write_report(chosen, runs, workdir)
            print(markdown_table(as_lines(rows_of(chosen, runs))))
            print(f"report: {page}")
