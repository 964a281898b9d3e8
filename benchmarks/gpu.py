"""One GPU in one command: tracking, training, correlation, data, memory, and the goldens.

    python benchmarks/gpu.py [--only tracking training ...] [--out runs/gpu] [--quick]

Each network stands beside itself in PyTorch (NCHW, eager and `torch.compile`), with the same
weights on the same device in the same run, by turns, in three precisions: "float32" without
TF32, "tf32", and "bfloat16" (ours with `model.dtype`, PyTorch's with all its weights in
tracking and with autocast in training). A time is the median of at least ten calls, each of
which waits for the device; compilation is apart. `--seconds` bounds what a section measures,
beyond compilation; what it does not reach says so, and so does what fails, for want of memory
for example. The results so far, `gpu.md` and `gpu.json`, are written after every group of rows
and kept by Ctrl-C.

"parity" runs the tests that compare the networks and the tracker with goldens, once in each
precision, and records how far they are off. Goldens of NumPy code have no part in it. In
bfloat16 it runs those of PySOT alone, since the others' layers are built in float32.

Without PyTorch, or where PyTorch does not see the GPU, ours stands alone. The weights are
random, which does not change the time. Run it on an idle machine.
"""

import os

# JAX would take three quarters of the memory at once, and PyTorch needs its own.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import argparse
import contextlib
import dataclasses
import functools
import gc
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from correlation import KERNEL, SEARCH
from forward import predict_call
from harness import compile_call, machine, one_line, table_lines, time_by_turns, time_call
from tracking import Contender, first_box, many_targets, render
from training import with_batch_size

from siamjax.config import Config
from siamjax.config_files import load_config
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.models.folding import fold_batch_norm
from siamjax.models.xcorr import xcorr_depthwise
from siamjax.tracking.tracker import Tracker
from siamjax.training import parallel
from siamjax.training.device_augment import make_finish
from siamjax.training.dry_run import step_bytes
from siamjax.training.optimizer import build_optimizer
from siamjax.training.phases import phases
from siamjax.training.state import create_state
from siamjax.training.step import make_step

