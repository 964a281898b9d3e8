"""A study's runs on disk, each one variant with one seed in a process of its own.

<workdir>/study.json                     what is studied, so that another is refused
<workdir>/data/                          rendered sets and benchmarks, shared by all runs
<workdir>/cells/<variant>/seed<n>/       cell.json, log.txt, run/, <benchmark>/, probes
<workdir>/cells/<variant>/seed<n>/outcome.json   written last: the run is done
<outcomes>/<variant>_seed<n>.json        if asked for: a finished run and its configuration

On disk a run is called a cell, as in earlier versions.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from siamjax.config import Config, ConfigError, require
from siamjax.config_files import changed, config_from_dict, config_to_dict
from siamjax.data.formats.synthetic import prepare_synthetic
from siamjax.data.synthetic import write_test_split
from siamjax.errors import SiamjaxError
from siamjax.files import file_name, write_whole
from siamjax.studies.study import Study
from siamjax.text import read_object

COSTS = ("parameters", "flops", "frame_ms", "training_seconds")  # numbers
OUTCOME = {"benchmarks": dict, "probes": dict, **dict.fromkeys(COSTS, int | float)}
PLAN_FILE, OUTCOME_FILE, LOG_FILE = "cell.json", "outcome.json", "log.txt"


class StudyError(SiamjaxError, RuntimeError):
    """Runs of a study failed; the message names them and their logs."""


class Place(NamedTuple):
    """The part of the machine that one run may use; all of it by default."""

    gpu: str | None = None  # CUDA's number
    cores: tuple[int, ...] = ()


def divide_machine(gpus: Sequence[str], jobs: int) -> list[Place]:
    """A place for each of `gpus`, or `jobs` places that share the CPU cores evenly.

    Raises `ConfigError` for both at once, or for more jobs than cores.
    """
    require(
        not gpus or jobs == 1,
        f"`jobs` (={jobs}) divides the CPU cores and `gpus` (={tuple(gpus)}) runs one run on "
        "each GPU; give one of them",
    )
    if gpus:
        return [Place(gpu=gpu) for gpu in gpus]
    if jobs == 1:
        return [Place()]
    pinned = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if pinned else range(os.cpu_count() or 1)
    require(
        1 <= jobs <= len(cores),
        f"`jobs` (={jobs}) must be from 1 to the {len(cores)} cores of this machine",
    )
    share = len(cores) // jobs
    return [
        Place(cores=tuple(cores[i * share : (i + 1) * share]) if pinned else ())
        for i in range(jobs)
    ]


class Run(NamedTuple):
    """One variant with one seed: a training and what is measured after it."""

    variant: str
    seed: int
    folder: Path
    config: Config

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.variant}, seed {self.seed}"

    @property
    def kept_name(self) -> str:
        """Its file among kept outcomes."""
        return f"{file_name(self.variant)}_seed{self.seed}.json"

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The results, or None while the run is not done."""
        file = self.folder / OUTCOME_FILE
        return read_object(file, **OUTCOME) if file.is_file() else None

    def is_done(self, study: Study) -> bool:
        """Whether all results are there; a study may get more benchmarks and probes later."""
        outcome = self.outcome
        return outcome is not None and (
            {benchmark.name for benchmark in study.benchmarks} <= outcome["benchmarks"].keys()
            and set(study.probes) <= outcome["probes"].keys()
        )


def runs_of(study: Study, workdir: Path) -> list[Run]:
    """All runs, seed by seed, so that all variants are in the table early."""
    return [
        Run(
            variant.name,
            seed,
            workdir / "cells" / file_name(variant.name) / f"seed{seed}",
            changed(variant.config, {"name": variant.name, "train.seed": seed}),
        )
        for seed in study.seeds
        for variant in study.variants
    ]


def adopt(study: Study, runs: Sequence[Run], outcomes: Path) -> int:
    """Counts as done what `outcomes` holds of these runs; returns how many there were.

    Studies may share the folder, and so their common runs. Raises `ConfigError` where a run
    of that name had another configuration, and what `read_object` raises.
    """
    adopted = 0
    for run in runs:
        file = outcomes / run.kept_name
        if run.is_done(study) or not file.is_file():
            continue
        kept = read_object(file, config=dict, **OUTCOME)
        require(
            config_from_dict(kept.pop("config")) == run.config,
            f"{file} is of another configuration than {run.name} of study {study.name!r}; "
            "choose another `--outcomes`, or remove the file to run it again",
        )
        run.folder.mkdir(parents=True, exist_ok=True)
        write_whole(run.folder / OUTCOME_FILE, json.dumps(kept) + "\n")
        adopted += run.is_done(study)
    return adopted


def keep(run: Run, outcomes: Path) -> None:
    """Writes what `adopt` reads, if the run is done; raises `OSError` where it cannot."""
    if run.outcome is not None:
        outcomes.mkdir(parents=True, exist_ok=True)
        content = {"config": config_to_dict(run.config), **run.outcome}
        write_whole(outcomes / run.kept_name, json.dumps(content) + "\n")


