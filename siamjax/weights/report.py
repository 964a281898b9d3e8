"""What became of every key of a file, and of every array of ours."""

import dataclasses

from siamjax.weights.errors import WeightsError
from siamjax.weights.recipe import Shape


@dataclasses.dataclass
class Report:
    """The account of one conversion.

    Attributes:
        title: what the file was taken for, and the configuration.
        used: (key, our path, note); a key may serve twice.
        made: (our path, note) of arrays that needed no key.
        ignored: (key, reason).
        missing: (key, our path) that the file lacks.
        unexpected: keys without a place.
        misshapen: (key, its shape, the shape that our array needs).
        not_finite: (key, how many of its numbers are NaN or infinite).
    """

    title: str
    used: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    made: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    ignored: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    missing: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    unexpected: list[str] = dataclasses.field(default_factory=list)
    misshapen: list[tuple[str, Shape, Shape]] = dataclasses.field(default_factory=list)
    not_finite: list[tuple[str, int]] = dataclasses.field(default_factory=list)

    def sort(self, places: dict[str, int]) -> None:
        """Brings the keys into the file's order, given each key's place."""
        for entries in (self.used, self.misshapen, self.not_finite):
            entries.sort(key=lambda entry: places.get(entry[0], -1))

    @property
    def problems(self) -> list[str]:
        """One line for each key that keeps the file from being used."""
        return [
            *(f"missing: `{key}`, for {path}" for key, path in self.missing),
            *(f"unexpected: `{key}`" for key in self.unexpected),
            *(
                f"misshapen: `{key}` is {list(shape)} and must be {list(expected)}"
                for key, shape, expected in self.misshapen
            ),
            *(
                f"not finite: `{key}` holds {count} numbers that are NaN or infinite"
                for key, count in self.not_finite
            ),
        ]

    @property
    def summary(self) -> str:
        """One line with the counts."""
        keys = len({key for key, _, _ in self.used})
        return (
            f"{self.title}: {keys} keys used, {len(self.ignored)} ignored, "
            f"{len(self.made)} arrays made without one"
        )

    def text(self) -> str:
        """The whole account, a line for each key and each array without one."""
        rows = [(key, f"-> {path}", note) for key, path, note in self.used]
        rows += [("(none)", f"-> {path}", note) for path, note in self.made]
        rows += [(key, "ignored", reason) for key, reason in self.ignored]
        widths = [max(len(row[i]) for row in rows) if rows else 0 for i in range(2)]
        lines = [
            f"{key:{widths[0]}}  {place:{widths[1]}}  {note}".rstrip()
            for key, place, note in rows
        ]
        return "\n".join([self.summary, "", *lines, *self.problems]) + "\n"


class ConversionError(WeightsError):
    """A state dict does not fit the configuration; `report` says key by key why."""

    def __init__(self, report: Report):
        problems = report.problems
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__("\n  ".join([f"{report.title}: {count}", *problems]))
        self.report = report
