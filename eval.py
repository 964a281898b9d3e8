"""Runs a tracker over a benchmark and reports; stopped, the same command goes on.

Exit codes: 0 done, 1 bad input, 3 done but for sequences that are missing from the scores, 130
interrupted.
"""

import tyro

from siamjax.commands.ending import end_process, run_command
from siamjax.commands.evaluate import evaluate


def main(words: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    return run_command(
        "eval.py",
        lambda: tyro.cli(evaluate, args=words),
        interrupted="interrupted; the same command goes on from here",
    )


if __name__ == "__main__":
    end_process(main())
