"""Means of metrics, and the share of time in which devices waited for data."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.training.meter import Meter, SkippedError


def metrics(**values):
    return {name: jnp.float32(value) for name, value in ({"skipped": 0} | values).items()}


def test_means_and_the_next_interval_starts_empty():
    meter = Meter(batch_size=8)
    meter.add(metrics(loss=1.0, grad_norm=5.0))
    meter.add(metrics(loss=2.0, grad_norm=7.0))
    values = meter.read(2)
    assert (values["loss"], values["grad_norm"]) == (1.5, 6.0)
    assert not meter.pending
    meter.add(metrics(loss=9.0, grad_norm=0.0))
    assert meter.read(3)["loss"] == 9.0


def test_skipped_steps_are_counted_and_belong_to_no_mean():
    meter = Meter(batch_size=8, skipped=1, max_skipped=3)
    for loss, skipped in [(1.0, 0), (float("nan"), 1), (3.0, 0)]:
        meter.add(metrics(loss=loss, grad_norm=1.0, skipped=skipped))
    values = meter.read(3)
    assert (values["loss"], values["skipped"], meter.skipped) == (2.0, 1, 2)
    meter.add(metrics(loss=float("inf"), grad_norm=1.0, skipped=1))
    values = meter.read(4)
    assert values["skipped"] == 1 and "loss" not in values


def test_the_first_step_too_many_is_named_with_its_records():
    meter = Meter(batch_size=8, max_skipped=1)
    for loss, norm in [(1.0, 1.0), (1.0, float("inf")), (float("nan"), 2.0), (0.0, 0.0)]:
        records = np.array([[7, len(meter.pending)]])
        skipped = not np.isfinite(loss + norm)
        meter.add(metrics(loss=loss, grad_norm=norm, skipped=skipped), records)
    with pytest.raises(
        SkippedError,
        match=r"step 12 has loss nan, grad_norm 2; its pairs are from records \[\[7, 2\]\]",
    ) as caught:
        meter.read(13)
    assert caught.value.step == 12


class Busy:
    """Stands for the loss of a step that the devices are still at."""

    def is_ready(self):
        return False

    def block_until_ready(self):
        return self


def slow(count):
    for number in range(count):
        time.sleep(0.05)
        yield number


def test_waiting_counts_only_while_the_devices_have_nothing_to_do():
    batches = slow(4)
    meter = Meter(batch_size=2)
    assert meter.next_batch(batches) == 0  # nothing was under way yet
    meter.add(metrics(loss=0.0))
    first = meter.read(1)
    assert first["data_wait"] > 0.5
    assert 0 < first["pairs_per_second"] <= 2 / 0.05

    meter._newest = {"loss": Busy()}
    assert meter.next_batch(batches) == 1
    meter.add(metrics(loss=0.0))
    assert meter.read(2)["data_wait"] == 0
