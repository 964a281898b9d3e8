"""What is told of a run while it goes on: metrics, validations, pictures, traces."""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from siamjax.config import Config
from siamjax.data.schema import Batch, DrawnBatch
from siamjax.interrupts import StopRequest
from siamjax.training.device_augment import make_finish
from siamjax.training.pair_images import draw_pairs
from siamjax.training.parallel import on_one_device
from siamjax.training.processes import is_main
from siamjax.training.profiling import Profiler
from siamjax.training.state import TrainState
from siamjax.training.tensorboard import TensorBoard, require_tensorboard
from siamjax.training.writers import JsonLines, Progress, read_metrics

if TYPE_CHECKING:
    import flax.linen as nn

# Tracks with some variables, on one device, and says how well: name -> number.
Validate = Callable[[dict], dict[str, float]]
PICTURED = 4  # pairs of a batch in a picture
_VALIDATION = "validation/"


class Watch:
    """Writes to files and people, and looks in between at what has been learnt.

    `validate` is called every `validation.every` steps and after the last one. Nothing here
    changes the training. Raises `ConfigError` when something is asked for that is missing.
    Use it in a `with` statement.
    """

    def __init__(
        self,
        config: Config,
        workdir: Path,
        start: int,
        network: "nn.Module",
        *,
        validate: Validate | None = None,
        profile: tuple[int, int] | None = None,
    ):
        self._config, self._network, self._validate = config, network, validate
        self._workdir, self._start = workdir, start
        self._validated = {
            line["step"]
            for line in read_metrics(workdir / "metrics.jsonl")
            if line["step"] <= start and any(name.startswith(_VALIDATION) for name in line)
        }
        self.profiler = Profiler(workdir / "profile", profile)
        self._tensorboard: TensorBoard | None = None
        self._writers: list[Any] = []
        self._closing = contextlib.ExitStack()
        if config.train.tensorboard:
            require_tensorboard()

    def __enter__(self) -> "Watch":
        """Opens the files; before, nothing is written. Only the main process does."""
        if not is_main():
            return self
        self._closing.callback(self.profiler.close)
        if self._config.train.tensorboard:
            self._tensorboard = TensorBoard(self._workdir / "tensorboard", self._start)
            self._open(self._tensorboard)
        self._open(JsonLines(self._workdir / "metrics.jsonl", self._start))
        self._open(Progress(self._start, self._config.train.steps))
        return self

    def _open(self, writer: Any) -> None:
        self._writers.append(writer)
        self._closing.callback(writer.close)

    def __exit__(self, *_) -> None:
        self._closing.close()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes what was measured since the last line."""
        for writer in self._writers:
            writer.scalars(step, values)

    def owes_validation(self, step: int) -> bool:
        """Whether a validation of the state after `step` is due and has not been made.

        After a resume that holds for the first state, too: a run may have been stopped or
        killed in a validation, just after a checkpoint.
        """
        if self._validate is None or not step or step in self._validated:
            return False
        every = self._config.validation.every or self._config.train.steps_per_epoch
        return step % every == 0 or step == self._config.train.steps

    def validate(self, step: int, state: TrainState, stop: StopRequest) -> float | None:
        """Tracks with what has been learnt so far, unless a signal ends it.

        Returns the success AUC, if there is one. Of several processes, the first does it.
        """
        if stop.number:
            return None
        values: dict[str, float] = {}
        with stop.at_once():
            values = self._validate(on_one_device(state.learnt))
        if values:
            self.scalars(step, {_VALIDATION + name: value for name, value in values.items()})
            self._validated.add(step)
        return values.get("success_auc")

    def owes_picture(self, step: int) -> bool:
        """Whether `picture` is due after `step`."""
        every = self._config.train.picture_every
        return self._tensorboard is not None and every > 0 and step % every == 0

    def picture(self, step: int, batch: Batch | DrawnBatch, state: TrainState) -> None:
        """Draws a batch's first pairs and what the network makes of them."""
        few = first_pairs(batch, self._config)
        prediction = _predict(
            on_one_device(state.learnt), few.template, few.search, network=self._network
        )
        image = draw_pairs(few, self._config.model, jax.device_get(prediction))
        self._tensorboard.picture(step, "pairs", image)


def first_pairs(batch: Batch | DrawnBatch, config: Config) -> Batch:
    """At most `PICTURED` pairs of a NumPy batch, finished and labelled."""
    few = jax.tree.map(lambda array: array[:PICTURED], batch)
    if isinstance(few, DrawnBatch):
        few = few._replace(records=None)
        few = jax.device_get(jax.jit(make_finish(config))(few))
    return few


@functools.partial(jax.jit, static_argnames="network")
def _predict(variables, template, search, *, network):
    return network.apply(variables, template, search)
