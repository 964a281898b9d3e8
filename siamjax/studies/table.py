"""A study's outcomes as rows, and the rows as Markdown, LaTeX and CSV."""

import csv
import io
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from siamjax.evaluation.report.tables import HEADINGS, LOWER_IS_BETTER, escape_latex
from siamjax.studies.runs import Cell
from siamjax.studies.study import Study


class Spread(NamedTuple):
    """A mean over seeds, its standard deviation (None for one seed), and how many."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Of the values that are there; None where there is none."""
        values = [value for value in values if value is not None]
        if not values:
            return None
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))

    def text(self, digits: int = 3, *, signed: bool = False) -> str:
        """As `0.612 ± 0.010`."""
        mean = f"{self.mean:{'+' if signed else ''}.{digits}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{digits}f}"


class Row(NamedTuple):
    """One variant.

    `scores` and `differences` are by (benchmark, key); a difference is to the base with the
    same seed, so that what the seed does to both cancels.
    """

    variant: str
    is_base: bool
    published: str
    done: int  # cells
    planned: int
    scores: dict[tuple[str, str], Spread]
    differences: dict[tuple[str, str], Spread]
    costs: dict[str, Spread]  # parameters, flops, frame_ms, training_seconds


COSTS = ("parameters", "flops", "frame_ms", "training_seconds")
_COST_HEADINGS = ("parameters, M", "GFLOPs a frame", "ms a frame", "training, min")
_COST_UNITS = (1e6, 1e9, 1.0, 60.0)
_COST_DIGITS = (2, 2, 1, 1)


def rows_of(study: Study, cells: list[Cell]) -> list[Row]:
    """One row a variant, in the study's order, of whatever is done."""
    outcomes = {(cell.variant, cell.seed): cell.outcome for cell in cells}

    def by_seed(variant: str) -> dict[int, dict[str, Any]]:
        return {
            seed: outcomes[variant, seed]
            for seed in study.seeds
            if outcomes.get((variant, seed)) is not None
        }

    base = by_seed(study.base)
    rows = []
    for variant in study.variants:
        own = by_seed(variant.name)
        keys = [
            (benchmark.name, key)
            for benchmark in study.benchmarks
            for key in HEADINGS
            if any(key in o["benchmarks"].get(benchmark.name, {}) for o in own.values())
        ]
        scores, differences = {}, {}
        for benchmark, key in keys:
            values, theirs = (
                {
                    seed: outcome["benchmarks"][benchmark][key]
                    for seed, outcome in each.items()
                    if key in outcome["benchmarks"].get(benchmark, {})
                }
                for each in (own, base)
            )
            scores[benchmark, key] = Spread.of(values.values())
            both = Spread.of(values[s] - theirs[s] for s in values.keys() & theirs.keys())
            if both is not None and variant.name != study.base:
                differences[benchmark, key] = both
        rows.append(
            Row(
                variant.name,
                variant.name == study.base,
                variant.published,
                len(own),
                len(study.seeds),
                scores,
                differences,
                {key: Spread.of(o[key] for o in own.values()) for key in COSTS if own},
            )
        )
    return rows


def columns_of(rows: list[Row]) -> list[tuple[str, str]]:
    """The (benchmark, key) that any row has: each benchmark's numbers in a table's order."""
    found = dict.fromkeys(key for row in rows for key in row.scores)
    benchmarks = list(dict.fromkeys(benchmark for benchmark, _ in found))
    return [(b, key) for b in benchmarks for key in HEADINGS if (b, key) in found]


def as_cells(rows: list[Row]) -> list[list[str]]:
    """The table as text, heading first; a dash where nothing was measured."""
    columns = columns_of(rows)
    published = any(row.published for row in rows)
    heading = ["variant", "seeds"]
    for benchmark, key in columns:
        worse = ", lower is better" if key in LOWER_IS_BETTER else ""
        heading += [f"{HEADINGS[key]}, {benchmark}{worse}", "to the base"]
    heading += [*_COST_HEADINGS, *(["published"] * published)]
    table = [heading]
    for row in rows:
        line = [row.variant + " (base)" * row.is_base, f"{row.done} of {row.planned}"]
        for column in columns:
            line.append(_text(row.scores.get(column)))
            line.append("" if row.is_base else _text(row.differences.get(column), signed=True))
        for key, unit, digits in zip(COSTS, _COST_UNITS, _COST_DIGITS, strict=True):
            cost = row.costs.get(key)
            line.append("-" if cost is None else f"{cost.mean / unit:.{digits}f}")
        table.append([*line, *([row.published or "-"] * published)])
    return table


def as_markdown(table: list[list[str]]) -> str:
    """A table of text, heading first, in Markdown."""
    heading, *body = table
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heading, rule, *body))


def as_latex(rows: list[Row]) -> str:
    """The table as a LaTeX tabular (package booktabs)."""
    heading, *body = [
        [escape_latex(cell).replace("±", r"$\pm$") for cell in line] for line in as_cells(rows)
    ]
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}", "\\toprule"]
    lines += [" & ".join(heading) + " \\\\", "\\midrule"]
    lines += [" & ".join(line) + " \\\\" for line in body]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_csv(study: Study, cells: list[Cell]) -> str:
    """One line a cell that is done, every number unrounded."""
    done = [(cell, cell.outcome) for cell in cells if cell.outcome is not None]
    keys = list(
        dict.fromkeys(
            (benchmark, key)
            for _, outcome in done
            for benchmark, scores in outcome["benchmarks"].items()
            for key in scores
        )
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study", "variant", "seed", *(f"{b}/{k}" for b, k in keys), *COSTS])
    for cell, outcome in done:
        scores = [outcome["benchmarks"].get(b, {}).get(k, "") for b, k in keys]
        costs = [outcome[key] for key in COSTS]
        writer.writerow([study.name, cell.variant, cell.seed, *scores, *costs])
    return text.getvalue()


def _text(spread: Spread | None, *, signed: bool = False) -> str:
    return "-" if spread is None else spread.text(signed=signed)