def probes_of(runs: Sequence[Run], kind: str) -> dict[str, list[dict[str, Any]]]:
    """Probe results of this kind of the finished runs, by variant."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        outcome = run.outcome
        if outcome is not None and kind in outcome["probes"]:
            found.setdefault(run.variant, []).append(outcome["probes"])
    return found


def prepare_workdir(study: Study, workdir: Path) -> None:
    """Makes the folder and writes `study.json`.

    Raises `ConfigError`, naming what differs, when it belongs to another study. Seeds,
    variants, benchmarks and probes may be added later.
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


def probe_config(study: Study, run: Run) -> Config | None:
    """The run's configuration with the probed pairs as its data, or None."""
    if study.probe_source is None:
        return None
    return changed(run.config, {"data.sources": (study.probe_source,)})


def render_shared(study: Study, runs: Sequence[Run], data: Path) -> None:
    """Renders the sets that training, probes and benchmarks of the runs need into `data`.

    Once, since runs in parallel share them. What exists is kept. Raises `OSError` when the disk
    is full.
    """
    configs = [run.config for run in runs]
    probes = [probe_config(study, run) for run in runs]
    wanted = {
        (source.synthetic, config.data.crop_size, config.model.context_pixels): None
        for config in [*configs, *filter(None, probes)]
        for source in config.data.sources
        if source.synthetic is not None
    }
    for arguments in wanted:
        prepare_synthetic(*arguments, data)
    for benchmark in study.benchmarks:
        if benchmark.name == "synthetic" and not benchmark.data:
            write_test_split(data / file_name(benchmark.name))


def run_all(
    study: Study,
    runs: Sequence[Run],
    workdir: Path,
    places: Sequence[Place],
    outcomes: Path | None = None,
) -> None:
    """Executes the runs that are not done, one at a time in each of `places`.

    What is done is kept in `outcomes` at once, if given.

    A run that fails does not stop the others; `StudyError` is raised at the end. Ctrl-C and
    SIGTERM stop the runs under way, which save a checkpoint.
    """
    pending = [run for run in runs if not run.is_done(study)]
    free = list(places)
    running: dict[subprocess.Popen, None] = {}
    changing, stopping = threading.Lock(), threading.Event()
    failed: list[Run] = []
    bar = tqdm(
        total=len(runs),
        initial=len(runs) - len(pending),
        unit="run",
        dynamic_ncols=True,
        bar_format="{desc}: {n_fmt}/{total_fmt} runs {bar} {elapsed}, {remaining} left",
    )

    def execute(run: Run, place: Place) -> int:
        process = _start(study, run, workdir, place)
        with changing:
            running[process] = None
            if stopping.is_set():  # Ctrl-C came while the process was being started
                process.send_signal(signal.SIGINT)
        try:
            return process.wait()
        finally:
            with changing:
                del running[process]

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.perf_counter()
    pool = ThreadPoolExecutor(len(places))
    try:
        waiting, busy = list(pending), dict[Future, tuple[Run, Place]]()
        while waiting or busy:
            while waiting and free:
                run, place = waiting.pop(0), free.pop(0)
                bar.set_description_str(run.name)
                busy[pool.submit(execute, run, place)] = run, place
            done, _ = wait(busy, return_when=FIRST_COMPLETED)
            for future in done:
                run, place = busy.pop(future)
                free.append(place)
                bar.update()
                if future.result() == 0:
                    if outcomes is not None:
                        keep(run, outcomes)
                else:
                    failed.append(run)
                    bar.write(f"{run.name} failed: {_last_line(run)}", file=sys.stderr)
    except KeyboardInterrupt:
        with changing:
            stopping.set()
            for process in running:
                process.send_signal(signal.SIGINT)
        pool.shutdown(wait=True)
        raise
    finally:
        pool.shutdown(wait=False)
        bar.close()
        signal.signal(signal.SIGTERM, before)
    if pending:
        print(f"{len(pending)} runs in {(time.perf_counter() - began) / 60:.1f} minutes")
    if failed:
        lines = "\n".join(
            f"  {run.name}: {_last_line(run)} ({run.folder / LOG_FILE})" for run in failed
        )
        raise StudyError(
            f"{len(failed)} of {len(runs)} runs failed; the same command tries them again\n"
            f"{lines}"
        )


def _start(study: Study, run: Run, workdir: Path, place: Place) -> subprocess.Popen:
    run.folder.mkdir(parents=True, exist_ok=True)
    probed = probe_config(study, run)
    content = {
        "config": config_to_dict(run.config),
        "data": str(workdir / "data"),
        "benchmarks": [
            {"name": b.name, "data": b.data or str(workdir / "data" / file_name(b.name))}
            for b in study.benchmarks
        ],
        "probes": list(study.probes),
        "probe_config": probed and config_to_dict(probed),
        "probe_shift": study.probe_shift,
    }
    write_whole(run.folder / PLAN_FILE, json.dumps(content, indent=1) + "\n")
    environment = dict(os.environ)
    if place.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = place.gpu
    # Seeds of one variant share compiled programs.
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(workdir / "data" / "compiled"))
    with (run.folder / LOG_FILE).open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "siamjax.studies.run", str(run.folder)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches it through this process, once.
            start_new_session=True,
        )
    if place.cores:
        # Long before it counts its cores to start threads.
        os.sched_setaffinity(process.pid, place.cores)
    return process


def _last_line(run: Run) -> str:
    lines = (run.folder / LOG_FILE).read_text(errors="replace").splitlines()
    return lines[-1] if lines else "no output"
