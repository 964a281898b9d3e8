"""What a network costs: parameters, arithmetic and time of one tracked frame, training time."""

import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from siamjax.api import Model
from siamjax.config import Config
from siamjax.models.build import build_network, init_variables
from siamjax.training.writers import read_metrics

TIMED_FRAMES = 20


def of_network(config: Config) -> dict[str, float]:
    """`parameters` (all that is learned) and `flops` of scoring one search image.

    FLOPs are those of the network as this backend's compiler gets it, two for a
    multiplication with addition. Nothing is computed.
    """
    network = build_network(config.model)
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, config.model), jax.random.key(0)
    )
    template, search = (
        jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
        for side in (config.model.template_size, config.tracker.search_size)
    )
    encoded = jax.eval_shape(
        lambda *arguments: network.apply(*arguments, method=network.encode_template),
        variables,
        template,
    )
    predict = jax.jit(lambda *arguments: network.apply(*arguments, method=network.predict))
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "flops": float(predict.lower(variables, encoded, search).cost_analysis()["flops"]),
    }


def frame_ms(model: Model) -> float:
    """The median time in which one search image is scored, milliseconds."""
    sides = (model.config.model.template_size, model.config.tracker.search_size)
    template, search = (jnp.zeros((1, side, side, 3)) for side in sides)
    encoded = model.encode_template(template)
    seconds = []
    for _ in range(1 + TIMED_FRAMES):
        began = time.perf_counter()
        jax.block_until_ready(model.predict(encoded, search))
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[1:])  # the first one compiles


def training_seconds(run: Path, batch_size: int) -> float:
    """Time in training steps, of all legs of a run, from what it wrote."""
    lines = training_lines(run)
    steps = [0, *(line["step"] for line in lines)]
    return sum(
        (line["step"] - before) * batch_size / line["pairs_per_second"]
        for before, line in zip(steps, lines, strict=False)
    )


def training_lines(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics that are about training steps; none before it began."""
    return [line for line in read_metrics(run / "metrics.jsonl") if "loss" in line]
