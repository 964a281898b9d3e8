"""What a training would cost: the step is compiled, never run."""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import jax
import matplotlib.image

from siamjax.config import Config
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.monitoring import first_pairs
from siamjax.training.optimizer import build_optimizer
from siamjax.training.pair_images import draw_pairs
from siamjax.training.phases import phases, rate_scales
from siamjax.training.state import TrainState, create_state
from siamjax.training.step import make_step

IMAGE = "first_batch.png"


def dry_run(config: Config, workdir: str | Path) -> None:
    """Prints parameters, FLOPs and memory of a step; draws the first batch's first pairs.

    The image goes to `workdir/first_batch.png`, a rendered set to `workdir/data`, as in a
    training; nothing else is written, so that another configuration may use the directory.
    Raises what a training would raise before its first step.
    """
    config.check_training()
    workdir = Path(workdir).resolve()
    mesh = parallel.make_mesh()
    parallel.check_batch_size(config.train, mesh.size)
    network = build_network(config.model)
    init = functools.partial(init_variables, network, config=config.model)
    create = functools.partial(
        create_state,
        init,
        build_optimizer(config),
        config.train.seed,
        averaged=config.train.average_decay > 0,
    )
    state = parallel.abstract_state(mesh, create)
    with make_batches(config, cache_dir=workdir / "data") as batches:
        pairs = first_pairs(next(batches), config)
    workdir.mkdir(parents=True, exist_ok=True)
    matplotlib.image.imsave(workdir / IMAGE, draw_pairs(pairs, config.model))

    batch = parallel.abstract_batch(config, mesh)
    train, devices = config.train, f"{mesh.size} {jax.default_backend()} device"
    devices += "s" * (mesh.size > 1)
    print(f"{config.name}: batch of {train.batch_size} on {devices}, {train.parallel}")
    print(f"  steps: {train.steps}, {train.steps_per_epoch} an epoch")
    print(f"  a batch: {_megabytes(_bytes(batch))}; a checkpoint: {_megabytes(_bytes(state))}")
    for phase in phases(config):
        print(f"from step {phase.first_step}:" if phase.first_step else "from the first step:")
        _print_phase(config, network, phase.frozen, mesh, state)
    print(f"first pairs with their targets: {workdir / IMAGE}")


def _print_phase(config: Config, network, frozen: tuple[str, ...], mesh, state: TrainState):
    scales = rate_scales(state.params, config, frozen)
    sizes = jax.tree.map(lambda leaf: leaf.size, state.params)
    trained = jax.tree.map(lambda size, scale: size if scale else 0, sizes, scales)
    total, moved = (sum(jax.tree.leaves(tree)) for tree in (sizes, trained))
    print(f"  parameters: {total:,}, {moved:,} of them trained")
    flops = step_flops(config, network, frozen, state)
    if flops:
        print(f"  arithmetic: {flops / 1e9:.4g} GFLOP a step, of all devices together")
    compiled = parallel.compile_step(make_step(config, network, frozen), mesh, config, state)
    memory = step_bytes(compiled)
    if memory is not None:
        print(f"  memory: {_megabytes(memory)} on each device, estimated by the compiler")


def step_flops(config: Config, network, frozen: tuple[str, ...], state: TrainState) -> float:
    """Floating-point operations of one step over the whole batch, as XLA counts them.

    Counted before the program is partitioned or optimised, so that neither devices nor
    micro-batches matter; 0 if the backend does not count.
    """
    whole = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, remat=False),
        train=dataclasses.replace(
            config.train, parallel="jit", batch_stats="global", micro_batches=1
        ),
    )
    if config.model.remat:
        network = build_network(whole.model)  # recomputed activations are counted once
    batch = parallel.abstract_batch(whole, parallel.make_mesh(jax.devices()[:1]))
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (state, batch)
    )
    counted = jax.jit(make_step(whole, network, frozen)).lower(*shapes).cost_analysis() or {}
    flops = counted.get("flops", 0.0)
    return flops if math.isfinite(flops) and flops > 0 else 0.0


def step_bytes(compiled: Any) -> int | None:
    """Memory on one device while a compiled step runs, in bytes; None if unknown."""
    analysis = getattr(compiled, "memory_analysis", lambda: None)()
    if analysis is None:
        return None
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
