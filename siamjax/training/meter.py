"""Means of the metrics since the last log line, speed, and time spent waiting for data."""

import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from siamjax.data.schema import AnyBatch
from siamjax.errors import SiamjaxError
from siamjax.training.step import Metrics


class SkippedError(SiamjaxError, ArithmeticError):
    """More steps were skipped than allowed; the message names the last of them.

    `step` is its number, counted from 1.
    """

    def __init__(self, step: int, metrics: dict[str, float], records: np.ndarray | None):
        values = ", ".join(f"{name} {metrics[name]:.4g}" for name in ("loss", "grad_norm"))
        pairs = "unknown" if records is None else np.asarray(records).tolist()
        super().__init__(f"step {step} has {values}; its pairs are from records {pairs}")
        self.step = step


class Meter:
    """Collects the metrics of an interval without fetching them, and times its steps.

    `pending` holds the metrics of the steps since the last `read`. The loop runs one step ahead
    of the devices and no further, so that times measured on the host are right and at most two
    batches are in flight. Without `run_ahead` it waits for every step. `skipped` counts skipped
    steps, those before a resume included.
    """

    def __init__(
        self, batch_size: int, *, run_ahead: bool = True, skipped: int = 0, max_skipped: int = 0
    ):
        self._batch_size, self._run_ahead = batch_size, run_ahead
        self.skipped, self._max_skipped = skipped, max_skipped
        self._newest: dict[str, Any] | None = None
        self.restart()

    def restart(self) -> None:
        """Begins an interval: drops what is pending and restarts the clock."""
        self.pending: list[Metrics] = []
        self._records: list[np.ndarray | None] = []
        self._waited = 0.0
        self._began = time.perf_counter()

    def next_batch(self, batches: Iterator[AnyBatch]) -> AnyBatch:
        """`next(batches)`; counted as waiting if the devices are idle by then."""
        began = time.perf_counter()
        batch = next(batches)
        if self._newest is None or self._newest["loss"].is_ready():
            self._waited += time.perf_counter() - began
        return batch

    def add(self, metrics: Metrics, records: np.ndarray | None = None) -> None:
        """Adds the metrics of the step just started; waits until the step before is done.

        `records` `[b, 2]` are those of its pairs, named in the error if it is skipped.
        """
        previous, self._newest = self._newest, metrics
        self.pending.append(metrics)
        self._records.append(records)
        jax.block_until_ready(previous if self._run_ahead else metrics)

    def read(self, step: int) -> dict[str, float]:
        """Means over the interval that ends with `step`, and its speed; begins the next.

        Skipped steps are counted as `skipped` and left out of the means; there are no means if
        all were skipped. Waits for the last step. Raises `SkippedError` at the first skipped
        step beyond `max_skipped`.
        """
        history = jax.device_get(self.pending)
        seconds = time.perf_counter() - self._began
        first = step - len(history) + 1
        for number, (metrics, records) in enumerate(zip(history, self._records, strict=True)):
            if metrics["skipped"]:
                self.skipped += 1
                if self.skipped > self._max_skipped:
                    raise SkippedError(first + number, metrics, records)
        sound = [metrics for metrics in history if not metrics["skipped"]]
        values = {
            name: math.fsum(metrics[name] for metrics in sound) / len(sound)
            for name in (sound[0] if sound else ())
        }
        values |= {
            "skipped": len(history) - len(sound),
            "pairs_per_second": len(history) * self._batch_size / seconds,
            "data_wait": self._waited / seconds,
        }
        self.restart()
        return values
