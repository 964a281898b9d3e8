import logging
import threading

import jax
import numpy as np
import pytest

from siamjax.config import Config, TrackerConfig
from siamjax.tracking.batch import MultiTracker
from siamjax.tracking.step import compile_ahead
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness
from tests.tracking.test_batch import film

BOX = (60, 40, 30, 24)
CONFIG = Config(name="test", tracker=TrackerConfig(search_size=255))


def compiled(caplog):
    """Names of the functions that JAX says it compiles."""
    return [
        record.getMessage().split()[1]
        for record in caplog.records
        if record.getMessage().startswith("Compiling ")
    ]


@pytest.mark.parametrize(
    ("kind", "start", "name"),
    [(Tracker, BOX, "jit(update)"), (MultiTracker, [BOX, BOX], "jit(_advance)")],
)
def test_the_first_update_has_nothing_to_compile(caplog, kind, start, name):
    network = SeesBrightness()
    tracker, frames = kind(network, {}, CONFIG), film(0, 160, 120, length=3)
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        tracker.init(frames[0], start)
        assert compiled(caplog).count(name) == compiled(caplog).count("jit(init)") == 1
        caplog.clear()
        tracker.update(frames[1])
        tracker.update(frames[2])
        assert name not in compiled(caplog)
    assert network.traces == {"encode_template": 1, "predict": 1}


def test_one_is_compiled_while_the_other_is_traced():
    frame, order = np.zeros((8, 8, 3), np.uint8), []
    tracing = threading.Event()

    class Begin:
        out_info = "shapes"

        def lower(self):
            return self

        def compile(self):
            assert tracing.wait(60)  # for ever, if one came after the other
            order.append("compiled")

    def follow(shapes):
        order.append(shapes)
        tracing.set()
        raise ValueError("comes again from the call")

    compile_ahead(frame, Begin(), follow)
    assert order == ["shapes", "compiled"]
    compile_ahead(jax.device_put(frame), Begin(), follow)
    assert len(order) == 2
