"""Freed memory stays with the process: the kernel gives no pages a second time."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
import numpy as np
from siamjax.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "kept":
    keep_freed_memory()
np.zeros(2**22).fill(1)
before = faults()
for _ in range(8):
    np.zeros(2**22).fill(1)  # 32 MB, 8192 pages unless they are huge
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is told")
def test_large_blocks_are_used_again():
    def faults(how):
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
        )
        return int(found.stdout)

    assert faults("kept") < faults("default") / 4
