"""`siamjax reproduce`: what published weights give here, beside what was published."""

import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tyro

from siamjax.commands.ending import MISSING
from siamjax.errors import InputError


def reproduce(
    weights: Annotated[Path, tyro.conf.Positional],
    benchmark: str,
    data: Path,
    out: Path | None = None,
    config: str | None = None,
    slots: int = 8,
    allow_missing: bool = False,
) -> int:
    """Evaluates published weights beside published scores.

    The file is converted in memory and tracks with the published settings of its network. If
    --out holds part of the evaluation, only the rest is run. Scores over fewer sequences than
    the published ones are not judged, and the exit code is 3.

    Args:
        weights: the file as it was published, such as siamrpn_r50_l234_dwxcorr.pth
        benchmark: vot2016, vot2018, vot2019, vot2018-lt, otb or uav123, as far as a score is
            published
        data: the folder of its sequences
        out: the folder for results and report; by default runs/reproduce/CONFIG/BENCHMARK
        config: the configuration, where several fit the network
        slots: sequences that are tracked at once
        allow_missing: exit with 0 where sequences are missing
    """
    import siamjax
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.report.tables import as_text
    from siamjax.weights.detect import detect
    from siamjax.weights.state_dict import read_state_dict

    detected = detect(read_state_dict(weights))
    place = get_benchmark(benchmark).name
    table = json.loads(
        resources.files("siamjax.commands").joinpath("published.json").read_text()
    )
    name = _find(table, [config] if config else detected.configs, place, str(detected))
    folder = out or Path("runs/reproduce") / name / place
    report = siamjax.evaluate((name, weights), benchmark, data=data, out=folder, slots=slots)
    scored, whole = len(report.sequences), table["sequences"][place]
    print(as_text(report.trackers, report.problems))
    print(f"\n{scored} of {whole} sequences; published: {table[name]['source']}")
    tolerance = table["tolerance"] if scored == whole else {}
    print(compared(table[name][place], report.overall, tolerance))
    if scored != whole:
        print(
            "scores over other sequences than the published ones cannot be compared with them"
        )
    print(f"report: {report.page}")
    return MISSING if scored != whole and not allow_missing else 0


def _find(table: Mapping[str, Any], configs: list[str], benchmark: str, network: str) -> str:
    """The first of the configurations for which a score on the benchmark is published."""
    places = {name: scores for name, scores in table.items() if "source" in scores}
    for name in configs:
        if benchmark in places.get(name, {}):
            return name
    known = [
        f"{name} on {place}"
        for name, scores in places.items()
        if name in configs
        for place in scores
        if place != "source"
    ]
    raise InputError(
        f"no score of {network} is published for `--benchmark` (={benchmark!r}); there are "
        f"{', '.join(known) or f'none of {configs}'}"
    )


def compared(
    published: Mapping[str, float],
    measured: Mapping[str, float],
    tolerance: Mapping[str, tuple[float, str]],
) -> str:
    """A Markdown table of both, with the differences that PySOT's users report, and of what."""
    from siamjax.evaluation.report.tables import HEADINGS

    rows = [
        "| score | published | measured | difference | users report | |",
        "| --- " * 6 + "|",
    ]
    notes = []
    for key, expected in published.items():
        found, usual = measured.get(key, math.nan), ("", "")
        if key in tolerance:
            largest, note = tolerance[key]
            # Published scores have three decimals.
            verdict = "within" if round(abs(found - expected), 3) <= largest else "beyond"
            usual = (f"{largest:.3f}", verdict)
            notes.append(f"{HEADINGS[key]}: {note}")
        cells = (HEADINGS[key], f"{expected:.3f}", f"{found:.3f}", f"{found - expected:+.3f}")
        rows.append(f"| {' | '.join((*cells, *usual))} |")
    return "\n".join([*rows, *notes])
