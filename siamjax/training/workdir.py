"""A work directory belongs to one configuration, stored in its `config.json`."""

import json
from fnmatch import fnmatch
from pathlib import Path

from siamjax.config import Config, ConfigError
from siamjax.config_files import config_to_dict, differences, load_config
from siamjax.files import write_whole

# May change when a run is resumed: nothing here influences a parameter.
FREE = (
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.max_skipped",
    "train.tensorboard",
    "train.picture_every",
    "data.num_workers",
    "data.num_threads",
    "tracker.*",
    "validation.*",
)


def check_workdir(workdir: Path, config: Config) -> None:
    """Raises `ConfigError` unless the directory is new or belongs to `config`.

    The fields in `FREE` may differ. The message names the others that do.
    """
    if workdir.exists() and not workdir.is_dir():
        raise ConfigError(f"`workdir` (={str(workdir)!r}) must be a folder; this is a file")
    stored = workdir / "config.json"
    if not stored.is_file():
        # A start that failed leaves an empty folder behind.
        folder = workdir / "checkpoints"
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(
                f"`workdir` (={str(workdir)!r}) has checkpoints but no config.json, which "
                "would say what they belong to; choose another directory"
            )
        return
    try:
        owner = load_config(stored)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{stored} cannot be read ({error}), so the directory may belong to another "
            "configuration; choose another `workdir`"
        ) from error
    changed = [
        f"`{name}` is {theirs!r} there and {ours!r} now"
        for name, (ours, theirs) in differences(config, owner).items()
        if not any(fnmatch(name, pattern) for pattern in FREE)
    ]
    if changed:
        raise ConfigError(
            f"`workdir` (={str(workdir)!r}) belongs to another configuration: "
            f"{'; '.join(changed)}. Choose another directory, or resume with the run's own "
            f"configuration: --config {stored}"
        )


def write_config(workdir: Path, config: Config) -> None:
    """Writes `workdir/config.json`, whole or not at all."""
    write_whole(workdir / "config.json", json.dumps(config_to_dict(config), indent=2) + "\n")
