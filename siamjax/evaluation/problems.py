"""What is wrong with a sequence: skipped or left out, and told at the end of a run."""

from collections.abc import Iterable
from typing import NamedTuple

from siamjax.files import printable


class Problem(NamedTuple):
    """Something wrong with one sequence, in one line, for the list at the end of a run."""

    sequence: str
    message: str

    def __str__(self):
        return printable(f"{self.sequence}: {self.message}")


def as_problems(lines: Iterable[str]) -> list[Problem]:
    """Lines of the form `name: message` as problems."""
    parts = (line.partition(": ") for line in lines)
    return [Problem(name, message) for name, _, message in parts]
