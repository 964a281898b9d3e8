"""Pairs/s of training, and where a step's time goes.

    python benchmarks/training.py [configs/quickstart.py ...] [--batch-sizes 8 16] [--steps 30]

"data", "to device" and "step" are medians of each on its own, "training" is all of them
together, as the loop runs them: the next batch is prepared while the devices compute.
"waiting" is the share of that in which the devices had nothing to do for want of a batch.
Compilation is apart. FLOPs are XLA's own count. Pairs come from a small rendered set.
"""

import argparse
import dataclasses
import functools
import tempfile
import time
from pathlib import Path

import jax
from absl import flags
from harness import print_table, time_call

from siamjax.config import Config, SourceConfig, SyntheticConfig
from siamjax.config_files import load_config
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.meter import Meter
from siamjax.training.optimizer import build_optimizer
from siamjax.training.state import create_state
from siamjax.training.step import make_step

RENDERED = SyntheticConfig(sequences=24, frames=60, frame_step=6)


def with_batch_size(config: Config, batch_size: int) -> Config:
    """The configuration with a rendered set and another batch size."""
    source = SourceConfig(synthetic=RENDERED)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, sources=(source,)),
        train=dataclasses.replace(config.train, batch_size=batch_size),
    )


def compile_step(config: Config, mesh) -> tuple:
    """The first state, the compiled step, and the seconds that each took to compile."""
    network = build_network(config.model)
    optimizer = build_optimizer(config)
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(create_state, init, optimizer, config.train.seed)
    began = time.perf_counter()
    state = jax.block_until_ready(parallel.create_on(mesh, create))
    created = time.perf_counter()
    step = parallel.jit_step(make_step(config, network), mesh)
    step = step.lower(state, parallel.abstract_batch(config, mesh)).compile()
    return state, step, created - began, time.perf_counter() - created


def measure(config: Config, cache: Path, steps: int) -> list[object]:
    """A row of the table."""
    mesh = parallel.make_mesh()
    state, step, init_seconds, step_seconds = compile_step(config, mesh)
    with make_batches(config, cache_dir=cache) as batches:
        batch = next(batches)
        # More than the pipeline holds ready, so that the median is of batches made to order.
        data = time_call(lambda: next(batches), max(steps, 20))
        to_device = time_call(lambda: parallel.put_batch(batch, mesh), steps)

        def one_step():
            nonlocal state
            state, metrics = step(state, on_device)
            return metrics

        on_device = parallel.put_batch(batch, mesh)
        alone = time_call(one_step, steps)

        meter = Meter(config.train.batch_size, run_ahead=parallel.may_run_ahead(mesh))
        for _ in range(steps):
            batch = parallel.put_batch(meter.next_batch(batches), mesh)
            state, metrics = step(state, batch)
            meter.add(metrics)
        values = meter.read(steps)
    flops = (step.cost_analysis() or {}).get("flops", float("nan"))
    return [
        config.train.batch_size,
        1e3 * data,
        1e3 * to_device,
        1e3 * alone,
        flops / alone / 1e9,
        values["pairs_per_second"],
        f"{values['data_wait']:.0%}",
        init_seconds,
        step_seconds,
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="*", default=["configs/quickstart.py"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    flags.FLAGS.mark_as_parsed()
    header = ["batch", "data, ms", "to device, ms", "step, ms", "GFLOP/s"]
    header += ["training, pairs/s", "waiting", "compile init, s", "compile step, s"]
    for path in arguments.configs:
        config = load_config(path)
        with tempfile.TemporaryDirectory() as cache:
            rows = [
                measure(with_batch_size(config, size), Path(cache), arguments.steps)
                for size in arguments.batch_sizes
            ]
        devices = f"{jax.device_count()} {jax.default_backend()} device(s)"
        print_table(f"Training {config.name} on {devices}", header, rows)


if __name__ == "__main__":
    main()
