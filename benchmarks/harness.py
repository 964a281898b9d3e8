"""What every benchmark shares: the machine in words, a median time, a Markdown table."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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


class Turns(NamedTuple):
    """What `time_by_turns` found, by name; a call has either a median or a failure."""

    medians: dict[str, float]  # seconds
    first: dict[str, float]  # seconds of the first call, which is not counted
    failed: dict[str, str]  # why, in one line
    rounds: int  # calls that each median is of
    measured: float  # seconds of all calls but the first ones


def time_by_turns(
    calls: Mapping[str, Callable[[], object]],
    least: int = 10,
    seconds: float = 0.0,
    most: float = float("inf"),
    unmeasured: int = 0,
) -> Turns:
    """Times calls that take turns, so that whatever else the machine does befalls each.

    Goes on until each has `least` turns and all together have taken `seconds`. A call that
    raises is left out from then on, and so are all if `most` seconds are too few for `least`
    turns. Waits for JAX arrays that a call returns; anything else the call waits for itself.
    Each turn begins with `unmeasured` calls: threads of other engines, which wait in a busy
    loop for a while, and cold caches would slow the first.
    """
    first, failed = {}, {}
    times: dict[str, list[float]] = {name: [] for name in calls}

    def take_turn(name):
        start = time.perf_counter()
        try:
            for _ in range(unmeasured):
                jax.block_until_ready(calls[name]())
            start = time.perf_counter()
            jax.block_until_ready(calls[name]())
        except Exception as error:  # out of memory, above all: the others go on
            failed[name] = one_line(error)
        return time.perf_counter() - start

    for name in calls:
        first[name] = take_turn(name)
    measured, rounds = 0.0, 0
    while len(failed) < len(calls) and (rounds < least or measured < seconds):
        if measured > most:
            break
        for name in calls:
            if name not in failed:
                times[name].append(take_turn(name))
                measured += times[name][-1]
        rounds += 1
    if rounds < least:
        reason = f"{rounds} of {least} turns in {measured:.3g} s"
        failed = {name: failed.get(name, reason) for name in calls}
    medians = {n: statistics.median(each) for n, each in times.items() if n not in failed}
    return Turns(medians, first, failed, rounds, measured)


def one_line(error: BaseException, length: int = 100) -> str:
    """The kind of an error and the beginning of its message."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a Markdown table under its title and the machine; floats get three digits."""
    print(f"\n### {title}\n\n{machine()}\n")
    for line in table_lines(header, rows):
        print(line, flush=True)


def table_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table, line by line; floats get three digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    rule = ["-" * width for width in widths]
    return [_line(row, widths) for row in (header, rule, *cells)]


def _cell(value: object) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1000
        else (f"{value:.0f}" if isinstance(value, float) else str(value))
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"
