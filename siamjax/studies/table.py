"""A study's tables: claims, scores and costs by variant, probes; as Markdown, LaTeX and CSV."""

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from siamjax.evaluation.report.tables import (
    HEADINGS,
    LOWER_IS_BETTER,
    escape_latex,
    latex_table,
)
from siamjax.studies.probes import at_border, in_middle
from siamjax.studies.runs import COSTS, Run, probes_of
from siamjax.studies.study import Claim, Study


class Spread(NamedTuple):
    """A mean over seeds, its standard deviation (None for one seed), and their number."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Of the values that are not None; None without any."""
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
    same seed, which cancels the effect of the seed.
    """

    variant: str
    is_base: bool
    published: str
    done: int  # runs
    planned: int
    scores: dict[tuple[str, str], Spread]
    differences: dict[tuple[str, str], Spread]
    costs: dict[str, Spread]  # parameters, flops, frame_ms, training_seconds


_COST_HEADINGS = ("parameters, M", "GFLOPs a frame", "ms a frame", "training, min")
_COST_UNITS = (1e6, 1e9, 1.0, 60.0)
_COST_DIGITS = (2, 2, 1, 1)


def rows_of(study: Study, runs: list[Run]) -> list[Row]:
    """One row per variant, in the study's order, from the runs that are done."""
    done = [(run, outcome) for run in runs if (outcome := run.outcome) is not None]

    def by_seed(variant: str) -> dict[int, dict[str, Any]]:
        return {r.seed: o for r, o in done if r.variant == variant and r.seed in study.seeds}

    base = by_seed(study.base)
    rows = []
    for variant in study.variants:
        own = by_seed(variant.name)
        keys = [
            (benchmark.name, key)
            for benchmark in study.benchmarks
            for key in HEADINGS
            if key in (benchmark.scores or HEADINGS)
            and any(key in o["benchmarks"].get(benchmark.name, {}) for o in own.values())
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
                {k: s for k in COSTS if (s := Spread.of(o[k] for o in own.values()))},
            )
        )
    return rows


def verdict_on(differences: Sequence[float]) -> str:
    """Whether a claim holds, by the differences that it says are positive, one a seed.

    It holds, or fails, if all of three or more have the same sign and their mean exceeds
    their standard deviation.
    """
    spread = Spread.of(differences)
    if spread is None:
        return "not run"
    if spread.count < 3 or spread.deviation is None:
        return "not decided: fewer than three seeds"
    clear = abs(spread.mean) > spread.deviation
    if clear and min(differences) > 0:
        return "holds"
    return "fails" if clear and max(differences) < 0 else "not decided"


def claim_lines(study: Study, runs: Sequence[Run]) -> list[list[str]]:
    """A line per claim of the study, heading first: both scores, the difference by seed."""
    done = {(run.variant, run.seed): o for run in runs if (o := run.outcome) is not None}

    def scores(variant: str, claim: Claim) -> dict[int, float]:
        found = {s: done[variant, s] for s in study.seeds if (variant, s) in done}
        by_seed = {s: o["benchmarks"].get(claim.benchmark, {}) for s, o in found.items()}
        sign = -1 if claim.score in LOWER_IS_BETTER else 1
        return {
            s: sign * each[claim.score] for s, each in by_seed.items() if claim.score in each
        }

    lines = [
        ["claim", "published", "measured by", "more", "less", "difference", "does it hold?"]
    ]
    for claim in study.claims:
        more, less = scores(claim.better, claim), scores(claim.worse, claim)
        differences = [more[seed] - less[seed] for seed in more.keys() & less.keys()]
        spread = Spread.of(differences)
        lines.append(
            [
                claim.text,
                claim.published or "-",
                f"{HEADINGS[claim.score]}, {claim.benchmark}",
                f"{claim.better}: {_text(Spread.of(map(abs, more.values())))}",
                f"{claim.worse}: {_text(Spread.of(map(abs, less.values())))}",
                _text(spread, signed=True),
                verdict_on(differences),
            ]
        )
    return lines


def columns_of(rows: list[Row]) -> list[tuple[str, str]]:
    """The (benchmark, key) of any row, benchmark by benchmark, keys in a table's order."""
    found = dict.fromkeys(key for row in rows for key in row.scores)
    benchmarks = list(dict.fromkeys(benchmark for benchmark, _ in found))
    return [(b, key) for b in benchmarks for key in HEADINGS if (b, key) in found]


def as_lines(rows: list[Row]) -> list[list[str]]:
    """The table as lines of text, heading first; a dash for a missing value."""
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


def as_latex(rows: list[Row]) -> str:
    """The table as a LaTeX tabular (package booktabs)."""
    return latex_table(
        [
            [escape_latex(text).replace("±", r"$\pm$") for text in line]
            for line in as_lines(rows)
        ]
    )


def as_csv(study: Study, runs: list[Run]) -> str:
    """One line per finished run, numbers unrounded."""
    done = [(run, run.outcome) for run in runs if run.outcome is not None]
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
    for run, outcome in done:
        scores = [outcome["benchmarks"].get(b, {}).get(k, "") for b, k in keys]
        costs = [outcome[key] for key in COSTS]
        writer.writerow([study.name, run.variant, run.seed, *scores, *costs])
    return text.getvalue()


def _text(spread: Spread | None, *, signed: bool = False) -> str:
    return "-" if spread is None else spread.text(signed=signed)


def probe_tables(runs: Sequence[Run]) -> dict[str, list[list[str]]]:
    """The tables behind the heat maps, by title; only those that have lines."""
    tables = {"Position bias": _bias(runs), "Translation equivariance": _equivariance(runs)}
    return {title: lines for title, lines in tables.items() if len(lines) > 1}


def _bias(runs: Sequence[Run]) -> list[list[str]]:
    heading = [
        "variant",
        "response in the centre, target elsewhere",
        "of an even response",
        "error, target near the centre, px",
        "error, target farthest out, px",
        "of always the centre, px",
    ]
    lines = [heading]
    for variant, found in probes_of(runs, "response").items():
        measured = [each["response"] for each in found]
        lines.append(
            [
                variant,
                _spread(m["center_share"] for m in measured),
                _spread((measured[0]["center_share_even"],)),
                _spread((m["errors"][0] for m in measured), 1),
                _spread((m["errors"][-1] for m in measured), 1),
                _spread((measured[0]["errors_at_center"][-1],), 1),
            ]
        )
    return lines


def _equivariance(runs: Sequence[Run]) -> list[list[str]]:
    lines = [["variant", "level", "error in the middle", "error at the border"]]
    for variant, found in probes_of(runs, "equivariance").items():
        for level in found[0]["equivariance"]:
            maps = [np.array(each["equivariance"][level]) for each in found]
            middle = _spread(in_middle(each) for each in maps)
            lines.append([variant, level, middle, _spread(at_border(each) for each in maps)])
    return lines


def _spread(values, digits: int = 3) -> str:
    spread = Spread.of(values)
    return spread.text(digits) if spread else "-"
