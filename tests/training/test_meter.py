"""Means of metrics, and the share of time in which devices waited for data."""

import time

import jax.numpy as jnp
import pytest

from siamjax.training.meter import Meter, NonFiniteError


def metrics(**values):
    return {name: jnp.float32(value) for name, value in values.items()}


def test_means_and_the_next_interval_starts_empty():
    meter = Meter(batch_size=8)
    meter.add(metrics(loss=1.0, grad_norm=5.0))
    meter.add(metrics(loss=2.0, grad_norm=7.0))
    values = meter.read(2)
    assert (values["loss"], values["grad_norm"]) == (1.5, 6.0)
    assert not meter.pending
    meter.add(metrics(loss=9.0, grad_norm=0.0))
    assert meter.read(3)["loss"] == 9.0


def test_the_first_step_that_is_not_finite_is_named():
    meter = Meter(batch_size=8)
    for loss, norm in [(1.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)]:
        meter.add(metrics(loss=loss, grad_norm=norm))
    with pytest.raises(NonFiniteError, match="grad_norm is inf at step 12") as caught:
        meter.read(13)
    assert (caught.value.step, caught.value.name) == (12, "grad_norm")


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
