"""Which rooms of the evaluation may import which: no cycles, and metrics with NumPy alone."""

import sys

import pytest

from tests.test_architecture import PACKAGE, imports_of

ROOT = PACKAGE / "evaluation"
LOWER = {
    "metrics": set(),
    "problems": set(),
    "benchmarks": {"metrics", "problems"},
    "results": {"metrics", "problems", "benchmarks"},
    "scoring": {"metrics", "problems", "benchmarks", "results"},
    "search": {"metrics", "problems", "benchmarks"},
    "report": {"metrics", "problems", "benchmarks", "scoring"},
    "running": {"metrics", "problems", "benchmarks", "results", "scoring"},
}


def room_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("room", LOWER)
def test_rooms_import_only_lower_ones(room):
    files = [path for path in ROOT.rglob("*.py") if room_of(path) == room]
    assert files
    for path in files:
        for module in imports_of(path):
            if module.startswith("siamjax.evaluation."):
                assert module.split(".")[2] in LOWER[room] | {room}, f"{path} imports {module}"


def test_metrics_import_numpy_alone():
    allowed = {"numpy", *sys.stdlib_module_names}
    for path in (ROOT / "metrics").glob("*.py"):
        for module in imports_of(path):
            ours = ("siamjax.errors", "siamjax.geometry.boxes", "siamjax.evaluation.metrics")
            assert module.split(".")[0] in allowed or module.startswith(ours), (path, module)
