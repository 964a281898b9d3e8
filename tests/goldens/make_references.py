"""Writes torch.npz, torch_files.npz and toolkits.npz: `python tests/goldens/make_references.py`.

Needs PyTorch, the GOT-10k toolkit and vot-toolkit. Runs the tests that compare with them and
keeps what these packages compute there, see tests/references.py; nothing is taken from siamjax.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """Leaves out all tests but those that compare with another package, and records them."""

    def pytest_collection_modifyitems(self, items):
        # not before tests/conftest.py has set JAX up
        from tests import references

        items[:] = [item for item in items if "golden_name" in item.fixturenames]
        self.recorded = references.record()


def main():
    recorder = Recorder()
    if pytest.main(["-q", "-p", "no:cacheprovider", str(ROOT / "tests")], [recorder]):
        sys.exit("a test failed: nothing was written")
    for origin, arrays in recorder.recorded.items():
        file = ROOT / "tests" / "goldens" / f"{origin}.npz"
        np.savez_compressed(file, **dict(sorted(arrays.items())))
        print(f"{file.relative_to(ROOT)}: {len(arrays)} tests, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
