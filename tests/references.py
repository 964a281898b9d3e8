"""What other packages compute: always as goldens, and live where the package is installed.

The goldens are what the tests' own live computations gave when
`tests/goldens/make_references.py` ran them.
"""

import functools
import typing
from pathlib import Path

import jax
import numpy as np

GOLDENS = Path(__file__).parent / "goldens"
PACKAGES = ("torch", "got10k", "vot")
SUMS = 64


class Origin(typing.NamedTuple):
    """How the arrays of one golden file are kept."""

    dtype: type
    largest: int  # elements of an array that is kept as it is


ORIGINS = {
    "torch": Origin(np.float32, 64),  # layers' outputs, which would be megabytes
    "toolkits": Origin(np.float64, 4096),  # tables, which some tests compare to 1e-12
}

FILES = "torch_files"

# Where `make_references.py` collects: by origin and test. None in a run of the tests.
recorded: dict[str, dict[str, np.ndarray]] | None = None


def record():
    """Lets the tests that follow put their goldens into the dict that this gives."""
    global recorded
    recorded = {origin: {} for origin in (*ORIGINS, FILES)}
    return recorded


def condense(array, origin) -> np.ndarray:
    """The array, or where it is large `SUMS` sums of its elements with random signs.

    Such sums move with every element and keep norms, so that relative errors stay what they
    are, up to a sampling error of a tenth.
    """
    array = np.asarray(array, np.float64)
    if array.size > origin.largest:
        signs = np.random.default_rng(array.size).choice([-1.0, 1.0], array.size)
        array = np.bincount(np.arange(array.size) % SUMS, signs * array.ravel())
    return array.astype(origin.dtype)


@functools.cache
def _stored(origin):
    with np.load(GOLDENS / f"{origin}.npz") as arrays:
        return dict(arrays)


def _golden(origin, test):
    stored = _stored(origin) if recorded is None else recorded[origin]
    if test not in stored:
        raise KeyError(f"{origin}.npz has no `{test}`: run tests/goldens/make_references.py")
    return stored[test]


def _record(origin, test, golden):
    if recorded is not None:
        assert test not in recorded[origin], "one golden for each test"
        recorded[origin][test] = golden


def _live(compute):
    """What `compute()` gives, or None where its package is not installed."""
    try:
        return compute()
    except ModuleNotFoundError as error:
        if recorded is not None or error.name not in PACKAGES:
            raise
        return None


def _split(golden, like):
    """The golden cut into the leaves of `like`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    assert golden.shape == (ends[-1],)
    parts = np.split(golden, ends[:-1])
    return structure.unflatten(
        part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)
    )


def _assert_current(live, golden):
    scale = np.abs(golden[np.isfinite(golden)]).max(initial=0)
    message = "the golden is not what is computed now: run tests/goldens/make_references.py"
    np.testing.assert_allclose(live, golden, rtol=0, atol=1e-5 * scale, err_msg=message)


def compared(test, origin, ours, compute):
    """Pairs of ours and theirs, both trees of arrays, of one structure.

    In the first, theirs is the golden of `test`, and ours is condensed as it is. There is a
    second where the package is installed: ours and what `compute()` gives, which must agree
    with the golden.
    """
    kept = ORIGINS[origin]
    condensed = functools.partial(jax.tree.map, lambda array: condense(array, kept))
    live, small = _live(compute), condensed(ours)
    if live is None:
        return [(small, _split(_golden(origin, test), small))]
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(condensed(live))]
    _record(origin, test, np.concatenate(leaves))
    golden = _split(_golden(origin, test), small)
    jax.tree.map(_assert_current, condensed(live), golden)
    return [(small, golden), (ours, live)]


def files(test, write) -> list[bytes]:
    """A file as the golden has it and, where PyTorch is installed, as `write()` gives it."""
    live = _live(write)
    if live is None:
        return [_golden(FILES, test).tobytes()]
    _record(FILES, test, np.frombuffer(live, np.uint8))
    return [_golden(FILES, test).tobytes(), live]
