"""Problems with sequences, such as a skipped one, reported at the end of a run."""

from collections.abc import Iterable
from typing import NamedTuple

from siamjax.files import printable


class Problem(NamedTuple):
    """A problem with one sequence, printed as one line."""

    sequence: str
    message: str

    def __str__(self):
        return printable(f"{self.sequence}: {self.message}")


def as_problems(lines: Iterable[str]) -> list[Problem]:
    """Lines of the form `name: message` as problems."""
    parts = (line.partition(": ") for line in lines)
    return [Problem(name, message) for name, _, message in parts]
