"""A profiler's trace of chosen steps, for XProf, TensorBoard or Perfetto."""

from pathlib import Path

import jax

from siamjax.config import ConfigError


class Profiler:
    """Traces steps `first` to `last`, counted from 1, into a folder; None traces none."""

    def __init__(self, folder: Path, steps: tuple[int, int] | None):
        """Raises `ConfigError` for steps that are none."""
        if steps is not None and not 1 <= steps[0] <= steps[1]:
            raise ConfigError(
                f"`--profile` (={steps[0]} {steps[1]}) must name the first and the last step "
                "to trace, counted from 1"
            )
        self._folder, self._steps, self._is_on = folder, steps or (0, 0), False

    def before(self, step: int) -> jax.profiler.StepTraceAnnotation:
        """A context manager for step number `step`; begins the trace where it is due."""
        first, last = self._steps
        if first <= step <= last and not self._is_on:
            jax.profiler.start_trace(self._folder)
            self._is_on = True
        return jax.profiler.StepTraceAnnotation("train", step_num=step)

    def after(self, step: int, done: object) -> None:
        """Ends the trace behind the last step, waiting for its arrays `done`."""
        if self._is_on and step >= self._steps[1]:
            jax.block_until_ready(done)
            self.close()

    def close(self) -> None:
        """Writes the trace where one is on."""
        if self._is_on:
            self._is_on = False
            jax.profiler.stop_trace()
            print(f"trace of the profiler: {self._folder}", flush=True)
