"""What `eval.py` does: tracks a benchmark, scores, reports."""

from pathlib import Path
from typing import Literal

from siamjax.commands.ending import missing_code
from siamjax.errors import InputError, require_between


def evaluate(
    *,
    benchmark: str,
    data: Path,
    out: Path,
    config: Path | None = None,
    weights: Path | None = None,
    sequences: tuple[str, ...] = (),
    controls: bool = False,
    experiment: Literal["one-pass"] | None = None,
    slots: int = 8,
    real_time: bool = False,
    speed: float | None = None,
    repetitions: int = 1,
    compare: tuple[Path, ...] = (),
    allow_missing: bool = False,
) -> int:
    """Runs a tracker over a benchmark, scores it and writes a report.

    The same command resumes an interrupted evaluation, and several processes with the same
    command share the sequences. Exit code 3: sequences are missing from a score, because they
    are unusable or the tracker refused them.

    Args:
        benchmark: `otb` (any folder in OTB's layout), `otb0` (the same, its pixels counted from
            0), `otb50`, `cvpr13`, `vot2016` to `vot2019`, `vot2018-lt`, `uav123`, `uav20l`,
            `lasot`, `trackingnet`, `got10k`, `got10k-test`, `nfs`, `tcolor128`, `dtb70`;
            `synthetic`: the rendered test split
        data: the benchmark's own folder, or a json file of PySOT's toolkit beside its frames;
            `synthetic` is rendered into it when it is not there
        out: the folder to write: index.html, summary.json, table.md, table.tex, and
            results/<tracker>/
        config: a configuration file, .py or the config.json of a run; by default the one that
            the weights come with
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, or a name that `siamjax models` lists; by default the
            tracker that ships
        sequences: use only these sequences; by default all
        controls: also evaluate the untrained network and a tracker that never moves
        experiment: `one-pass` runs VOT's benchmarks without restarts, regions as upright boxes
        slots: sequences in one device call; 0 runs one at a time, to measure the speed of one
        real_time: drop frames that arrive, at 20 a second, while the tracker is busy
        speed: frames/s of the tracker for --real-time; by default measured
        repetitions: runs of each sequence, for GOT-10k and VOT
        compare: folders of other trackers' results to include in the report
        allow_missing: exit with 0 even if sequences are missing from a score
    """
    from siamjax.api import resolve
    from siamjax.data.synthetic import write_test_split
    from siamjax.evaluation.benchmarks.layouts import absent_members
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.benchmarks.sequences import load_sequences
    from siamjax.evaluation.report.page import write_report
    from siamjax.evaluation.report.tables import as_text
    from siamjax.evaluation.results.files import experiment_folder, find_trackers
    from siamjax.evaluation.results.packing import pack
    from siamjax.evaluation.running.runner import RealTime
    from siamjax.evaluation.running.runner import compare as run_all
    from siamjax.evaluation.scoring import score_tracker
    from siamjax.files import file_name, printable
    from siamjax.locks import held

    settings, weights = resolve(config, weights)
    conventions = get_benchmark(benchmark, experiment or "")
    require_between("--slots", slots, 0, 4096)
    require_between("--repetitions", repetitions, 1, 999)  # files are called _001 to _999
    if speed is not None:
        require_between("--speed", speed, 1e-3, 1e6)
        if not real_time:
            raise InputError(f"`--speed` (={speed}) is for --real-time; give both, or neither")
    if repetitions > 1 and conventions.experiment == "one-pass":
        raise InputError(
            f"`--repetitions` (={repetitions}): {conventions.name} has one run of each sequence"
        )
    for folder in compare:
        if not folder.is_dir():
            raise InputError(f"`--compare` (={str(folder)!r}) is no folder of results")
    camera = RealTime(speed=speed) if real_time else None
    if real_time and speed is None:
        slots = 0  # the speed of one tracker cannot be measured while many run together
    if conventions.name == "synthetic" and not (data / "list.txt").is_file():
        write_test_split(data)
    loaded, problems = load_sequences(data, conventions, sequences)
    skipped = tuple(problems)
    if not sequences:
        names = [sequence.name for sequence in loaded] + [p.sequence for p in skipped]
        problems += absent_members(names, conventions)
    slots = min(slots, len(loaded))
    truths = [sequence.truth for sequence in loaded]
    entrants = _entrants(settings, weights, slots, controls)
    same = [conventions.name, [truth.name for truth in truths], real_time, speed]
    same += [experiment, repetitions]
    same += [[entrant.name, entrant.fingerprint] for entrant in entrants]
    with held(out, "--out", shared_as=same):
        results = out / "results"
        scores = run_all(
            entrants,
            loaded,
            conventions,
            results,
            real_time=camera,
            repetitions=repetitions,
            skipped=skipped,
        )
        inner = experiment_folder(conventions, real_time)
        for folder in compare:
            names = [truth.name for truth in truths]
            found, unusable = find_trackers(folder, conventions, names, experiment=inner)
            problems += unusable
            taken = {each.name for each in scores}
            for name, path in found.items():
                if name in taken:  # two runs of one configuration, say
                    name = f"{name} ({printable(str(folder))})"
                scores.append(score_tracker(name, path, truths, conventions, skipped=skipped))
        page = write_report(out, conventions, loaded, scores, problems, settings.name)
        print(as_text(scores, problems))
        if conventions.hidden_truth and skipped:
            print("no archive for the server, which takes none that sequences are missing from")
        elif conventions.hidden_truth and not sequences:
            own = file_name(settings.name)
            archive = pack(results / own / inner, truths, conventions, out / f"{own}.zip")
            print(f"for the server: {archive}")
        print(f"report: {page}")
    return missing_code(scores, allow_missing)


def _entrants(config, weights: Path, slots: int, controls: bool) -> list:
    import jax

    import siamjax
    from siamjax.evaluation.results.files import fingerprint
    from siamjax.evaluation.running.runner import Entrant, StaticTracker
    from siamjax.models.build import init_variables
    from siamjax.models.folding import fold_batch_norm
    from siamjax.tracking.batch import BatchTracker
    from siamjax.tracking.tracker import Tracker

    model = siamjax.load_model(config, weights)
    networks = {config.name: model.variables}
    if controls:
        untrained = jax.jit(lambda key: init_variables(model.network, key, config.model))
        networks[f"{config.name}-untrained"] = untrained(jax.random.key(config.train.seed))
    entrants = []
    for name, variables in networks.items():
        parts = (*fold_batch_norm(config.model, jax.device_get(variables)), config)
        tracker = BatchTracker(*parts, slots) if slots else Tracker(*parts)
        mark = fingerprint(config, variables, siamjax.__version__)
        entrants.append(Entrant(name, tracker, mark, slots))
    if controls:
        entrants.append(Entrant("never-moves", StaticTracker(), {"control": "never moves"}))
    return entrants
