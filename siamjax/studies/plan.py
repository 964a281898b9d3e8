"""What a study is going to cost, before it is run."""

import statistics

from siamjax.studies import cost
from siamjax.studies.runs import Cell
from siamjax.studies.study import Study

# Forward and backward pass of a training pair, in forward passes of its search image: the
# template is a quarter of it, and the backward pass costs twice the forward pass.
FORWARDS_A_PAIR = 3.75


def as_text(study: Study, cells: list[Cell]) -> str:
    """A line a variant, and the time that is left where finished cells tell it."""
    lines = [f"{study.name}: {len(cells)} cells", study.question, ""]
    header = ("variant", "cells", "done", "parameters", "pairs each", "PFLOPs each", "minutes")
    table = [header]
    seconds_a_flop, left = [], {}
    for variant in study.variants:
        own = [cell for cell in cells if cell.variant == variant.name]
        if not own:
            continue
        train = variant.config.train
        pairs = train.steps * train.batch_size
        numbers = cost.of_network(variant.config)
        flops = numbers["flops"] * FORWARDS_A_PAIR * pairs
        done = [cell.outcome for cell in own if cell.outcome is not None]
        seconds = [outcome["training_seconds"] for outcome in done]
        seconds_a_flop += [each / flops for each in seconds]
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
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    lines += [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in table
    ]
    if seconds_a_flop:
        seconds = statistics.fmean(seconds_a_flop) * sum(left.values())
        lines.append(
            f"\nabout {seconds / 60:.0f} minutes of training are left, by what is done"
        )
    else:
        lines.append(
            f"\n{sum(left.values()) / 1e15:.3g} PFLOPs of training are left; the time is known "
            "when the first cell is done"
        )
    return "\n".join(lines)
