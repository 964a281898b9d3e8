"""Checkpoints on disk. The one file that knows Orbax.

A run's folder holds `checkpoints/<step>/`, each with two trees: `model` (`params` and
`batch_stats`, all that evaluation reads) and `optimizer` (the rest of the state). In a run
that averages its variables, `model` is the average, and a third tree, `current`, holds the
variables that training resumes from. Orbax writes a step under a temporary name and renames it
when it is complete. Its metadata name the configuration and the versions that wrote it, and a
checksum of each tree, since the array format has none. `scores.json` holds the scores of steps.
"""

import contextlib
import errno
import importlib.metadata
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

import siamjax
from siamjax.config import Config
from siamjax.config_files import config_to_dict
from siamjax.errors import InputError
from siamjax.models.trees import describe, difference
from siamjax.training.orbax_noise import (
    close_abandoned_coroutines,
    closed_loops_ignored,
    collector_paused,
    orbax_logs_to_debug,
)
from siamjax.training.processes import is_main
from siamjax.training.scores import Scores
from siamjax.training.state import TrainState
from siamjax.training.workdir import write_config

logger = logging.getLogger(__name__)

# Failures of the machine: no reason to set a checkpoint aside as damaged.
_NOT_DAMAGE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM}
_OPEN_FILES = 64  # at most, of Orbax


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, another model's, or cannot be written."""


class _DamagedError(Exception):
    """A checkpoint is there, but cannot be read."""


