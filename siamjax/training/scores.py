"""How good each checkpoint is, and which of them stay: the last ones, and the best."""

import json
from collections.abc import Sequence
from pathlib import Path

from siamjax.files import write_whole
from siamjax.text import read_object
from siamjax.training.processes import is_main


class Scores:
    """Scores of steps, the higher the better, in a file that survives the process."""

    def __init__(self, path: Path):
        self._path = path
        try:
            stored = read_object(path)
            self._scores = {int(step): float(score) for step, score in stored.items()}
        except (ValueError, TypeError):
            self._scores = {}  # never written, or cut short: the next validation is the first

    def add(self, step: int, score: float) -> None:
        """Notes the score of a step, at once."""
        self._scores[step] = score
        if not is_main():
            return
        write_whole(self._path, json.dumps(self._scores))

    def best(self, steps: Sequence[int]) -> int | None:
        """The step with the highest score, of equals the last; None where none has one."""
        scored = [step for step in steps if step in self._scores]
        return max(scored, key=lambda step: (self._scores[step], step), default=None)


class LatestAndBest:
    """Keeps the last `keep` checkpoints and the one with the highest score.

    One of Orbax's preservation policies.
    """

    def __init__(self, keep: int, scores: Scores):
        self._keep, self._scores = keep, scores

    def should_preserve(self, checkpoints: Sequence, *, context: object) -> list[bool]:
        """For each checkpoint, oldest first, whether it stays."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-self._keep :], self._scores.best(steps)}
        return [step in kept for step in steps]
