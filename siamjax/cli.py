"""The `siamjax` command: a thin list of what `siamjax.commands` offers."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import tyro
from absl import flags

from siamjax.allocator import keep_freed_memory
from siamjax.commands.ablate import ablate
from siamjax.commands.check import check
from siamjax.commands.convert import convert
from siamjax.commands.ending import end_process, run_command
from siamjax.commands.evaluate import evaluate
from siamjax.commands.export import export
from siamjax.commands.export_weights import export_weights
from siamjax.commands.models import models
from siamjax.commands.pack import pack
from siamjax.commands.prepare import prepare
from siamjax.commands.release import release
from siamjax.commands.render import render
from siamjax.commands.report import report
from siamjax.commands.reproduce import reproduce
from siamjax.commands.score import score
from siamjax.commands.search import search
from siamjax.commands.track import track
from siamjax.commands.train import train
from siamjax.commands.vot import vot

COMMANDS: dict[str, Callable] = {
    "track": track,
    "train": train,
    "eval": evaluate,
    "vot": vot,
    "models": models,
    "release": release,
    "convert": convert,
    "export": export,
    "export-weights": export_weights,
    "render": render,
    "prepare": prepare,
    "check": check,
    "score": score,
    "report": report,
    "reproduce": reproduce,
    "pack": pack,
    "search": search,
    "ablate": ablate,
}


def main(arguments: list[str] | None = None, prog: str = "siamjax") -> int:
    """Runs one subcommand; returns the exit code (0 done, 1 bad input, 130 interrupted)."""
    # grain's and TFDS's absl flags are never parsed by us; reading them must still work.
    flags.FLAGS.mark_as_parsed()
    # TensorFlow-free by choice: keeps TFDS from looking for credentials on a cluster.
    os.environ.setdefault("NO_GCE_CHECK", "true")
    words = sys.argv[1:] if arguments is None else arguments
    name = words[0] if words else ""
    if prog == "siamjax" and name in ("train", "eval"):
        prog = f"siamjax {name}"
    if name == "train":
        return train(words[1:], prog)
    if name == "eval":
        return run_command(
            prog,
            lambda: tyro.cli(evaluate, args=words[1:], prog=prog),
            interrupted="interrupted; the same command resumes it",
        )
    commands = COMMANDS
    if name not in COMMANDS:
        commands = {name: _summary(act) for name, act in COMMANDS.items()}
    return run_command(
        "siamjax",
        lambda: tyro.extras.subcommand_cli_from_dict(
            commands,
            args=words,
            prog="siamjax",
            description="Siamese visual object tracking. `siamjax COMMAND --help` explains a "
            "command.",
        ),
    )


def _summary(act: Callable) -> Callable:
    """Stands for a command in the list of all: its docstring is the first line alone."""

    def summary() -> None: ...

    summary.__doc__ = (act.__doc__ or "").partition("\n")[0]
    return summary


def command(name: str | None = None) -> NoReturn:
    """Runs the subcommand that the command line names, or `name`, and ends the process."""
    keep_freed_memory()
    if name is not None:
        end_process(main([name, *sys.argv[1:]], Path(sys.argv[0]).name))
    # Imports and traces make many objects that stay: looking through them again and again for
    # garbage is a sixth of the time until a first box.
    gc.set_threshold(50_000)
    end_process(main())


if __name__ == "__main__":
    command()