class Checkpoints:
    """A run's checkpoints: saved in the background, the last `keep` and the best one kept.

    The best is the one with the highest score given to `add_score`; `best`, a link beside the
    steps, leads to it. To be used as a context manager, which waits at its end for the save
    under way.
    """

    def __init__(self, folder: Path, *, keep: int, config: Config):
        _check_open_files()
        self._folder = folder.resolve()
        self._about = _about(config)
        self._saving: int | None = None
        self._scores = Scores(self._folder / "scores.json")
        self._orbax = ocp.training.Checkpointer(
            str(self._folder),
            preservation_policy=_LatestAndBest(keep, self._scores),
            cleanup_tmp_directories=True,
        )
        self._logging = contextlib.ExitStack()

    def __enter__(self) -> "Checkpoints":
        # Background threads log a traceback of whatever `wait` raises.
        self._logging.enter_context(orbax_logs_to_debug(exceptions_only=True))
        return self

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self.wait()
        except CheckpointError as failure:
            if error is None:
                raise
            logger.warning("%s", failure)
        finally:
            self._orbax.close()
            self._logging.close()

    def latest(self) -> Path | None:
        """The folder of the newest complete checkpoint, without waiting for one under way."""
        steps = _steps(self._folder)
        return self._folder / str(steps[-1]) if steps else None

    def add_score(self, step: int, score: float) -> None:
        """Notes the score of the state after `step`, saved already or about to be."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scores.add(step, score)
        self._link_best()

    def _link_best(self) -> None:
        best, link = self._scores.best(_steps(self._folder)), self._folder / "best"
        if (
            best is None
            or not is_main()
            or (link.is_symlink() and link.readlink().name == str(best))
        ):
            return
        partial = self._folder / "best.partial"
        partial.unlink(missing_ok=True)
        partial.symlink_to(str(best), target_is_directory=True)
        partial.replace(link)

    def check_space(self, state: TrainState) -> None:
        """Raises `CheckpointError` when the disk lacks space for one more checkpoint."""
        needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise CheckpointError(
                f"a checkpoint takes {needed / 1e6:.1f} MB, but {self._folder} has only "
                f"{free / 1e6:.1f} MB left; free some space, then run the same command again"
            )

    def save(self, state: TrainState) -> None:
        """Starts saving `state` under its step; it may be donated as soon as this returns.

        Raises `CheckpointError` when this save cannot start or the one before it failed.
        """
        self.wait()
        _check_open_files()
        self.check_space(state)
        parts = _parts(state)
        checksums: Any = {name: _checksum(tree) for name, tree in parts.items()}
        self._saving = int(jax.device_get(state.step))
        with self._explained():
            self._orbax.save_checkpointables_async(
                self._saving,
                parts,
                force=True,
                custom_metadata={**self._about, "crc32": checksums},
            )

    def wait(self) -> None:
        """Waits for the save under way; raises `CheckpointError` when it failed."""
        with self._explained():
            self._orbax.wait()
        if self._saving is not None:
            self._saving = None
            self._link_best()

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        # Tensorstore reports a full disk as ValueError, the file system as OSError.
        except Exception as error:
            step, self._saving = self._saving, None
            last = self.latest()
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {self._folder}: "
                f"{_first_line(error)} (the last complete one: {last or 'none'})"
            ) from error

    def restore(self, like: TrainState) -> TrainState | None:
        """The newest state that can be read, placed as `like` is; None when there is none.

        `like` is a state, or its shapes from `parallel.abstract_state`.

        A damaged checkpoint is renamed to `<step>.damaged` with a warning, and the one before
        it is taken. Raises `CheckpointError` when all are damaged, or when the newest belongs
        to another model.
        """
        _check_open_files()
        damaged = []
        for step in reversed(_steps(self._folder)):
            folder = self._folder / str(step)
            if (folder / "model").is_dir() and not (folder / "optimizer").is_dir():
                raise CheckpointError(
                    f"{folder} holds a network's variables, not a training state; "
                    "choose another `workdir`"
                )
            averaged = (folder / "current").is_dir()
            if averaged != (like.average is not None) and (folder / "model").is_dir():
                raise CheckpointError(
                    f"{folder} holds {'an' if averaged else 'no'} average of the weights, and "
                    f"`train.average_decay` asks for {'none' if averaged else 'one'}; set it "
                    "as it was, or choose another `workdir`"
                )
            try:
                parts = _load(folder, jax.tree.map(_abstract, _parts(like)))
            except _DamagedError as error:
                logger.warning("%s; trying the checkpoint before it", error)
                damaged.append(folder)
                continue
            for folder in damaged:
                folder.rename(folder.with_name(f"{folder.name}.damaged"))
            self._orbax.reload()
            average = parts["model"] if "current" in parts else None
            variables = parts.get("current", parts["model"])
            return TrainState(**variables, **parts["optimizer"], average=average)
        if damaged:
            raise _only_damaged(self._folder, damaged)
        return None


def load_variables(path: str | Path, abstract_variables: dict[str, Any]) -> dict[str, Any]:
    """The `{"params": ..., "batch_stats": ...}` of a checkpoint, as arrays on one device.

    `path` is a work directory or its `checkpoints` folder (the newest step that can be read
    is taken), or the folder of one step. `abstract_variables` holds the shapes that the
    network expects, from `jax.eval_shape`; leaves with a sharding are placed accordingly.

    Raises `CheckpointError` when nothing can be read there, or when it is another model's.
    """
    abstract = {"model": jax.tree.map(_abstract, abstract_variables)}
    return _newest(path, lambda folder: _load(folder, abstract)["model"])


def stored_variables(path: str | Path) -> dict[str, Any]:
    """The `{"params": ..., "batch_stats": ...}` of a checkpoint, whatever network's, as NumPy.

    `path` as in `load_variables`. Raises `CheckpointError` when nothing can be read there.
    """

    def load(folder: Path) -> dict[str, Any]:
        with _reading(folder):
            model = ocp.checkpointables_metadata(str(folder)).metadata["model"]
            abstract = jax.tree.map(
                lambda leaf: _abstract(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)), model
            )
        return jax.device_get(_load(folder, {"model": abstract})["model"])

    return _newest(path, load)


def _newest(path: str | Path, load: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The result of `load` for the newest checkpoint that can be read."""
    _check_open_files()
    folders = _step_folders(Path(path).resolve())
    for folder in folders:
        try:
            return load(folder)
        except _DamagedError as error:
            logger.warning(
                "%s%s", error, "; trying the one before it" * (folder != folders[-1])
            )
    raise _only_damaged(Path(path), folders)


def save_variables(path: str | Path, variables: dict[str, Any], config: Config) -> None:
    """Writes converted variables as a work directory with one checkpoint, of step 0.

    Raises `CheckpointError` when `path` holds something already.
    """
    path = Path(path).resolve()
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise CheckpointError(f"{path} holds something already; choose another folder")
    model = {key: variables[key] for key in ("params", "batch_stats")}
    write_config(path, config)
    try:
        ocp.save_checkpointables(
            str(path / "checkpoints" / "0"),
            {"model": model},
            custom_metadata={**_about(config), "crc32": {"model": _checksum(model)}},
        )
    except Exception as error:
        raise CheckpointError(f"{path} could not be written: {_first_line(error)}") from error


