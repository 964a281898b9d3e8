"""What `train.py` does: reads the command line, and trains.

The file of the configuration is read before the other arguments are: its values are their
defaults.
"""

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Annotated

import tyro
from absl import flags

from siamjax.commands.ending import run_command
from siamjax.config import Config, ConfigError
from siamjax.config_files import load_config


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains the network of a configuration; the same command resumes an interrupted run."""

    config: Path  # a configuration file, or the config.json of a run
    workdir: Path  # the folder of the run, created if needed
    dry_run: bool  # print the cost of a step and draw the first pairs, without training
    # First and last step of a profiler's trace, which goes to `profile/` in the work directory
    profile: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="FIRST LAST")]
    # Address of process 0, for several processes without Slurm, Open MPI or a TPU runtime
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")]
    num_processes: int | None  # how many processes, with --coordinator
    process_id: int | None  # number of this process, from 0, with --coordinator
    overrides: Annotated[tyro.conf.AvoidSubcommands[Config], tyro.conf.arg(name="")]


def main(arguments: list[str], usage: str) -> int:
    """Trains as the arguments say; returns the exit code. `usage` is shown without any."""
    flags.FLAGS.mark_as_parsed()  # grain reads absl flags, which nobody parses
    os.environ.setdefault("NO_GCE_CHECK", "true")  # TFDS would look for a cloud
    finder = argparse.ArgumentParser("train.py", add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        print(usage)
        return 0 if {"-h", "--help"} & set(arguments) else 2

    def act() -> None:
        defaults = Arguments(
            path, tyro.MISSING, False, None, None, None, None, load_config(path)
        )
        _run(tyro.cli(Arguments, default=defaults, args=arguments, prog="train.py"))

    return run_command("train.py", act, exit_codes={ConfigError: 2})


def _run(arguments: Arguments) -> None:
    # after the arguments are known to be right: these are slow to import
    from siamjax.training.processes import is_main, join_processes

    join_processes(arguments.coordinator, arguments.num_processes, arguments.process_id)
    from siamjax.evaluation.validation import make_validation
    from siamjax.models.build import build_network
    from siamjax.tracking.batch import BatchTracker
    from siamjax.training.loop import train

    config = arguments.overrides
    if arguments.dry_run:
        from siamjax.training.dry_run import dry_run

        dry_run(config, arguments.workdir)
        return
    validate = None
    if config.validation.data:
        network = build_network(config.model)

        def make_tracker(variables: dict, slots: int) -> BatchTracker:
            return BatchTracker(network, variables, config, slots)

        validate = make_validation(config, make_tracker) if is_main() else dict
    train(config, arguments.workdir, validate=validate, profile=arguments.profile)
