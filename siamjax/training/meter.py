"""What happened since the last line of metrics: device scalars, and where the time went."""

import math
import time
from collections.abc import Iterator

import jax
import numpy as np

from siamjax.data.schema import Batch
from siamjax.training.step import Metrics


class NonFiniteError(ArithmeticError):
    """A loss or gradient is NaN or infinite.

    `step` is the first step that has it, `name` the metric and `value` what it is.
    """

    def __init__(self, step: int, name: str, value: float):
        super().__init__(f"{name} is {value} at step {step}")
        self.step, self.name, self.value = step, name, value


class Meter:
    """Gathers the metrics of an interval without fetching them, and times its steps.

    `pending` holds the metrics of the steps since the last reading. With a meter in it, the
    loop runs one step ahead of the devices and no further, so that what is measured on the
    host is what happens, and no more than two batches are on the way. Without `run_ahead`
    it waits for every step.
    """

    def __init__(self, batch_size: int, *, run_ahead: bool = True):
        self._batch_size, self._run_ahead = batch_size, run_ahead
        self._newest: Metrics | None = None
        self.restart()

    def restart(self) -> None:
        """Begins an interval: what is pending is forgotten, the clock starts anew."""
        self.pending: list[Metrics] = []
        self._waited = 0.0
        self._began = time.perf_counter()

    def next_batch(self, batches: Iterator[Batch]) -> Batch:
        """`next(batches)`; counted as waiting if the devices had run out of work by then."""
        began = time.perf_counter()
        batch = next(batches)
        if self._newest is None or self._newest["loss"].is_ready():
            self._waited += time.perf_counter() - began
        return batch

    def add(self, metrics: Metrics) -> None:
        """Takes the metrics of the step just started; waits until the one before is done."""
        previous, self._newest = self._newest, metrics
        self.pending.append(metrics)
        jax.block_until_ready(previous if self._run_ahead else metrics)

    def read(self, step: int) -> dict[str, float]:
        """Means over the interval that ends with `step`, and its speed; begins the next.

        Fetches everything at once, which waits for the last step. Raises `NonFiniteError`.
        """
        history = jax.device_get(self.pending)
        seconds = time.perf_counter() - self._began
        for number, metrics in enumerate(history, start=step - len(history) + 1):
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise NonFiniteError(number, name, float(value))
        values = {
            name: float(np.mean([metrics[name] for metrics in history])) for name in history[0]
        }
        values |= {
            "pairs_per_second": len(history) * self._batch_size / seconds,
            "data_wait": self._waited / seconds,
        }
        self.restart()
        return values
