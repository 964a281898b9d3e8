"""Pairs/s of training, where a step's time goes, and the same step in PyTorch.

    python benchmarks/training.py [configs/quickstart.py ...] [--batch-sizes 8 16] [--steps 10]
        [--pysot DIR]

"data", "to device" and "step" are medians of each on its own, "training" is all of them
together, as the loop runs them: the next batch is prepared while the devices compute.
"waiting" is the share of that in which the devices had nothing to do for want of a batch.
FLOPs are XLA's own count of the undivided step; "of peak" is their share of `--peak` TFLOP/s
or, without it, of what one large matrix product reaches on a device in the same run.

PyTorch (eager, NCHW) takes the same step on the same cores: network, losses, SGD, clip, and
what is frozen in the last phase; "loss differs" compares the first losses. Given a folder
with its source, PySOT's own step stands beside as well (`rival_pysot.py`), on CPU in float32.
On a GPU, where PyTorch sees it too, it runs with TF32 or autocast as `--precision` says.
Compilation is apart. Several simulated devices share the cores of one CPU: their growth shows
what dividing costs, not what more hardware brings. Pairs come from a small rendered set. Run
it on an idle machine.
"""

import argparse
import dataclasses
import functools
import importlib.util
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags
from harness import print_table, time_call

from siamjax.config import Config, SourceConfig, SyntheticConfig
from siamjax.config_files import load_config
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.dry_run import step_bytes, step_flops
from siamjax.training.meter import Meter
from siamjax.training.optimizer import build_optimizer
from siamjax.training.phases import phases
from siamjax.training.state import create_state
from siamjax.training.step import make_step

RENDERED = SyntheticConfig(sequences=8, frames=30, frame_step=6)
# What a run of the loop is long enough to be measured by, in steps beyond those read ahead.
LOOP_STEPS = 10


def with_batch_size(config: Config, batch_size: int, options) -> Config:
    """The configuration with a rendered set, another batch size and the options' settings."""
    source = SourceConfig(synthetic=RENDERED, frame_range=30)
    dtype = "bfloat16" if options.precision == "bfloat16" else "float32"
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, dtype=dtype),
        data=dataclasses.replace(config.data, sources=(source,)),
        train=dataclasses.replace(
            config.train,
            batch_size=batch_size,
            parallel=options.parallel,
            pairs_per_epoch=max(config.train.pairs_per_epoch, batch_size),
        ),
        init=dataclasses.replace(config.init, path="", parts=()),
    )


def matrix_rate(dtype: str) -> float:
    """FLOP/s of a large matrix product on one device."""
    side = 2048 if jax.default_backend() == "cpu" else 8192
    a = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.dot)
    return 2 * side**3 / time_call(lambda: product(a, a), 5)


def measure(config: Config, devices: int, cache: Path, options, peak: float) -> list[object]:
    """A row of the table."""
    train, steps = config.train, options.steps
    mesh = parallel.make_mesh(jax.devices()[:devices])
    network, frozen = build_network(config.model), phases(config)[-1].frozen
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(create_state, init, build_optimizer(config), train.seed)
    abstract = parallel.abstract_state(mesh, create)
    flops = step_flops(config, network, frozen, abstract)
    state = jax.block_until_ready(parallel.create_on(mesh, create))
    variables = jax.device_get(state.variables)
    began = time.perf_counter()
    step = parallel.compile_step(make_step(config, network, frozen), mesh, config, abstract)
    compile_seconds = time.perf_counter() - began
    put = functools.partial(parallel.put_batch, mesh=mesh, stacked=train.parallel == "pmap")
    with make_batches(config, cache_dir=cache) as batches:
        batch = next(batches)
        # More than the pipeline holds ready, so that the median is of batches made to order.
        data = time_call(lambda: next(batches), max(steps, LOOP_STEPS))
        to_device = time_call(lambda: put(batch), steps)
        on_device = put(batch)
        losses = []

        def one_step():
            nonlocal state
            state, metrics = step(state, on_device)
            losses.append(metrics["loss"])
            return metrics

        alone = time_call(one_step, steps)
        meter = Meter(
            train.batch_size,
            run_ahead=parallel.may_run_ahead(mesh),
            max_skipped=2 * LOOP_STEPS,
        )
        for _ in range(max(steps, LOOP_STEPS)):
            state, metrics = step(state, put(meter.next_batch(batches)))
            meter.add(metrics)
        values = meter.read(max(steps, LOOP_STEPS))
    row = [
        devices,
        train.batch_size,
        1e3 * data,
        1e3 * to_device,
        1e3 * alone,
        train.batch_size / alone,
        flops / alone / 1e9,
        f"{flops / alone / (peak * devices):.0%}",
        (step_bytes(step) or 0) / 1e6,
        values["pairs_per_second"],
        f"{values['data_wait']:.0%}",
        compile_seconds,
    ]
    ours = float(losses[0])
    for rival in rivals(config, variables, batch, options):
        first = rival.step()
        seconds = time_call(rival.step, steps)
        row += [1e3 * seconds, train.batch_size / seconds, seconds / alone]
        row.append(abs(first - ours) / abs(ours))
    return row


def rivals(config: Config, variables: dict, batch, options) -> Iterator[Any]:
    """The same training elsewhere, one at a time: eager PyTorch and PySOT."""
    if options.torch:
        from torch_training import TorchTraining

        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        yield TorchTraining(config, variables, batch, device, options.precision)
    if options.pysot:
        from rival_pysot import PysotTraining

        yield PysotTraining(options.pysot, config, variables, batch)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", default=["configs/quickstart.py"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8])
    parser.add_argument("--devices", nargs="+", type=int, default=[1])
    parser.add_argument("--parallel", choices=("jit", "pmap"), default="jit")
    parser.add_argument(
        "--precision",
        choices=("float32", "tf32", "bfloat16"),
        default="float32",
        help="of both; tf32 is that of a GPU's matrix products of float32",
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peak", type=float, help="TFLOP/s of one device")
    parser.add_argument("--no-torch", dest="torch", action="store_false")
    parser.add_argument("--pysot", type=Path, help="a folder with PySOT's source")
    options = parser.parse_args()
    flags.FLAGS.mark_as_parsed()
    options.torch &= importlib.util.find_spec("torch") is not None
    if max(options.devices) > 1:
        jax.config.update("jax_num_cpu_devices", max(options.devices))
    jax.config.update(
        "jax_default_matmul_precision",
        {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": None}[options.precision],
    )
    dtype = "bfloat16" if options.precision == "bfloat16" else "float32"
    peak = options.peak * 1e12 if options.peak else matrix_rate(dtype)
    header = ["devices", "batch", "data, ms", "to device, ms", "step, ms", "step, pairs/s"]
    header += ["GFLOP/s", "of peak", "memory, MB", "training, pairs/s", "waiting", "compile, s"]
    names = ["PyTorch"] * options.torch + ["PySOT"] * bool(options.pysot)
    for name in names:
        header += [f"{name}, ms", f"{name}, pairs/s", f"{name} / ours", "loss differs"]
    for path in options.configs:
        config = load_config(path)
        with tempfile.TemporaryDirectory() as cache:
            rows = [
                measure(
                    with_batch_size(config, size, options), count, Path(cache), options, peak
                )
                for size in options.batch_sizes
                for count in options.devices
            ]
        title = f"Training {config.name}, {options.precision}, {options.parallel}, "
        title += f"{jax.default_backend()}; peak {peak / 1e9:.0f} GFLOP/s a device"
        print_table(title, header, rows)


if __name__ == "__main__":
    main()
