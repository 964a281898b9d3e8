"""What a network costs: parameters, FLOPs and time per frame, training time; and a study."""

import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from siamjax.api import Model
from siamjax.config import Config
from siamjax.evaluation.report.tables import aligned
from siamjax.models.build import abstract_variables, build_network
from siamjax.studies.runs import Run
from siamjax.studies.study import Study
from siamjax.training.writers import read_metrics

TIMED_FRAMES = 20
# Forward and backward pass of a training pair, in forward passes of its search image: the
# template is a quarter of it, and the backward pass costs twice the forward pass.
FORWARDS_PER_PAIR = 3.75


def of_network(config: Config) -> dict[str, float]:
    """`parameters` (the number of trainable values) and `flops` of scoring one search image.

    FLOPs are counted before optimisation, two per multiply-add. Nothing is computed.
    """
    network = build_network(config.model)
    variables = abstract_variables(config.model)
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
    counted = predict.lower(variables, encoded, search).cost_analysis() or {}
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        "flops": float(counted.get("flops", 0.0)),
    }


def frame_ms(model: Model) -> float:
    """The median time to score one search image, milliseconds."""
    sides = (model.config.model.template_size, model.config.tracker.search_size)
    template, search = (jnp.zeros((1, side, side, 3)) for side in sides)
    encoded = model.encode_template(template)
    seconds = []
    for _ in range(1 + TIMED_FRAMES):
        began = time.perf_counter()
        jax.block_until_ready(model.predict(encoded, search))
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[1:])  # without compilation


def training_seconds(run: Path, batch_size: int) -> float:
    """The time spent in training steps, over all resumes of a run, from its metrics."""
    lines = training_lines(run)
    steps = [0, *(line["step"] for line in lines)]
    return sum(
        (line["step"] - before) * batch_size / line["pairs_per_second"]
        for before, line in zip(steps, lines, strict=False)
    )


def training_lines(run: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics that belong to training steps, if any."""
    return [line for line in read_metrics(run / "metrics.jsonl") if "loss" in line]


def training_curve(run: Path) -> dict[str, list[float]]:
    """`step`, `loss` and `grad_norm` of each line of a run's metrics, to four digits."""
    lines = training_lines(run)
    return {
        key: [float(f"{line[key]:.4g}") for line in lines]
        for key in ("step", "loss", "grad_norm")
    }


def level_weights(model: Model) -> dict[str, list[float]]:
    """What the levels' outputs are weighted with: `cls` and `loc`, one weight a level.

    Empty where no weights are learned.
    """
    learned = model.variables["params"].get("fusion", {})
    return {
        name.removesuffix("_weight"): jax.nn.softmax(values).tolist()
        for name, values in learned.items()
    }


def as_plan(study: Study, runs: list[Run]) -> str:
    """One line per variant, and the training time left, estimated from finished runs."""
    lines = [f"{study.name}: {len(runs)} runs", study.question, ""]
    table = [("variant", "runs", "done", "parameters", "pairs each", "PFLOPs each", "minutes")]
    seconds_per_flop, left = [], {}
    for variant in study.variants:
        own = [run for run in runs if run.variant == variant.name]
        if not own:
            continue
        train = variant.config.train
        pairs = train.steps * train.batch_size
        numbers = of_network(variant.config)
        flops = numbers["flops"] * FORWARDS_PER_PAIR * pairs
        done = [run.outcome for run in own if run.outcome is not None]
        seconds = [outcome["training_seconds"] for outcome in done]
        seconds_per_flop += [each / flops for each in seconds]
        left[variant.name] = (len(own) - len(done)) * flops
        table.append(
            (
                variant.name,
                str(len(own)),
                str(len(done)),
                f"{numbers['parameters'] / 1e6:.2f} M",
                f"{pairs:,}",
                f"{flops / 1e15:.3g}",
                f"{statistics.fmean(seconds) / 60:.1f}" if seconds else "-",
            )
        )
    lines += aligned(table)
    if seconds_per_flop:
        seconds = statistics.fmean(seconds_per_flop) * sum(left.values())
        lines.append(
            f"\nabout {seconds / 60:.0f} minutes of training left, estimated from finished runs"
        )
    else:
        lines.append(
            f"\n{sum(left.values()) / 1e15:.3g} PFLOPs of training left; the time is known "
            "once the first run is done"
        )
    return "\n".join(lines)
