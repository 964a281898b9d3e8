"""Runs a tracker over a benchmark and reports; stopped, the same command goes on."""

import os
import sys

import tyro

from siamjax.commands.evaluate import evaluate


def main(words: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 bad input, 130 interrupted."""
    try:
        tyro.cli(evaluate, args=words)
    except (ValueError, OSError) as error:
        print(f"eval.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\neval.py: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    code = main()
    if code == 130:
        # After a compilation that was cut short the interpreter may crash in its own end.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
