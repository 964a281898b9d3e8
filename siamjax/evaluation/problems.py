"""Problems with sequences, such as a skipped one, reported at the end of a run."""

from typing import NamedTuple

from siamjax.files import printable


class Problem(NamedTuple):
    """A problem with one sequence, printed as one line."""

    sequence: str
    message: str

    def __str__(self):
        return printable(f"{self.sequence}: {self.message}")
