"""What every benchmark shares: the machine in words, a median time, a Markdown table."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax


def machine() -> str:
    """Processor, cores, accelerator and versions, in one line for a table's caption."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{_processor()}, {cores} cores"]
    if jax.default_backend() != "cpu":
        parts.append(jax.devices()[0].device_kind)
    parts.append(f"Python {platform.python_version()}, jax {jax.__version__}")
    return ", ".join(parts)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def time_call(fn: Callable[[], object], repeat: int = 10) -> float:
    """Median seconds of `fn()`, after one call that is not counted.

    Waits for whatever JAX arrays the call returns. Compile `fn` beforehand and time that
    apart: the uncounted call only warms caches.
    """
    jax.block_until_ready(fn())
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(fn())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compile_call(fn: Callable, *arguments) -> tuple[Callable[[], object], float]:
    """`jax.jit(fn)` compiled for `arguments` and bound to them, and the seconds it took."""
    start = time.perf_counter()
    compiled = jax.jit(fn).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    return lambda: compiled(*arguments), seconds


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a Markdown table under its title and the machine; floats get three digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    print(f"\n### {title}\n\n{machine()}\n")
    print(_line(header, widths))
    print(_line(["-" * width for width in widths], widths))
    for row in cells:
        print(_line(row, widths), flush=True)


def _cell(value: object) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1000
        else (f"{value:.0f}" if isinstance(value, float) else str(value))
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"