def _parts(state: TrainState) -> dict[str, Any]:
    current = {} if state.average is None else {"current": state.variables}
    return {
        "model": state.eval_variables,
        "optimizer": {
            "step": state.step,
            "skipped": state.skipped,
            "opt_state": state.opt_state,
        },
        **current,
    }


def _load(folder: Path, abstract: dict[str, Any]) -> dict[str, Any]:
    with _reading(folder):
        metadata = ocp.checkpointables_metadata(str(folder))
        about: Any = metadata.custom_metadata or {}
        found = {name: describe(metadata.metadata[name]) for name in abstract}
        if not all(found.values()):
            raise InputError("its description is unreadable")
    for name, tree in abstract.items():
        differs = difference(found[name], describe(tree))
        if differs:
            writer = about.get("config", {}).get("name", "unknown")
            raise CheckpointError(
                f"checkpoint {folder}, written by configuration {writer!r}, is another "
                f"model's: {differs}"
            )
    with _reading(folder):
        loaded = ocp.load_checkpointables(str(folder), abstract)
        for name, tree in loaded.items():
            if _checksum(tree) != about["crc32"][name]:
                raise InputError(f"the checksum of its {name} is wrong")
    return loaded


@contextlib.contextmanager
def _reading(folder: Path) -> Generator[None]:
    """Turns errors inside into `_DamagedError`, or `CheckpointError` if the machine failed."""
    problem, is_damage = None, True
    with orbax_logs_to_debug(), closed_loops_ignored(), collector_paused():
        try:
            yield
        except Exception as error:
            problem = _first_line(error)
            is_damage = getattr(error, "errno", None) not in _NOT_DAMAGE
            is_damage &= not isinstance(error, MemoryError)
        if problem is not None:
            close_abandoned_coroutines()
    if problem is not None and not is_damage:
        raise CheckpointError(f"checkpoint {folder} cannot be read here: {problem}")
    if problem is not None:
        raise _DamagedError(f"checkpoint {folder} is damaged: {problem}")


class _LatestAndBest:
    """Orbax's preservation policy: the last `keep` checkpoints and the best one."""

    def __init__(self, keep: int, scores: Scores):
        self._keep, self._scores = keep, scores

    def should_preserve(self, checkpoints: Sequence, *, context: object) -> list[bool]:
        """For each checkpoint, oldest first, whether it is kept."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-self._keep :], self._scores.best(steps)}
        return [step in kept for step in steps]


def _check_open_files() -> None:
    """Raises `CheckpointError` when too few files can be opened to read a checkpoint."""
    held: list[int] = []
    try:
        while len(held) < _OPEN_FILES:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise CheckpointError(
            f"a checkpoint may take {_OPEN_FILES} open files, and this process can open "
            f"{len(held)} more ({error.strerror}); raise the limit, with `ulimit -n 4096`, "
            "then run the same command again"
        ) from error
    finally:
        for descriptor in held:
            os.close(descriptor)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _checksum(tree: Any) -> int:
    checksum = 0
    for leaf in jax.tree.leaves(tree):
        checksum = zlib.crc32(np.ascontiguousarray(jax.device_get(leaf)).data, checksum)
    return checksum


def _step_folders(path: Path) -> list[Path]:
    """The checkpoint folders at `path`, the newest first."""
    if (path / "model").is_dir():
        return [path]
    folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    folders = [folder / str(step) for step in reversed(_steps(folder))]
    if not folders:
        raise CheckpointError(
            f"{path} holds no checkpoint: expected the work directory of a training, its "
            "`checkpoints` folder, or one step in there"
        )
    return folders


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def _only_damaged(path: Path, folders: list[Path]) -> CheckpointError:
    names = ", ".join(folder.name for folder in folders)
    return CheckpointError(f"{path} has no checkpoint that can be read; damaged: {names}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip("\"'").splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else lines[0][:200] + " ..."


def _about(config: Config) -> dict[str, Any]:
    """The metadata of a checkpoint: the configuration and the versions that wrote it."""
    others = ("jax", "flax", "optax", "orbax-checkpoint")
    versions = {name: importlib.metadata.version(name) for name in others}
    versions["siamjax"] = siamjax.__version__
    return {"config": config_to_dict(config), "versions": versions}
