"""Archives for the servers of GOT-10k and TrackingNet."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.protocols import Benchmark
from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.evaluation.benchmarks.truths import AnyTruth
from siamjax.evaluation.results.files import find_results, read_times, refuse_two_layouts
from siamjax.files import file_name, replacing

# Layouts of the benchmarks with a server. Source: the submission pages.
_SERVED = ("got10k", "trackingnet")


class PackError(InputError):
    """Results are incomplete, or there is no server for them; the message says which."""


def pack(folder: Path, truths: Iterable[AnyTruth], benchmark: Benchmark, out: Path) -> Path:
    """Writes one tracker's results to `out`, a .zip file, atomically.

    GOT-10k: `<name>/<name>_001.txt` and so on, and `<name>/<name>_time.txt`. TrackingNet:
    `<name>.txt`. Numbers are separated by commas, and NaN times, of frames that were not
    tracked, become 0, which the server ignores. Raises `PackError` naming the first sequences
    whose results are missing, not one box per frame, or not finite.
    """
    if benchmark.layout not in _SERVED:
        raise PackError(
            f"there is no server for {benchmark.name}; only for GOT-10k and TrackingNet"
        )
    out = Path(out)
    if out.suffix.lower() != ".zip":
        raise PackError(f"`--out` (={str(out)!r}) must end in .zip")
    truths = list(truths)
    files = find_results(folder, [truth.name for truth in truths])
    members, wrong = {}, []
    for truth in truths:
        try:
            members |= _members(truth, files.get(truth.name, []), benchmark.layout)
        except InputError as error:
            wrong.append(f"{truth.name}: {error}")
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise PackError(
            f"{len(wrong)} of {len(truths)} sequences are not ready: "
            f"{'; '.join(wrong[:3])}{more}"
        )
    with replacing(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return out


def _members(truth: AnyTruth, runs: list[Path], layout: str) -> dict[str, str]:
    """The files of one sequence in the archive, by name; raises `InputError`."""
    if not runs:
        raise PackError("no result file")
    refuse_two_layouts(runs)
    name = file_name(truth.name)
    if len(runs) > 1:  # <name>_001.txt and so on
        numbers = [int(file.stem[-3:]) for file in runs]
        if numbers != list(range(1, len(runs) + 1)):
            raise PackError(f"expected repetitions 1 to {len(runs)}, found {numbers}")
    boxes = [_server_form(_checked(read_boxes(file), file, truth)) for file in runs]
    if layout == "trackingnet":
        if len(runs) > 1:
            raise PackError(f"the server takes one result file, found {len(runs)}")
        return {f"{name}.txt": boxes[0]}
    members = {f"{name}/{name}_{n:03d}.txt": text for n, text in enumerate(boxes, start=1)}
    times = read_times(_times_of(runs[0]))
    if len(times):
        if len(times) != len(truth):
            raise PackError(f"expected {len(truth)} times, one per frame, read {len(times)}")
        members[f"{name}/{name}_time.txt"] = _server_form(np.nan_to_num(times))
    return members


def _times_of(run: Path) -> Path:
    """The file of the times that belong to a result file; it may be missing."""
    called = re.sub(r"_\d{3}$", "", run.stem)
    beside = run.with_name(f"{called}_time.txt")
    return beside if beside.is_file() else run.parent / "times" / f"{run.stem}_time.txt"


def _checked(boxes: np.ndarray, file: Path, truth: AnyTruth) -> np.ndarray:
    if len(boxes) != len(truth):
        raise PackError(
            f"{str(file)!r}: expected {len(truth)} boxes, one per frame, read {len(boxes)}"
        )
    if not np.isfinite(boxes).all():
        line = int((~np.isfinite(boxes)).any(axis=1).argmax())
        shown = ", ".join(f"{value:g}" for value in boxes[line])
        raise PackError(
            f"{str(file)!r} line {line + 1}: the box ({shown}) is not finite, which the "
            "server does not accept"
        )
    return boxes


def _server_form(rows: np.ndarray) -> str:
    """Comma-separated numbers with at least four decimals, without loss of precision."""
    return "".join(
        ",".join(np.format_float_positional(value, min_digits=4) for value in row) + "\n"
        for row in rows
    )
