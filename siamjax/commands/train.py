"""What `train.py` does: trains a configuration in a work directory."""

from pathlib import Path

from siamjax.config import Config


def train(config: Config, workdir: Path) -> None:
    """Trains, validating on the way where the configuration says so."""
    from siamjax.commands.validation import make_validation
    from siamjax.training.loop import train as run

    run(config, workdir, make_validation(config))