ROOT = Path(__file__).resolve().parents[1]
# What `jax_default_matmul_precision` is; bfloat16 is that of a network, whose rest is float32.
PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "highest"}
# Seconds that a section measures for, compilation apart: seven minutes without parity, which
# mostly compiles, and whose seconds include that.
SECONDS = {
    "tracking": 110,
    "targets": 80,
    "training": 160,
    "correlation": 40,
    "data": 30,
    "parity": 600,
}
SECTIONS = tuple(SECONDS)
TOLERANCE = 1e-4  # of the networks' outputs, relative to PySOT's
EAGER, COMPILED = "PyTorch", "torch.compile"
PYSOT_GOLDENS = (
    "tests/weights/test_goldens.py",
    "tests/tracking/test_golden.py",
    "tests/tracking/test_crop.py::test_crops_equal_the_goldens_to_one_grey_level",
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is measured; configurations by name or file."""

    trackers: tuple[str, ...] = ("siamrpnpp_r50", "siamrpnpp_mobilenetv2", "siamrpnpp_alexnet")
    many: str = "siamrpnpp_r50"
    counts: tuple[int, ...] = (8, 32, 128)
    trained: str = "siamrpnpp_r50"
    batches: tuple[int, ...] = (28, 128)
    remat: tuple[bool, ...] = (False, True)
    correlated: tuple[int, ...] = (1, 28, 128)
    channels: int = 256
    batches_read: int = 40
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    seconds: float = 1.0  # that a group of calls is measured for, if ten turns take less
    goldens: tuple[str, ...] = ()  # the tests of the parity section; by default all


QUICK = Sizes(
    trackers=("quickstart",),
    many="quickstart",
    counts=(2,),
    trained="quickstart",
    batches=(2,),
    correlated=(1,),
    channels=4,
    batches_read=10,
    seconds=0.0,
    goldens=PYSOT_GOLDENS[2:],
)


@dataclasses.dataclass
class Row:
    """A line of the table; what was not measured is None."""

    section: str
    case: str
    precision: str
    unit: str
    ours: float | None = None
    eager: float | None = None
    compiled: float | None = None
    calls: int | None = None  # that each number is the median of
    compile_s: float | None = None  # ours
    torch_compile_s: float | None = None
    note: str = ""


class Report:
    """The rows so far, and the files that hold them."""

    def __init__(self, folder: Path, about: dict[str, str]):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.about, self.rows = folder, about, []

    def add(self, rows: Iterable[Row]) -> None:
        """Takes rows and writes both files; neither is ever there in part."""
        self.rows += rows
        content = {**self.about, "rows": [dataclasses.asdict(row) for row in self.rows]}
        for name, text in (
            ("gpu.json", json.dumps(content, indent=1)),
            ("gpu.md", self.text()),
        ):
            unfinished = self.folder / f"{name}.part"
            unfinished.write_text(text + "\n")
            unfinished.replace(self.folder / name)

    def text(self) -> str:
        """The Markdown table with its caption."""
        header = [field.name for field in dataclasses.fields(Row)]
        titles = {"eager": EAGER, "compiled": COMPILED, "compile_s": "compile, s"}
        titles["torch_compile_s"] = f"{COMPILED} first call, s"
        rows = [["-" if v is None else v for v in dataclasses.astuple(r)] for r in self.rows]
        caption = ", ".join(f"{name}: {value}" for name, value in self.about.items())
        return "\n".join([caption, "", *table_lines([titles.get(n, n) for n in header], rows)])


class Stopwatch:
    """The seconds that a section may still measure."""

    def __init__(self, seconds: float):
        self.left = seconds

    def time(self, calls: dict[str, Callable], seconds: float):
        """`time_by_turns` within what is left."""
        turns = time_by_turns(calls, seconds=seconds, most=max(self.left, 0))
        self.left -= turns.measured
        return turns


class Rival:
    """PyTorch on the device that JAX runs on; `why_not` says why it is left out."""

    def __init__(self, kinds: tuple[str, ...]):
        self.kinds, self.why_not = kinds, ""
        self.device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        if importlib.util.find_spec("torch") is None:
            self.why_not = "PyTorch is not installed"
        elif self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                self.why_not = "PyTorch does not see the GPU"
        if self.why_not:
            self.kinds = ()

    @property
    def about(self) -> str:
        """Its version, or why it is left out."""
        if self.why_not:
            return self.why_not
        import torch

        return f"{torch.__version__} on {self.device}, {' and '.join(self.kinds) or 'left out'}"

    def build(self, make: Callable[[str], Callable]) -> tuple[dict[str, Callable], str]:
        """`make(kind)` for each kind, and why some failed; the others go on."""
        calls, failed = {}, []
        for kind in self.kinds:
            try:
                calls[kind] = make(kind)
            except Exception as error:
                failed.append(f"{kind}: {one_line(error)}")
        return calls, "; ".join(failed)

    def wait(self) -> None:
        """Waits for the GPU."""
        if self.device == "cuda" and self.kinds:
            import torch

            torch.cuda.synchronize()

    def free(self) -> None:
        """Gives cached memory back, so that the next group has it."""
        gc.collect()
        if self.device == "cuda" and self.kinds:
            import torch

            torch.cuda.empty_cache()

    def set_precision(self, precision: str) -> None:
        """Whether float32 may be TF32 on a GPU."""
        if self.kinds:
            import torch

            torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
            torch.backends.cudnn.allow_tf32 = precision != "float32"

    def peak_of(self, call: Callable[[], object]) -> float | None:
        """MB of GPU memory at most while `call` runs; None on a CPU."""
        if self.device != "cuda":
            call()
            return None
        import torch

        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        self.wait()
        return (torch.cuda.max_memory_allocated() - before) / 1e6


class RivalNetwork:
    """A `TorchNetwork` on a device: images come from the host, maps go back to it."""

    def __init__(
        self, config: Config, variables: dict, rival: Rival, precision: str, kind: str
    ):
        import torch
        from torch_networks import TorchNetwork

        self._network = TorchNetwork(config.model, variables)
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        for name in ("params", "stats"):
            moved = jax.tree.map(
                lambda x: x.to(rival.device, self._dtype), getattr(self._network, name)
            )
            setattr(self._network, name, moved)
        predict = self._network.predict
        self.maps = torch.compile(predict) if kind == COMPILED else predict
        self.put = lambda images: images.to(rival.device, self._dtype)

    def encode(self, template):
        """The template's kernels, which stay on the device."""
        return self._network.encode(self.put(template))

    def predict(self, kernels, search):
        """The maps in float32, on the host."""
        return tuple(x.float().cpu() for x in self.maps(kernels, self.put(search)))


def in_precision(call: Callable, precision: str) -> Callable[[], object]:
    """`call` as it is traced, and traced again, in this precision."""

    def called():
        with jax.default_matmul_precision(PRECISIONS[precision]):
            return call()

    return called


def folded(model: Contender, precision: str):
    """Network, variables and configuration as a tracker has them in this precision."""
    config = in_dtype(model.config, precision)
    network, variables = fold_batch_norm(config.model, model.trained)
    return network, jax.device_put(variables), config


def in_dtype(config: Config, precision: str) -> Config:
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    return dataclasses.replace(config, model=dataclasses.replace(config.model, dtype=dtype))


def per_second(rows: list[Row], count: int) -> list[Row]:
    """Rows of milliseconds as `count` things a second."""
    for row in rows:
        for name in ("ours", "eager", "compiled"):
            value = getattr(row, name)
            setattr(row, name, value and 1e3 * count / value)
    return rows


def timed_row(row: Row, turns, ours: str = "ours") -> Row:
    """The row with its milliseconds, and what failed."""
    found = {name: 1e3 * seconds for name, seconds in turns.medians.items()}
    row.ours, row.eager, row.compiled = (found.get(n) for n in (ours, EAGER, COMPILED))
    row.calls = turns.rounds if found else None
    row.torch_compile_s = turns.first[COMPILED] if COMPILED in found else None
    why = [f"{n}: {turns.failed[n]}" for n in (ours, EAGER, COMPILED) if n in turns.failed]
    row.note = "; ".join([*filter(None, [row.note]), *why])
    return row


def search_branch(
    model: Contender, count: int, precision: str, rival: Rival, watch: Stopwatch, sizes: Sizes
) -> Row:
    """Milliseconds of the network on `count` search images that are on the device."""
    network, variables, config = folded(model, precision)
    rng = np.random.default_rng(1)
    sides = (config.model.template_size, config.tracker.search_size)
    images = [rng.uniform(0, 255, (count, s, s, 3)).astype(np.float32) for s in sides]
    row = Row("", f"{config.name}, network, batch {count}", precision, "ms")
    with jax.default_matmul_precision(PRECISIONS[precision]):
        calls = {}
        calls["ours"], row.compile_s = predict_call(
            network, variables, *map(jax.device_put, images)
        )

    def make(kind):
        from torch_networks import to_nchw

        network = RivalNetwork(config, model.trained, rival, precision, kind)
        return rival_search(network, *map(to_nchw, images), rival)

    theirs, row.note = rival.build(make)
    calls |= theirs
    rival.set_precision(precision)
    return timed_row(row, watch.time(calls, sizes.seconds))


def rival_search(network: RivalNetwork, template, search, rival: Rival) -> Callable:
    import torch

    with torch.inference_mode():
        kernels, search = network.encode(template), network.put(search)

    def call():
        with torch.inference_mode():
            network.maps(kernels, search)
        rival.wait()

    return call


def whole_step(
    model: Contender, frames: list, precision: str, rival: Rival, watch: Stopwatch, sizes: Sizes
) -> list[Row]:
    """Milliseconds of an update, frame on the host to box on the host; and its memory."""
    parts = folded(model, precision)
    config = parts[-1]
    ours, box = Tracker(*parts), first_box(frames[0])
    start = time.perf_counter()
    in_precision(lambda: (ours.init(frames[0], box), ours.update(frames[1])), precision)()
    first = np.array(ours.box_xywh)
    compiling = time.perf_counter() - start
    calls = {"ours": in_precision(lambda: ours.update(frames[1]).box_xywh, precision)}
    row = Row("", f"{config.name}, whole step", precision, "ms", compile_s=compiling)
    rival.set_precision(precision)

    def make(kind):
        from torch_tracker import TorchTracker

        tracker = TorchTracker(config, model.trained)
        tracker.network = RivalNetwork(config, model.trained, rival, precision, kind)
        tracker.init(frames[0], box)
        start = tracker.center, tracker.size
        return functools.partial(rival_update, tracker, frames[1], *start)

    theirs, row.note = rival.build(make)
    if EAGER in theirs:
        apart = np.abs(theirs[EAGER]() - first).max()
        row.note += f"boxes {apart:.2g} px apart"
    calls |= theirs
    return [timed_row(row, watch.time(calls, sizes.seconds))]


def rival_update(tracker, frame, center, size):
    """An update from the same state every time, for its crop's time depends on that."""
    tracker.center, tracker.size = center, size
    return tracker.update(frame)


def guarded(make: Callable[[], list[Row]], row: Row, watch: Stopwatch, rival: Rival) -> list:
    """The rows that `make` gives, or one that says why there are none."""
    if watch.left <= 0:
        row.note = "not measured: the section's time is spent"
        return [row]
    try:
        return make()
    except Exception as error:
        row.note = one_line(error)
        return [row]
    finally:
        rival.free()


def tracking(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """One target: the network, and the whole step."""
    frames = render(2, 640, 480)
    for name in sizes.trackers:
        model = Contender(name, frames[0])
        for precision in sizes.precisions:

            def network(model=model, precision=precision):
                return [search_branch(model, 1, precision, rival, watch, sizes)]

            def step(model=model, precision=precision):
                return whole_step(model, frames, precision, rival, watch, sizes)

            for case, make in (("network, batch 1", network), ("whole step", step)):
                yield guarded(
                    make, Row("", f"{model.config.name}, {case}", precision, "ms"), watch, rival
                )
        jax.clear_caches()


def targets(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """Many targets in one frame: frames/s of the network and of the whole step."""
    frames = render(2, 640, 480)
    model = Contender(sizes.many, frames[0])
    for count in sizes.counts:
        for precision in sizes.precisions:

            def network(count=count, precision=precision):
                row = search_branch(model, count, precision, rival, watch, sizes)
                row.unit = "frames/s"
                return per_second([row], 1)

            def step(count=count, precision=precision):
                several = SimpleNamespace(parts=folded(model, precision))
                start, repeat = time.perf_counter(), 10
                call = functools.partial(many_targets, several, frames, count, repeat)
                rate = in_precision(call, precision)() / count
                watch.left -= repeat / rate
                row = Row("", f"{model.config.name}, {count} targets", precision, "frames/s")
                row.ours, row.compile_s = rate, time.perf_counter() - start - repeat / rate
                row.calls, row.note = repeat, "PyTorch's tracker has one target"
                return [row]

            for case, make in (("network, batch", network), ("targets", step)):
                empty = Row("", f"{model.config.name}, {case} {count}", precision, "frames/s")
                yield guarded(make, empty, watch, rival)
    jax.clear_caches()


class OurTraining:
    """The compiled training step, its state, and a batch on the device."""

    def __init__(self, config: Config, batch, precision: str):
        mesh = parallel.make_mesh(jax.devices()[:1])
        network, frozen = build_network(config.model), phases(config)[-1].frozen
        init = functools.partial(init_variables, network, config=config.model)
        create = functools.partial(
            create_state, init, build_optimizer(config), config.train.seed
        )
        abstract = parallel.abstract_state(mesh, create)
        self._state = jax.block_until_ready(parallel.create_on(mesh, create))
        self.variables = jax.device_get(self._state.variables)
        self._batch = parallel.put_batch(batch, mesh)
        start = time.perf_counter()
        with jax.default_matmul_precision(PRECISIONS[precision]):
            step = make_step(config, network, frozen)
            self._step = parallel.compile_step(step, mesh, config, abstract)
        self.compile_s = time.perf_counter() - start
        self.memory = step_bytes(self._step)

    def step(self):
        """Trains once; its metrics."""
        self._state, metrics = self._step(self._state, self._batch)
        return metrics


def training(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """Pairs/s of a step and its memory, with and without rematerialisation."""
    with tempfile.TemporaryDirectory() as cache:
        for count in sizes.batches:
            config = batch_config(sizes, count)
            with make_batches(config, cache_dir=Path(cache)) as batches:
                batch = next(batches)
            for precision in sizes.precisions:

                def measure(config=config, batch=batch, precision=precision):
                    return training_rows(config, batch, precision, rival, watch, sizes)

                case = f"{config.name}, {count} pairs"
                yield guarded(measure, Row("", case, precision, "pairs/s"), watch, rival)
                jax.clear_caches()


def batch_config(sizes: Sizes, count: int, precision: str = "float32") -> Config:
    config = load_config(sizes.trained)
    options = SimpleNamespace(precision=precision, parallel="jit")
    return with_batch_size(config, count, options)


def training_rows(
    config: Config, batch, precision: str, rival: Rival, watch: Stopwatch, sizes: Sizes
) -> list[Row]:
    config = in_dtype(config, precision)
    count, calls, peaks, first, failed, ours = config.train.batch_size, {}, {}, {}, [], {}
    for remat in sizes.remat:
        case = "remat" if remat else "ours"
        model = dataclasses.replace(config.model, remat=remat)
        try:
            ours[case] = OurTraining(dataclasses.replace(config, model=model), batch, precision)
        except Exception as error:
            failed.append(f"{case}: {one_line(error)}")
        else:
            calls[case] = ours[case].step
    variables = next((one.variables for one in ours.values()), None)

    def make(kind):
        start = time.perf_counter()
        step, peaks[kind] = rival_training(config, variables, batch, rival, precision, kind)
        first[kind] = time.perf_counter() - start
        return step

    if variables is not None:
        theirs, why = rival.build(make)
        calls |= theirs
        failed += [why] if why else []
    turns = watch.time(calls, sizes.seconds)
    rows, memory = [], []
    for remat in sizes.remat:
        case, name = ("remat", ", remat") if remat else ("ours", "")
        row = Row("", f"{config.name}, {count} pairs{name}", precision, "pairs/s")
        row.compile_s = ours[case].compile_s if case in ours else None
        row.note = "" if rows else "; ".join(failed)
        rows.append(timed_row(row, turns, case))
        row.torch_compile_s = first.get(COMPILED)
        row = Row("", f"{rows[-1].case}, memory", precision, "MB")
        if case in ours and ours[case].memory:
            row.ours, row.note = ours[case].memory / 1e6, "ours as the compiler states it"
        row.eager, row.compiled = peaks.get(EAGER), peaks.get(COMPILED)
        memory.append(row)
    return [*per_second(rows, count), *memory]


def rival_training(config, variables, batch, rival: Rival, precision: str, kind: str):
    """A step of PyTorch's that waits, and the memory of its first two in MB."""
    import torch
    from torch_training import TorchTraining

    made = []

    def begin():
        one = TorchTraining(config, variables, batch, rival.device, precision)
        if kind == COMPILED:
            for name in ("encode", "predict"):
                setattr(one.network, name, torch.compile(getattr(one.network, name)))
        made.append(one)
        for _ in range(2):
            one.step()

    peak = rival.peak_of(begin)
    return made[0].step, peak


def correlation(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """Both implementations of the depthwise correlation, forward and with its gradient."""
    for gradient in (False, True):
        for count in sizes.correlated:
            # Ours is float32 in a network of bfloat16, too.
            for precision in [p for p in sizes.precisions if p != "bfloat16"]:

                def measure(gradient=gradient, count=count, precision=precision):
                    return correlation_rows(gradient, count, precision, rival, watch, sizes)

                case = f"depthwise, {'gradient' if gradient else 'forward'}, batch {count}"
                yield guarded(measure, Row("", case, precision, "ms"), watch, rival)


def correlation_rows(
    gradient: bool, count: int, precision: str, rival: Rival, watch: Stopwatch, sizes: Sizes
) -> list[Row]:
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal((count, side, side, sizes.channels)).astype(np.float32)
        for side in (SEARCH, KERNEL)
    ]
    calls, compiling = {}, {}
    for name in ("conv", "shift"):

        def forward(search, kernel, name=name):
            return xcorr_depthwise(search, kernel, implementation=name)

        def loss(search, kernel, forward=forward):
            return jnp.square(forward(search, kernel)).sum()

        with jax.default_matmul_precision(PRECISIONS[precision]):
            calls[name], compiling[name] = compile_call(
                jax.grad(loss, (0, 1)) if gradient else forward, *map(jax.device_put, arrays)
            )
    theirs, why = rival.build(lambda kind: rival_correlation(arrays, gradient, rival, kind))
    calls |= theirs
    rival.set_precision(precision)
    turns = watch.time(calls, sizes.seconds / 2)
    what = "gradient" if gradient else "forward"
    rows = []
    for name in ("conv", "shift"):
        row = Row("", f"depthwise, {what}, batch {count}, {name}", precision, "ms", note=why)
        row.compile_s = compiling[name]
        rows.append(timed_row(row, turns, name))
    return rows


def rival_correlation(arrays, gradient: bool, rival: Rival, kind: str) -> Callable:
    import torch
    import torch.nn.functional as F
    from torch_networks import to_nchw

    search, kernel = (to_nchw(x).to(rival.device).requires_grad_(gradient) for x in arrays)

    def forward(search, kernel):
        b, c, h, w = search.shape
        flat = kernel.reshape(b * c, 1, *kernel.shape[2:])
        return F.conv2d(search.reshape(1, b * c, h, w), flat, groups=b * c)

    correlate = torch.compile(forward) if kind == COMPILED else forward

    def call():
        out = correlate(search, kernel)
        if gradient:
            torch.autograd.grad(out.square().sum(), (search, kernel))
        rival.wait()

    return call


def data(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """Pairs/s from records on disk to finished batches on the device."""
    with tempfile.TemporaryDirectory() as cache:
        for finish_on in ("host", "device"):

            def measure(finish_on=finish_on):
                return data_rows(sizes, finish_on, Path(cache), watch)

            empty = Row("", f"batches, finish_on {finish_on}", "float32", "pairs/s")
            yield guarded(measure, empty, watch, rival)


def data_rows(sizes: Sizes, finish_on: str, cache: Path, watch: Stopwatch) -> list[Row]:
    config = batch_config(sizes, sizes.batches[0])
    count = config.train.batch_size
    choice = {"finish_on": finish_on, "anchor_choice": "ranked"}
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **choice))
    mesh = parallel.make_mesh(jax.devices()[:1])
    finish = jax.jit(make_finish(config)) if finish_on == "device" else lambda batch: batch
    with make_batches(config, cache_dir=cache) as batches:
        start = time.perf_counter()
        drawn = parallel.put_batch(next(batches), mesh)
        jax.block_until_ready(finish(drawn))
        first = time.perf_counter() - start
        for _ in range(8):  # more than the pipeline holds ready
            next(batches)
        start = time.perf_counter()
        for _ in range(sizes.batches_read):
            jax.block_until_ready(finish(parallel.put_batch(next(batches), mesh)))
        seconds = time.perf_counter() - start
    watch.left -= seconds
    row = Row("", f"batches of {count}, finish_on {finish_on}", "float32", "pairs/s")
    row.ours, row.compile_s = count * sizes.batches_read / seconds, first
    row.calls, row.note = sizes.batches_read, "a mean; the first batch counts as compilation"
    rows = [row]
    if finish_on == "device":
        alone = Row("", f"finishing {count} pairs on the device", "float32", "ms", calls=10)
        alone.ours = 1e3 * time_call(lambda: finish(drawn), 10)
        rows.append(alone)
    return rows


def golden_tests(precision: str) -> tuple[str, ...]:
    """The tests that compare what runs on a device with goldens."""
    if precision == "bfloat16":
        return PYSOT_GOLDENS
    texts = {path: path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py"))}
    torch = [p for p, text in texts.items() if re.search(r'\bagainst\(\s*"torch"', text)]
    return (*PYSOT_GOLDENS, *(str(path.relative_to(ROOT)) for path in torch))


def parity(sizes: Sizes, rival: Rival, watch: Stopwatch) -> Iterator[list[Row]]:
    """Errors against goldens, by precision, each in a process of its own."""
    del rival
    for precision in sizes.precisions:
        tests = sizes.goldens or golden_tests(precision)
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.jsonl"
            record.touch()
            command = [sys.executable, __file__, "--record", record, "--precision", precision]
            platform = {"gpu": "cuda,cpu"}.get(jax.default_backend(), jax.default_backend())
            environment = {
                **os.environ,
                "JAX_PLATFORMS": platform,
                "JAX_DEFAULT_MATMUL_PRECISION": PRECISIONS[precision],
                "XLA_FLAGS": "",  # as users compile, which tests otherwise do not
            }
            start = time.perf_counter()
            try:
                ended = subprocess.run(
                    [*map(str, command), "--tests", *tests],
                    env=environment,
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=max(watch.left, 0),
                )
            except subprocess.TimeoutExpired:
                why = f"stopped after {time.perf_counter() - start:.0f} s"
            else:
                last = (ended.stdout + ended.stderr).strip().splitlines()[-1:]
                why = f"pytest ended with {ended.returncode}: {' '.join(last)}"[:150]
                if ended.returncode in (0, 1):  # 1: tests failed, which their rows say
                    why = ""
            watch.left -= time.perf_counter() - start
            entries = [json.loads(line) for line in record.read_text().splitlines()]
        rows = parity_rows(precision, entries)
        rows[-1].note += f"; {why}" if why else ""
        yield rows


def parity_rows(precision: str, entries: list[dict]) -> list[Row]:
    """A row for each test function, its parameters together; last, one for all of them."""
    functions: dict[str, list[dict]] = {}
    for entry in entries:
        name = entry["test"].partition("[")[0].removeprefix("tests/")
        functions.setdefault(name, []).append(entry)
    rows = []
    for name, of_one in functions.items():
        row = Row("", name, precision, "relative error", largest(of_one), note=outcome(of_one))
        rows.append(row)
    networks = [entry for entry in entries if entry["test"].startswith(PYSOT_GOLDENS[0])]
    error = largest(networks)
    note = outcome(entries)
    if error is not None:
        note += f"; networks {'keep' if error < TOLERANCE else 'exceed'} {TOLERANCE:g}"
    return [*rows, Row("", "PySOT's networks", precision, "relative error", error, note=note)]


def largest(entries: list[dict]) -> float | None:
    """The largest error that was recorded."""
    return max((e["error"] for e in entries if e["error"] is not None), default=None)


def outcome(entries: list[dict]) -> str:
    """How many tests there were by outcome, each by its own tolerance."""
    counts = Counter(entry["outcome"] for entry in entries)
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "no tests"


class GoldenRecorder:
    """A plugin of pytest: a line of JSON for every test, with its largest relative error.

    The error is the norm of a difference over that of the golden, as the tests have it.
    """

    def __init__(self, file: Path, precision: str):
        self.file, self.precision, self.error = file, precision, None

    def note(self, ours, golden) -> None:
        """Keeps the larger error."""
        ours, golden = (np.asarray(x, np.float64) for x in (ours, golden))
        if not golden.size or not np.isfinite(golden).all() or not np.linalg.norm(golden):
            return
        error = float(np.linalg.norm(ours - golden) / np.linalg.norm(golden))
        self.error = error if self.error is None else max(self.error, error)

    def pytest_collection_modifyitems(self, items):
        """Leaves out what compares with no golden, and listens to what does."""
        from tests import conftest
        from tests.tracking import test_golden
        from tests.weights import test_goldens

        named = [item for item in items if "golden_name" in item.fixturenames]
        pysot = [item for item in items if item.nodeid.startswith(PYSOT_GOLDENS)]
        items[:] = [item for item in items if item in named or item in pysot]
        compare, close = conftest.compared, test_goldens.assert_close

        def compared(test, origin, ours, compute):
            pairs = compare(test, origin, ours, compute)
            for both in pairs:
                # Together, since the smallest of many gradients are but rounding.
                self.note(
                    *(np.concatenate([x.ravel() for x in jax.tree.leaves(t)]) for t in both)
                )
            return pairs

        def assert_close(ours, reference, what):
            self.note(np.asarray(ours).transpose(0, 3, 1, 2), reference)
            close(ours, reference, what)

        assert_allclose = np.testing.assert_allclose

        def all_close(actual, desired, *options, **named):
            if self.listens:
                self.note(actual, desired)
            assert_allclose(actual, desired, *options, **named)

        conftest.compared, test_goldens.assert_close = compared, assert_close
        np.testing.assert_allclose = all_close
        if self.precision == "bfloat16":
            for module in (test_golden, test_goldens):
                module.build_network = lambda config, **options: build_network(
                    dataclasses.replace(config, dtype="bfloat16"), **options
                )

    def pytest_runtest_setup(self, item):
        """Forgets the last test's error."""
        self.error, self.listens = None, "golden_name" not in item.fixturenames

    def pytest_runtest_logreport(self, report):
        """Writes the line."""
        if report.when == "call" or report.outcome != "passed":
            entry = {"test": report.nodeid, "outcome": report.outcome, "error": self.error}
            with self.file.open("a") as out:
                out.write(json.dumps(entry) + "\n")


def run_golden_tests(options) -> int:
    """The parity section's own process."""
    import pytest

    sys.path.insert(0, str(ROOT))
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "default"]
    return pytest.main(
        [*quiet, *options.tests], [GoldenRecorder(options.record, options.precision)]
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="a folder")
    parser.add_argument("--seconds", type=float, help="of each section, instead of its own")
    parser.add_argument(
        "--beside", nargs="*", choices=(EAGER, COMPILED), default=(EAGER, COMPILED)
    )
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=tuple(PRECISIONS)
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test of tiny sizes")
    for name in ("--record", "--precision", "--tests"):  # of the parity section's process
        kinds = {"--record": {"type": Path}, "--tests": {"nargs": "+"}}
        parser.add_argument(name, help=argparse.SUPPRESS, **kinds.get(name, {}))
    options = parser.parse_args(arguments)
    if options.record:
        return run_golden_tests(options)
    flags.FLAGS.mark_as_parsed()
    sizes = dataclasses.replace(
        QUICK if options.quick else Sizes(), precisions=tuple(options.precisions)
    )
    rival = Rival(tuple(options.beside))
    report = Report(options.out, {"machine": machine(), "PyTorch": rival.about})
    sections = (tracking, targets, training, correlation, data, parity)
    chosen = [s for s in sections if s.__name__ in options.only]
    try:
        for section in chosen:
            name = section.__name__
            print(f"{name} ...", file=sys.stderr, flush=True)
            seconds = options.seconds or SECONDS[name]
            try:
                for rows in section(sizes, rival, Stopwatch(seconds)):
                    report.add(dataclasses.replace(row, section=name) for row in rows)
            except Exception as error:
                report.add([Row(name, "the section", "-", "-", note=one_line(error))])
    except KeyboardInterrupt:
        print(f"interrupted; what was measured is in {options.out}", file=sys.stderr)
        return 130
    finally:
        with contextlib.suppress(BrokenPipeError):
            print(report.text(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
