"""Which of a run's checkpoints tracks best, in a file beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

from siamjax.files import write_whole
from siamjax.text import read_object
from siamjax.training.processes import is_main


class Scores:
    """Scores of steps, the higher the better, in a file."""

    def __init__(self, path: Path):
        self._path = path
        try:
            stored = read_object(path)
            self._scores = {int(step): float(score) for step, score in stored.items()}
        except (ValueError, TypeError):
            self._scores = {}  # never written, or truncated

    def add(self, step: int, score: float) -> None:
        """Writes the score of a step."""
        self._scores[step] = score
        if not is_main():
            return
        write_whole(self._path, json.dumps(self._scores))

    def best(self, steps: Sequence[int]) -> int | None:
        """The step with the highest score, the last of equals; None without any score."""
        scored = [step for step in steps if step in self._scores]
        return max(scored, key=lambda step: (self._scores[step], step), default=None)
