"""Archives that the servers of GOT-10k and TrackingNet take."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from siamjax.errors import InputError
from siamjax.evaluation.boxfiles import BoxFileError, read_boxes
from siamjax.evaluation.protocols import Benchmark
from siamjax.evaluation.results import find_results
from siamjax.evaluation.truths import AnyTruth
from siamjax.files import file_name, replacing

# Which benchmarks have a server that takes archives. Source: the submission pages.
_SERVED = ("got10k", "trackingnet")


class PackError(InputError):
    """Results are not complete, or no server takes them; the message says what is wrong."""


def pack(folder: Path, truths: Iterable[AnyTruth], benchmark: Benchmark, out: Path) -> Path:
    """Writes one tracker's results as `out`, a .zip file, whole or not at all.

    GOT-10k: `<name>/<name>_001.txt` and so on, and `<name>/<name>_time.txt`. TrackingNet:
    `<name>.txt`. Raises `PackError` naming the first sequences that are missing or have
    another number of boxes than frames.
    """
    if benchmark.layout not in _SERVED:
        raise PackError(
            f"no server takes archives of {benchmark.name}; those of GOT-10k and TrackingNet do"
        )
    truths = list(truths)
    files = find_results(folder, [truth.name for truth in truths])
    wrong = list(filter(None, (_check(truth, files.get(truth.name, [])) for truth in truths)))
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise PackError(
            f"{len(wrong)} of {len(truths)} sequences are not ready: "
            f"{'; '.join(wrong[:3])}{more}"
        )
    out = Path(out)
    with replacing(out) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, runs in files.items():
                if benchmark.layout == "trackingnet":
                    archive.write(runs[0], f"{file_name(name)}.txt")
                else:
                    _add_runs(archive, file_name(name), runs)
    return out


def _check(truth: AnyTruth, runs: list[Path]) -> str:
    if not runs:
        return f"{truth.name}: no result file"
    for file in runs:
        try:
            boxes = len(read_boxes(file))
        except BoxFileError as error:
            return f"{truth.name}: {error}"
        if boxes != len(truth):
            return f"{truth.name}: {boxes} boxes for {len(truth)} frames"
    return ""


def _add_runs(archive: zipfile.ZipFile, name: str, runs: list[Path]) -> None:
    for number, file in enumerate(runs, start=1):
        archive.write(file, f"{name}/{name}_{number:03d}.txt")
    beside = runs[0].parent
    for times in (beside / f"{name}_time.txt", beside / "times" / f"{name}_time.txt"):
        if times.is_file():
            archive.write(times, f"{name}/{name}_time.txt")
            return
