"""Training monitoring: metrics, validation, images of pairs, profiler traces."""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from siamjax.config import Config, ConfigError
from siamjax.data.schema import Batch, DrawnBatch
from siamjax.interrupts import StopRequest
from siamjax.training.device_augment import make_finish
from siamjax.training.pair_images import draw_pairs
from siamjax.training.parallel import on_one_device
from siamjax.training.processes import is_main
from siamjax.training.state import TrainState
from siamjax.training.writers import (
    JsonLines,
    Progress,
    TensorBoard,
    read_metrics,
    require_tensorboard,
)

if TYPE_CHECKING:
    import flax.linen as nn

# Tracks with variables that are on one device; returns scores by name.
Validate = Callable[[dict], dict[str, float]]
SHOWN_PAIRS = 4  # of a batch, in an image
_VALIDATION = "validation/"


class Monitor:
    """Writes metrics to files and the terminal, validates, draws pairs and profiles.

    `validate` is called every `validation.every` steps and after the last one. Nothing here
    changes the training. Raises `ConfigError` for TensorBoard without its package. To be used
    as a context manager.
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

    def __enter__(self) -> "Monitor":
        """Opens the files, in the main process; nothing is written before."""
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
        """Writes metrics to every writer."""
        for writer in self._writers:
            writer.scalars(step, values)

    def owes_validation(self, step: int) -> bool:
        """Whether a validation of the state after `step` is due and not done yet.

        It may be due right after a resume: a run can be stopped or killed while it validates,
        just after a checkpoint.
        """
        if self._validate is None or not step or step in self._validated:
            return False
        every = self._config.validation.every or self._config.train.steps_per_epoch
        return step % every == 0 or step == self._config.train.steps

    def validate(self, step: int, state: TrainState, stop: StopRequest) -> float | None:
        """Validates `state`, unless a signal interrupts; returns the success AUC, if any."""
        if stop.number or self._validate is None:
            return None
        values: dict[str, float] = {}
        with stop.at_once():
            values = self._validate(on_one_device(state.eval_variables))
        if values:
            self.scalars(step, {_VALIDATION + name: value for name, value in values.items()})
            self._validated.add(step)
        return values.get("success_auc")

    def owes_image(self, step: int) -> bool:
        """Whether `image` is due after `step`."""
        every = self._config.train.picture_every
        return self._tensorboard is not None and every > 0 and step % every == 0

    def image(self, step: int, batch: Batch | DrawnBatch, state: TrainState) -> None:
        """Writes an image of a batch's first pairs and their predictions."""
        if self._tensorboard is None:
            return
        few = first_pairs(batch, self._config)
        prediction = _predict(
            on_one_device(state.eval_variables), few.template, few.search, network=self._network
        )
        image = draw_pairs(few, self._config.model, jax.device_get(prediction))
        self._tensorboard.image(step, "pairs", image)


def first_pairs(batch: Batch | DrawnBatch, config: Config) -> Batch:
    """At most `SHOWN_PAIRS` pairs of a NumPy batch, augmented and labelled."""
    few = jax.tree.map(lambda array: array[:SHOWN_PAIRS], batch)
    if isinstance(few, DrawnBatch):
        few = few._replace(records=None)
        few = jax.device_get(jax.jit(make_finish(config))(few))
    return few


@functools.partial(jax.jit, static_argnames="network")
def _predict(variables, template, search, *, network):
    return network.apply(variables, template, search)


class Profiler:
    """Traces steps `first` to `last`, counted from 1, into a folder; None traces none.

    The trace is for XProf, TensorBoard or Perfetto.
    """

    def __init__(self, folder: Path, steps: tuple[int, int] | None):
        """Raises `ConfigError` for steps below 1 or in the wrong order."""
        if steps is not None and not 1 <= steps[0] <= steps[1]:
            raise ConfigError(
                f"`--profile` (={steps[0]} {steps[1]}) must name the first and the last step "
                "to trace, counted from 1"
            )
        self._folder, self._steps, self._is_on = folder, steps or (0, 0), False

    def before(self, step: int) -> jax.profiler.StepTraceAnnotation:
        """A context manager for step number `step`; begins the trace when it is due."""
        first, last = self._steps
        if first <= step <= last and not self._is_on:
            jax.profiler.start_trace(self._folder)
            self._is_on = True
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def after(self, step: int, done: object) -> None:
        """Ends the trace after the last step, once its arrays `done` are ready."""
        if self._is_on and step >= self._steps[1]:
            jax.block_until_ready(done)
            self.close()

    def close(self) -> None:
        """Writes the trace under way, if any."""
        if self._is_on:
            self._is_on = False
            jax.profiler.stop_trace()
            print(f"profiler trace: {self._folder}", flush=True)
