"""Trains a network: python train.py --config configs/quickstart.py --workdir runs/quickstart

Any field of the configuration can be overridden (--optim.lr 0.01); with --config, --help lists
them. The same command goes on where it stopped. Exit codes: 0 finished, 1 cannot go on, 2 wrong
arguments, 130 and 143 stopped by Ctrl-C and SIGTERM after saving.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from absl import flags

from siamjax.config import Config, ConfigError
from siamjax.config_files import load_config


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains the network of a configuration, going on from where the work directory is."""

    config: Path  # a configuration file, or the config.json of a run
    workdir: Path  # where the run lives; made when it does not exist
    overrides: Annotated[tyro.conf.AvoidSubcommands[Config], tyro.conf.arg(name="")]


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    flags.FLAGS.mark_as_parsed()  # grain reads absl flags, which nobody parses
    os.environ.setdefault("NO_GCE_CHECK", "true")  # TFDS would look for a cloud
    # The file is read first: its values are the defaults of all other arguments.
    finder = argparse.ArgumentParser("train.py", add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        print(__doc__)
        return 0 if {"-h", "--help"} & set(arguments) else 2
    try:
        defaults = Arguments(path, tyro.MISSING, load_config(path))
        parsed = tyro.cli(Arguments, default=defaults, args=arguments, prog="train.py")
        from siamjax.commands.train import train  # after the arguments are known to be right

        train(parsed.overrides, parsed.workdir)
    except KeyboardInterrupt:
        print("train.py: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not (isinstance(error, OSError) or type(error).__module__.startswith("siamjax.")):
            raise
        print(f"train.py: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2 if isinstance(error, ConfigError) else 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
