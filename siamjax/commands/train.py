"""`siamjax train`: parses the command line, and trains.

The configuration is loaded before the other arguments are parsed: it provides their defaults.
"""

import argparse
import dataclasses
import inspect
from pathlib import Path
from typing import Annotated

import tyro

from siamjax.commands.ending import run_command
from siamjax.config import Config, ConfigError
from siamjax.config_files import load_config


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains the network of a configuration; the same command resumes an interrupted run."""

    config: Path  # a configuration by name or file, or the config.json of a run
    workdir: Path  # the folder of the run, created if missing
    dry_run: bool  # print the cost of a step and draw the first pairs, without training
    # First and last step of a profiler's trace, which goes to `profile/` in the work directory
    profile: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="FIRST LAST")]
    # Address of process 0, for several processes without Slurm, Open MPI or a TPU runtime
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")]
    num_processes: int | None  # number of processes, with --coordinator
    process_id: int | None  # 0-based index of this process, with --coordinator
    overrides: Annotated[tyro.conf.AvoidSubcommands[Config], tyro.conf.arg(name="")]


def train(arguments: list[str], prog: str = "siamjax train") -> int:
    """Trains a network, or resumes its training.

    `--config NAME --workdir FOLDER`; any field of the configuration can be overridden
    (`--optim.lr 0.01`), and `--config NAME --help` lists them. Exit codes: 0 finished,
    1 training failed, 2 invalid arguments, 130 and 143 stopped by Ctrl-C and SIGTERM after
    saving.
    """
    finder = argparse.ArgumentParser(prog, add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        print(f"usage: {prog} --config NAME --workdir FOLDER\n\n{inspect.getdoc(train)}")
        return 0 if {"-h", "--help"} & set(arguments) else 2

    def act() -> None:
        defaults = Arguments(
            path, tyro.MISSING, False, None, None, None, None, load_config(path)
        )
        _run(tyro.cli(Arguments, default=defaults, args=arguments, prog=prog))

    return run_command(prog, act, exit_codes={ConfigError: 2})


def _run(arguments: Arguments) -> None:
    # Slow to import, hence only once the arguments are known to be valid.
    from siamjax.training.processes import join_processes

    join_processes(arguments.coordinator, arguments.num_processes, arguments.process_id)
    config = arguments.overrides
    if arguments.dry_run:
        from siamjax.training.dry_run import dry_run

        dry_run(config, arguments.workdir)
        return
    from siamjax.api import validation_of
    from siamjax.training.loop import train

    train(config, arguments.workdir, validate=validation_of(config), profile=arguments.profile)
