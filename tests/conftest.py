"""Strict settings for every test, and where the shared data lies when it is there."""

import functools
import gc
import os
import signal
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["SIAMJAX_CACHE"] = "off"  # of the user's own, which tests must not fill
# Most programs of tests run a few times, and optimising them would take most of the time. What
# is measured against goldens runs as users compile it too: `XLA_FLAGS=` does, see the Makefile.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import numpy as np
import pytest
from absl import flags

from siamjax import compile_cache
from siamjax.allocator import keep_freed_memory
from tests.references import compared

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")

keep_freed_memory()
gc.set_threshold(100_000, 50, 100)  # traces are many objects, and little of them is garbage

# grain's worker processes read absl flags, which pytest never parses.
flags.FLAGS.mark_as_parsed()

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
COMPILED = ROOT / ".jax_cache"
DAMAGED = "Error reading persistent compilation cache entry"  # how JAX's warning begins


def pytest_configure(config):
    """Shares compiled programs among tests, the processes they start, and later runs.

    Another process may be writing the entry that one reads, or may have been killed at it: that
    costs the time of a compilation, and JAX's warning fails no test.
    """
    folder = COMPILED / compile_cache._kind()
    if not hasattr(config, "workerinput"):  # before any worker process
        folder.mkdir(parents=True, exist_ok=True)
        compile_cache._tidy(COMPILED)
        compile_cache._drop_damaged(folder)
    config.addinivalue_line("filterwarnings", f"ignore:{DAMAGED}")
    os.environ["PYTHONWARNINGS"] = f"ignore:{DAMAGED}"
    if not compile_cache._are_taken_back(folder):
        return
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.05,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


# Packages that must not be missing, as CI names them: "torch,got10k,vot"
REQUIRED = [name for name in os.environ.get("SIAMJAX_TESTS_REQUIRE", "").split(",") if name]


def pytest_sessionfinish(session):
    """Fails where a test was skipped for want of a package in `REQUIRED`."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker process: the main one has all reports
        return
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr)
        if any(f"could not import '{name}" in reason for name in REQUIRED):
            reporter.write_line(f"a required package is missing: {report.nodeid}: {reason}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="module", autouse=True)
def _no_search_for_old_garbage():
    """What earlier modules compiled stays; looking through it took a third of the time."""
    yield
    gc.freeze()


@pytest.fixture
def heeds_sigint():
    """Tests that run in a shell's background ignore SIGINT, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    """A seeded NumPy generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def goldens() -> Path:
    """The committed golden arrays, see `tests/goldens/README.md`."""
    return ROOT / "tests" / "goldens"


@pytest.fixture
def golden_name(request) -> str:
    """The name of this test's golden, see `tests/references.py`."""
    return request.node.nodeid.removeprefix("tests/")


@pytest.fixture
def against(golden_name):
    """`against(origin, ours, compute)`: the pairs of `tests.references.compared`."""
    return functools.partial(compared, golden_name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not here")
    return SHARED
