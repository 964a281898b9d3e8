"""A study's cells on disk: one variant with one seed each, in a process of its own.

<workdir>/study.json                     what is studied, so that another is refused
<workdir>/data/                          rendered sets and benchmarks, shared by all cells
<workdir>/cells/<variant>/seed<n>/       cell.json, log.txt, run/, <benchmark>/, probes
<workdir>/cells/<variant>/seed<n>/outcome.json   written last: the cell is done
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from siamjax.config import Config, ConfigError
from siamjax.config_files import changed, config_to_dict
from siamjax.errors import SiamjaxError
from siamjax.files import file_name, write_whole
from siamjax.studies.places import Place
from siamjax.studies.study import Study
from siamjax.text import read_object

OUTCOME = {"benchmarks": dict, "probes": dict}  # and numbers:
OUTCOME |= dict.fromkeys(("parameters", "flops", "frame_ms", "training_seconds"), int | float)
CELL_FILE, OUTCOME_FILE, LOG_FILE = "cell.json", "outcome.json", "log.txt"


class StudyError(SiamjaxError, RuntimeError):
    """Cells of a study failed; the message names them and their logs."""


class Cell(NamedTuple):
    """One training and what follows it."""

    variant: str
    seed: int
    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.variant}, seed {self.seed}"

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What came out, or None while nothing has."""
        file = self.folder / OUTCOME_FILE
        return read_object(file, **OUTCOME) if file.is_file() else None

    def is_done(self, study: Study) -> bool:
        """Whether all came out that the study wants; benchmarks may be added to it later."""
        outcome = self.outcome
        return outcome is not None and (
            {benchmark.name for benchmark in study.benchmarks} <= outcome["benchmarks"].keys()
            and set(study.probes) <= outcome["probes"].keys()
        )


def cells_of(study: Study, workdir: Path) -> list[Cell]:
    """All cells, seed by seed, so that a table of all variants is there early."""
    return [
        Cell(
            variant.name,
            seed,
            workdir / "cells" / file_name(variant.name) / f"seed{seed}",
            changed(variant.config, {"name": variant.name, "train.seed": seed}),
        )
        for seed in study.seeds
        for variant in study.variants
    ]


def prepare_workdir(study: Study, workdir: Path) -> None:
    """Makes the folder this study's.

    Raises `ConfigError`, naming what differs, when it is another study's. More seeds,
    variants, benchmarks or probes may be added to one that is under way.
    """
    described = {
        "name": study.name,
        "variants": {v.name: config_to_dict(v.config) for v in study.variants},
        "probe_shift": study.probe_shift,
    }
    file = workdir / "study.json"
    if file.is_file():
        before = read_object(file, name=str, variants=dict, probe_shift=int | float)
        if before["name"] != study.name:
            raise ConfigError(
                f"{workdir} belongs to study {before['name']!r}, not {study.name!r}; choose "
                "another `--workdir`"
            )
        for name, config in described["variants"].items():
            if before["variants"].get(name, config) != config:
                raise ConfigError(
                    f"variant {name!r} of study {study.name!r} is not what it was when "
                    f"{workdir} was begun; choose another `--workdir`"
                )
        if before["probe_shift"] != study.probe_shift:
            raise ConfigError(
                f"`probe_shift` (={study.probe_shift}) of study {study.name!r} was "
                f"{before['probe_shift']} when {workdir} was begun; choose another `--workdir`"
            )
        described["variants"] = {**before["variants"], **described["variants"]}
    workdir.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(described, indent=1) + "\n")


def probe_config(study: Study, cell: Cell) -> Config | None:
    """The cell's configuration over the pairs that it is probed with, or None."""
    return study.probe_source and changed(cell.config, {"data.sources": (study.probe_source,)})


def run_cells(
    study: Study, cells: Sequence[Cell], workdir: Path, places: Sequence[Place]
) -> None:
    """Runs what is not done, one cell at a time in each of `places`.

    A cell that fails does not keep the others from running. Raises `StudyError` at the end
    if any did. Ctrl-C and SIGTERM stop the running cells, which save where they are.
    """
    pending = [cell for cell in cells if not cell.is_done(study)]
    free = list(places)
    running: dict[subprocess.Popen, None] = {}
    failed: list[Cell] = []
    bar = tqdm(
        total=len(cells),
        initial=len(cells) - len(pending),
        unit="cell",
        dynamic_ncols=True,
        bar_format="{desc}: {n_fmt}/{total_fmt} cells {bar} {elapsed}, {remaining} left",
    )

    def run(cell: Cell, place: Place) -> int:
        process = _start(study, cell, workdir, place)
        running[process] = None
        try:
            return process.wait()
        finally:
            running.pop(process, None)

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.perf_counter()
    pool = ThreadPoolExecutor(len(places))
    try:
        waiting, busy = list(pending), dict[Future, tuple[Cell, Place]]()
        while waiting or busy:
            while waiting and free:
                cell, place = waiting.pop(0), free.pop(0)
                bar.set_description_str(cell.name)
                busy[pool.submit(run, cell, place)] = cell, place
            done, _ = wait(busy, return_when=FIRST_COMPLETED)
            for future in done:
                cell, place = busy.pop(future)
                free.append(place)
                bar.update()
                if future.result() != 0:
                    failed.append(cell)
                    bar.write(f"{cell.name} failed: {_last_line(cell)}", file=sys.stderr)
    except KeyboardInterrupt:
        for process in list(running):
            process.send_signal(signal.SIGINT)
        pool.shutdown(wait=True)
        raise
    finally:
        pool.shutdown(wait=False)
        bar.close()
        signal.signal(signal.SIGTERM, before)
    if pending:
        print(f"{len(pending)} cells in {(time.perf_counter() - began) / 60:.1f} minutes")
    if failed:
        lines = "\n".join(
            f"  {cell.name}: {_last_line(cell)} ({cell.folder / LOG_FILE})" for cell in failed
        )
        raise StudyError(
            f"{len(failed)} of {len(cells)} cells failed; the same command tries them again\n"
            f"{lines}"
        )


def _start(study: Study, cell: Cell, workdir: Path, place: Place) -> subprocess.Popen:
    cell.folder.mkdir(parents=True, exist_ok=True)
    probed = probe_config(study, cell)
    content = {
        "config": config_to_dict(cell.config),
        "data": str(workdir / "data"),
        "benchmarks": [
            {"name": b.name, "data": b.data or str(workdir / "data" / file_name(b.name))}
            for b in study.benchmarks
        ],
        "probes": list(study.probes),
        "probe_config": probed and config_to_dict(probed),
        "probe_shift": study.probe_shift,
    }
    write_whole(cell.folder / CELL_FILE, json.dumps(content, indent=1) + "\n")
    environment = dict(os.environ)
    if place.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = place.gpu
    # Seeds of one variant compile once.
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(workdir / "data" / "compiled"))
    with (cell.folder / LOG_FILE).open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "siamjax.studies.run", str(cell.folder)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches it through us, once.
            start_new_session=True,
        )
    if place.cores:
        # Long before its threads are made, which are counted by the cores that it has.
        os.sched_setaffinity(process.pid, place.cores)
    return process


def _last_line(cell: Cell) -> str:
    lines = (cell.folder / LOG_FILE).read_text(errors="replace").splitlines()
    return lines[-1] if lines else "no output"
