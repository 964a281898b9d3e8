"""Memory of long computations: freed blocks stay with the process, ready for the next ones.

By default, glibc maps each large block anew and gives it back when it is freed, so that the
kernel clears its pages in every step: a tenth of a training step on a CPU.
"""

import ctypes
import platform

# mallopt's parameters, of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Keeps what is freed for later allocations, where the C library is glibc.

    Call it before other threads start. The process stays as large as it ever was, so this is
    for commands that own theirs, not for a library in somebody's program.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    # One arena, since the others cannot hold large blocks.
    for parameter, value in ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)):
        mallopt(parameter, value)
