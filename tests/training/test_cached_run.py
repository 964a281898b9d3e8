"""Training with programs from the compilation cache: the same numbers, bit by bit."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def trained(workdir, cache, devices):
    """(hits, misses, digest of the state) of a run in a process of its own."""
    tests_own = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(tests_own)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.cached_run", str(workdir), str(devices)],
        capture_output=True,
        text=True,
        env=kept | {"SIAMJAX_CACHE": str(cache), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    _, hits, misses, digest = line.split()
    return int(hits), int(misses), digest


@pytest.mark.parametrize("devices", [pytest.param(1, marks=pytest.mark.nightly), 2])
def test_a_warm_run_ends_as_the_cold_one(tmp_path, devices):
    cache = tmp_path / "cache"
    without = trained(tmp_path / "without", "off", devices)
    cold = trained(tmp_path / "cold", cache, devices)
    warm = trained(tmp_path / "warm", cache, devices)
    assert without[0] == 0 and cold[1] > 0
    assert warm[0] >= cold[1] and warm[1] == 0
    assert warm[2] == cold[2] == without[2]
