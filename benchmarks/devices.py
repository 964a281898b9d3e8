"""How far a training's numbers depend on the devices that share its batches.

    python benchmarks/devices.py [configs/quickstart.py] [--steps 12] [--devices 4]

The same steps, from the same start, on one device, on some under `jit` and under `pmap`:
the loss and the norm of the gradient of every step, and how far they are from those of one
device. On a CPU the devices are simulated. Pairs come from a small rendered set.
"""

import argparse
import dataclasses
import functools
import tempfile
from pathlib import Path

import jax
import numpy as np
from absl import flags
from harness import print_table

from siamjax.config import Config, SourceConfig, SyntheticConfig
from siamjax.config_files import load_config
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.optimizer import build_optimizer
from siamjax.training.phases import phases
from siamjax.training.state import create_state
from siamjax.training.step import make_step

RENDERED = SyntheticConfig(sequences=8, frames=30, frame_step=6)


def train(config: Config, devices: int, batches: list) -> np.ndarray:
    """Loss and gradient norm of each step, `[steps, 2]`."""
    mesh = parallel.make_mesh(jax.devices()[:devices])
    network, frozen = build_network(config.model), phases(config)[-1].frozen
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(create_state, init, build_optimizer(config), config.train.seed)
    step = parallel.compile_step(
        make_step(config, network, frozen), mesh, config, parallel.abstract_state(mesh, create)
    )
    state, history = parallel.create_on(mesh, create), []
    for batch in batches:
        stacked = config.train.parallel == "pmap"
        state, metrics = step(state, parallel.put_batch(batch, mesh, stacked=stacked))
        history.append([float(metrics[name]) for name in ("loss", "grad_norm")])
    return np.array(history)


def main() -> None:
    """Reads the options and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", default="configs/quickstart.py")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--devices", type=int, default=4)
    options = parser.parse_args()
    flags.FLAGS.mark_as_parsed()
    if jax.config.jax_platforms == "cpu":
        jax.config.update("jax_num_cpu_devices", options.devices)
    config = load_config(options.config)
    source = SourceConfig(synthetic=RENDERED, frame_range=30)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, sources=(source,))
    )
    with (
        tempfile.TemporaryDirectory() as cache,
        make_batches(config, cache_dir=Path(cache)) as made,
    ):
        batches = [next(made) for _ in range(options.steps)]
    results = {}
    for devices, how in ((1, "jit"), (options.devices, "jit"), (options.devices, "pmap")):
        train_config = dataclasses.replace(config.train, parallel=how)
        results[devices, how] = train(
            dataclasses.replace(config, train=train_config), devices, batches
        )
    alone = results[1, "jit"]
    rows = []
    for number in range(options.steps):
        row = [number + 1, f"{alone[number, 0]:.5f}", f"{alone[number, 1]:.5f}"]
        for key, history in results.items():
            if key != (1, "jit"):
                row += [f"{off:.1e}" for off in abs(history[number] / alone[number] - 1)]
        rows.append(row)
    names = [f"{how} on {devices}" for devices, how in results if devices > 1]
    head = [f"{what}, {name}" for name in names for what in ("loss off", "norm off")]
    print_table("Against one device", ["step", "loss", "grad norm", *head], rows)


if __name__ == "__main__":
    main()
