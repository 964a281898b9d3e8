"""Targets left out of a prepared set: counts by reason, with examples."""

from collections import Counter
from collections.abc import Iterable

from siamjax.files import printable

_EXAMPLES = 5


class Drops:
    """A tally of what was left out; merging tallies in order equals a single tally.

    Attributes:
        counts: number of targets by reason.
        examples: places of the first few, by reason.
        notes: counts of internal observations about all targets.
        remarks: counts of observations that the user is told.
    """

    def __init__(self):
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.notes: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()

    def add(self, reason: str, where: str, count: int = 1) -> None:
        """Counts targets that are left out."""
        self.counts[reason] += count
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(printable(where))

    def merge(self, other: "Drops") -> None:
        """Adds what another tally counted later."""
        for reason, found in other.examples.items():
            examples = self.examples.setdefault(reason, [])
            examples += found[: _EXAMPLES - len(examples)]
        self.counts.update(other.counts)
        self.notes.update(other.notes)
        self.remarks.update(other.remarks)

    @property
    def total(self) -> int:
        """The number of targets left out."""
        return self.counts.total()

    def lines(self) -> Iterable[str]:
        """A report, the most frequent reason first."""
        for reason, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            shown = ", ".join(self.examples[reason])
            more = " ..." if count > len(self.examples[reason]) else ""
            yield f"{count:8d}  {reason}: {shown}{more}"

    def told(self) -> Iterable[str]:
        """The remarks, the most frequent first."""
        for what, count in sorted(self.remarks.items(), key=lambda item: (-item[1], item[0])):
            yield f"{count:8d}  {what}"

    def to_dict(self) -> dict:
        """Plain JSON-ready values."""
        left_out = {
            reason: {"count": self.counts[reason], "examples": self.examples[reason]}
            for reason in sorted(self.counts)
        }
        return {"left_out": left_out, "notes": self.notes, "remarks": self.remarks}

    @classmethod
    def from_dict(cls, values: dict) -> "Drops":
        """The inverse of `to_dict`."""
        drops = cls()
        drops.notes.update(values.get("notes", {}))
        drops.remarks.update(values.get("remarks", {}))
        for reason, entry in values.get("left_out", {}).items():
            drops.counts[reason] = entry["count"]
            drops.examples[reason] = list(entry["examples"])
        return drops
