"""Tables of scores: plain text, Markdown and LaTeX."""

from collections.abc import Sequence
from math import nan

from siamjax.evaluation.problems import Problem
from siamjax.evaluation.scoring import Scores, TrackerScores
from siamjax.files import printable

# Column headings by key, in order; the first score that a tracker has ranks it.
HEADINGS = {
    "eao": "EAO",
    "success_auc": "success AUC",
    "ao": "AO",
    "lt_f_score": "F-score",
    "precision_20px": "precision 20 px",
    "norm_precision": "norm. precision 0.20",
    "norm_precision_auc": "norm. precision AUC",
    "sr_050": "SR 0.50",
    "sr_075": "SR 0.75",
    "accuracy": "accuracy",
    "robustness": "robustness",
    "lost_number": "lost",
    "lt_precision": "precision",
    "lt_recall": "recall",
}
NAMED = 5  # missing sequences that are listed
LOWER_IS_BETTER = frozenset({"robustness", "lost_number"})


def columns(rows: list[Scores]) -> list[str]:
    """The keys that any of the rows has, in table order."""
    return [key for key in HEADINGS if any(key in row for row in rows)]


def quality(scores: Scores) -> tuple[float, ...]:
    """Sorting key, larger for better scores; VOT's sequences are ordered by failures."""
    if "eao" not in scores and "lost_number" in scores:
        return (-scores["lost_number"], scores.get("accuracy", 0.0))
    leading = next((scores[key] for key in HEADINGS if key in scores), float("-inf"))
    return (leading,)


def ranked(trackers: list[TrackerScores]) -> list[TrackerScores]:
    """Best first; then trackers with missing sequences, then those without a score."""

    def key(tracker: TrackerScores):
        return bool(tracker.overall), -len(tracker.missing), quality(tracker.overall)

    return sorted(trackers, key=key, reverse=True)


def comparable(trackers: list[TrackerScores]) -> list[TrackerScores]:
    """The trackers with a score and the fewest missing sequences: only these can be best."""
    scored = [t for t in trackers if t.overall]
    fewest = min((len(t.missing) for t in scored), default=0)
    return [t for t in scored if len(t.missing) == fewest]


def best_of(rows: list[Scores]) -> Scores:
    """The best value of each column."""
    return {
        key: (min if key in LOWER_IS_BETTER else max)(row[key] for row in rows if key in row)
        for key in columns(rows)
    }


def number(key: str, value: float | None) -> str:
    """The text of one cell; a dash for no value."""
    if value is None:
        return "-"
    return f"{value:.0f}" if key == "lost_number" and value == int(value) else f"{value:.3f}"


def as_text(trackers: list[TrackerScores], problems: list[Problem]) -> str:
    """The overall scores as an aligned table, best tracker first, followed by all problems."""
    lines = [f"problem: {problem}" for problem in problems]
    lines += [f"problem: {t.name}: {problem}" for t in trackers for problem in t.problems]
    table = aligned(_cells(trackers))
    table += [note for t in ranked(trackers) if (note := missing_note(t))]
    if lines:
        table.append(f"{len(lines)} problem{'s' if len(lines) > 1 else ''}:")
    return "\n".join(table + lines)


def missing_note(tracker: TrackerScores) -> str:
    """A note on the sequences missing from a tracker's overall scores; empty if none is."""
    if not tracker.missing:
        return ""
    shown = ", ".join(map(printable, tracker.missing[:NAMED]))
    more = f" and {len(tracker.missing) - NAMED} more" if len(tracker.missing) > NAMED else ""
    return (
        f"INCOMPLETE: {tracker.name} is scored on {tracker.count} sequences; missing: "
        f"{shown}{more}"
    )


def _cells(trackers: list[TrackerScores]) -> list[list[str]]:
    keys = columns([t.overall for t in trackers])
    rows = [["tracker", *(HEADINGS[key] for key in keys), "fps", "sequences"]]
    for tracker in ranked(trackers):
        numbers = [number(key, tracker.overall.get(key)) for key in keys]
        fps = f"{tracker.fps:,.0f}" if tracker.fps else "-"
        rows.append([tracker.name, *numbers, fps, tracker.count])
    return rows


def as_markdown(trackers: list[TrackerScores]) -> str:
    """The overall scores as a Markdown table, the best of each column in bold."""
    bold = "**{}**"
    return markdown_table(_with_best(trackers, bold, lambda text: text.replace("|", "\\|")))


def as_latex(trackers: list[TrackerScores]) -> str:
    """The overall scores as a LaTeX tabular (package booktabs), the best in bold."""
    return latex_table(_with_best(trackers, "\\textbf{{{}}}", escape_latex))


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines in columns: the first to the left, the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*table, strict=True))
    lines = []
    for name, *cells in table:
        padded = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
        lines.append("  ".join([name.ljust(first), *padded]))
    return lines


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the heading first, as a Markdown table."""
    heading, *rows = table
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, rule, *rows))


def latex_table(table: Sequence[Sequence[str]]) -> str:
    """Rows of escaped cells, the heading first, as a LaTeX tabular (package booktabs)."""
    heading, *rows = (" & ".join(row) + " \\\\" for row in table)
    columns = "l" + "r" * (len(table[0]) - 1)
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", heading, "\\midrule", *rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def escape_latex(text: str) -> str:
    """The text with LaTeX's special characters escaped."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)


def _with_best(trackers, bold: str, escape) -> list[list[str]]:
    keys = columns([t.overall for t in trackers])
    rivals = comparable(trackers)
    best = best_of([t.overall for t in rivals])
    cells = [[escape(cell) for cell in row] for row in _cells(trackers)]
    for row, tracker in zip(cells[1:], ranked(trackers), strict=True):
        for place, key in enumerate(keys, start=1):
            if tracker in rivals and tracker.overall.get(key) == best.get(key, nan):
                row[place] = bold.format(row[place])
    return cells
