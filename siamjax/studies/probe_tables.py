"""The numbers behind a study's heat-maps, as tables of text with the heading first."""

from collections.abc import Sequence

import numpy as np

from siamjax.studies.equivariance import at_border, in_middle
from siamjax.studies.plots import probes_of
from siamjax.studies.runs import Cell
from siamjax.studies.table import Spread

Lines = list[list[str]]


def probe_tables(cells: Sequence[Cell]) -> dict[str, Lines]:
    """Tables by their titles; only those that something was probed for."""
    tables = {
        "Position bias": _bias(cells),
        "Translation equivariance": _equivariance(cells),
    }
    return {title: lines for title, lines in tables.items() if len(lines) > 1}


def _bias(cells: Sequence[Cell]) -> Lines:
    heading = [
        "variant",
        "response in the centre, target elsewhere",
        "of an even response",
        "error, target near the centre, px",
        "error, target farthest out, px",
        "of always the centre, px",
    ]
    lines = [heading]
    for variant, found in probes_of(cells, "response").items():
        measured = [each["response"] for each in found]
        lines.append(
            [
                variant,
                _text(m["center_share"] for m in measured),
                _text((measured[0]["center_share_even"],)),
                _text((m["errors"][0] for m in measured), 1),
                _text((m["errors"][-1] for m in measured), 1),
                _text((measured[0]["errors_at_center"][-1],), 1),
            ]
        )
    return lines


def _equivariance(cells: Sequence[Cell]) -> Lines:
    lines = [["variant", "level", "error in the middle", "error at the border"]]
    for variant, found in probes_of(cells, "equivariance").items():
        for level in found[0]["equivariance"]:
            maps = [np.array(each["equivariance"][level]) for each in found]
            middle = _text(in_middle(each) for each in maps)
            lines.append([variant, level, middle, _text(at_border(each) for each in maps)])
    return lines


def _text(values, digits: int = 3) -> str:
    spread = Spread.of(values)
    return spread.text(digits) if spread else "-"
