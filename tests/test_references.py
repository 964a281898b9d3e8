"""How goldens are compared, and whether this run compares with the packages themselves too."""

import importlib
import warnings

import numpy as np
import pytest

from tests import references

TORCH = references.ORIGINS["torch"]


@pytest.fixture
def stored(monkeypatch):
    """The golden `name` is 0, 1, 2."""
    golden = np.arange(3, dtype=np.float32)
    monkeypatch.setattr(references, "_stored", lambda origin: {"name": golden})
    return golden


@pytest.mark.parametrize("package", references.PACKAGES)
def test_goldens_are_held_to_the_package_in_this_run(package):
    """Skipped, and so reported, where the goldens alone are compared with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(package)


def test_small_arrays_are_kept_as_they_are(rng):
    small = rng.standard_normal((4, 16)).astype(np.float32)
    np.testing.assert_array_equal(references.condense(small, TORCH), small, strict=True)


def test_large_arrays_become_sums_that_keep_norms_and_see_every_element(rng):
    large = rng.standard_normal((50, 60)).astype(np.float32)
    sums = references.condense(large, TORCH)
    assert sums.shape == (64,) and sums.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(sums), np.linalg.norm(large), rtol=0.3)
    for place in rng.integers(0, large.size, 20):
        moved = large.copy()
        moved.flat[place] += 1
        change = references.condense(moved, TORCH) - sums
        np.testing.assert_allclose(np.sort(abs(change))[-2:], [0, 1], atol=1e-5)


def test_a_golden_alone_and_beside_the_package(stored):
    def missing():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    for compute, count in ((missing, 1), (lambda: stored, 2)):
        pairs = references.compared("name", "torch", stored, compute)
        assert len(pairs) == count
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)


def test_a_golden_that_is_stale_or_missing_is_named(stored):
    with pytest.raises(AssertionError, match=r"run tests/goldens/make_references\.py"):
        references.compared("name", "torch", stored, lambda: stored + np.float32(1e-3))
    with pytest.raises(KeyError, match=r"no `another`: run tests/goldens/make_references\.py"):
        references.compared("another", "torch", stored, lambda: stored)


@pytest.mark.parametrize("module", ["tests.no_such_module", "got10k.no_such_module"])
def test_another_module_must_not_be_missing(stored, module):
    if module.startswith("got10k"):
        pytest.importorskip("got10k")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        references.compared("name", "torch", stored, lambda: importlib.import_module(module))
