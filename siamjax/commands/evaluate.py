"""`siamjax eval`: runs a tracker over a benchmark, scores it and writes a report."""

from pathlib import Path
from typing import Literal

from siamjax.commands.ending import missing_code, named_as_options


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
    engine: Literal["jax", "onnxruntime", "openvino"] | None = None,
) -> int:
    """Runs a tracker over a benchmark and writes a report.

    The same command resumes an interrupted evaluation, and several processes that run the same
    command share the sequences. Exit code 3: sequences are missing from the scores, because
    they are unusable or the tracker rejected them.

    Args:
        benchmark: `otb` (any folder in OTB's layout), `otb0` (the same with 0-based
            coordinates), `otb50`, `cvpr13`, `vot2016` to `vot2019`, `vot2018-lt`, `uav123`,
            `uav20l`, `lasot`, `trackingnet`, `got10k`, `got10k-test`, `nfs`, `tcolor128`,
            `dtb70`; `synthetic`: the rendered test split
        data: the benchmark's own folder, or a json file of PySOT's toolkit beside its frames;
            `synthetic` is rendered there if missing
        out: the folder to write: index.html, summary.json, table.md, table.tex, and
            results/<tracker>/
        config: a configuration by name, a .py file, or the config.json of a run; by default
            the one that comes with the weights
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, the folder of an export, or a name that `siamjax models`
            lists; by default the tracker that ships
        sequences: use only these sequences; by default all
        controls: also evaluate the untrained network and a tracker that never moves
        experiment: `one-pass` runs VOT's benchmarks without restarts, regions as upright boxes
        slots: sequences tracked in parallel as one batch; 0 runs one at a time, to measure
            its speed
        real_time: drop the frames that arrive, at 20 frames/s, while the tracker is busy
        speed: frames/s to assume for --real-time; by default measured
        repetitions: runs of each sequence, for GOT-10k and VOT
        compare: folders of other trackers' results to include in the report
        allow_missing: exit with 0 even if sequences are missing from the scores
        engine: runs an exported folder; onnxruntime (the default) or openvino for ONNX
    """
    import siamjax
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.report.tables import as_text

    names = ("slots", "repetitions", "speed", "compare")
    with named_as_options(real_time="real-time", **{name: name for name in names}):
        report = siamjax.evaluate(
            (config, weights),
            benchmark,
            data=data,
            out=out,
            sequences=sequences,
            controls=controls,
            experiment=experiment,
            slots=slots,
            real_time=real_time,
            speed=speed,
            repetitions=repetitions,
            compare=compare,
            engine=engine,
        )
    print(as_text(report.trackers, report.problems))
    if report.archive is not None:
        print(f"for the server: {report.archive}")
    elif get_benchmark(benchmark).hidden_truth and not sequences:
        print("no archive for the server, which takes none that sequences are missing from")
    print(f"report: {report.page}")
    return missing_code(report.trackers, allow_missing)
