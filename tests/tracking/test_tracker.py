import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import Config
from siamjax.tracking import step
from siamjax.tracking.frames import pad_frame
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness

CONFIG = Config(name="test")


def scene(x, y, side=40, width=320, height=240):
    """A dark frame with one bright square, centred on whole pixels."""
    frame = np.full((height, width, 3), 20, np.uint8)
    frame[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = 250
    return frame


def start(frame, box_xywh, network):
    size = jnp.array(frame.shape[1::-1], jnp.float32)
    state = step.init(
        {},
        jnp.asarray(pad_frame(frame)),
        size,
        jnp.array(box_xywh, jnp.float32),
        network=network,
        config=CONFIG,
    )
    return state, size


def test_it_follows_what_the_network_sees():
    """The square moves by up to half its side a frame, first right, then down, then back."""
    network = SeesBrightness()
    follower = Tracker(network, {}, CONFIG)
    path = [(100, 80), (115, 80), (130, 80), (130, 95), (130, 115), (112, 100), (95, 90)]
    follower.init(scene(*path[0]), (80, 60, 40, 40))
    for x, y in path[1:]:
        follower.update(scene(x, y))
        left, top, width, height = follower.box_xywh
        # A cell is 8 pixels of a crop that shows 160 pixels of the frame in 255.
        assert abs(left + width / 2 - x) < 12 and abs(top + height / 2 - y) < 12
        assert follower.score > 0.95
    # The square anchor's box is 64 / 127 of the template's side, which is 2 x 40 pixels.
    np.testing.assert_allclose((width, height), 40, atol=1)


def test_the_state_begins_as_the_reference_does(rng):
    frame = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    state, _ = start(frame, (120, 80, 64, 48), SeesBrightness())
    np.testing.assert_array_equal(state.center, (120 + 63 / 2, 80 + 47 / 2))
    np.testing.assert_array_equal(state.size, (64, 48))
    np.testing.assert_array_equal(state.pad_color, np.floor(frame.mean(axis=(0, 1))))


def test_everything_stays_float32_on_the_device():
    network = SeesBrightness()
    state, size = start(scene(100, 80), (80, 60, 40, 40), network)
    frame = jax.device_put(pad_frame(scene(110, 80)))
    step.update({}, state, frame, size, network=network, config=CONFIG)
    with jax.transfer_guard("disallow"):  # nothing comes from or goes to the host
        state, output = step.update({}, state, frame, size, network=network, config=CONFIG)
    assert {x.dtype for x in jax.tree.leaves((state, output))} == {np.dtype(np.float32)}
    assert output.box_xywh.shape == (4,) and output.score.shape == ()


@pytest.mark.parametrize("corner", [(20, 20), (300, 220), (20, 220), (300, 20)])
def test_it_works_at_the_borders(corner):
    follower = Tracker(SeesBrightness(), {}, CONFIG)
    x, y = corner
    follower.init(scene(x, y), (x - 20, y - 20, 40, 40))
    for _ in range(3):
        follower.update(scene(x, y))
    left, top, width, height = follower.box_xywh
    assert abs(left + width / 2 - x) < 6 and abs(top + height / 2 - y) < 6


@pytest.mark.parametrize("box", [(100, 80, 1, 1), (-50, -50, 420, 200), (0, 0, 320, 240)])
def test_tiny_and_huge_targets_stay_finite_and_in_bounds(box):
    follower = Tracker(SeesBrightness(), {}, CONFIG)
    follower.init(scene(100, 80), box)
    for _ in range(3):
        follower.update(scene(100, 80))
        left, top, width, height = follower.box_xywh
        assert 10 <= width <= 320 and 10 <= height <= 240
        assert 0 <= left + width / 2 <= 320 and 0 <= top + height / 2 <= 240


def compilations(caplog, name):
    return sum(f"Compiling jit({name})" in record.getMessage() for record in caplog.records)


def test_one_compilation_for_all_videos_of_a_bucket(caplog):
    network = SeesBrightness()

    def follow(width, height):
        follower = Tracker(network, {}, CONFIG)
        follower.init(scene(100, 80, width=width, height=height), (80, 60, 40, 40))
        for x in (105, 110, 115):
            follower.update(scene(x, 80, width=width, height=height))
        assert abs(follower.box_xywh[0] + follower.box_xywh[2] / 2 - 115) < 10

    with caplog.at_level(logging.WARNING), jax.log_compiles():
        follow(320, 240)
        follow(320, 240)
        follow(301, 199)  # another size, the same bucket of 512 x 256
        assert network.traces == {"encode_template": 1, "predict": 1}
        assert compilations(caplog, "init") == compilations(caplog, "update") == 1
        follow(301, 300)  # the bucket of 512 x 512
        assert network.traces == {"encode_template": 2, "predict": 2}
        assert compilations(caplog, "init") == compilations(caplog, "update") == 2


def test_many_targets_equal_one_at_a_time():
    network = SeesBrightness()
    first, second = scene(100, 80), scene(112, 92)
    boxes = [(80, 60, 40, 40), (90, 70, 30, 50), (10, 20, 60, 40)]
    single = []
    for box in boxes:
        state, size = start(first, box, network)
        frame = jnp.asarray(pad_frame(second))
        single.append(step.update({}, state, frame, size, network=network, config=CONFIG)[1])

    states = [start(first, box, network)[0] for box in boxes]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
    _, batched = jax.vmap(
        lambda state: step.update({}, state, frame, size, network=network, config=CONFIG)
    )(stacked)
    for k, one in enumerate(single):
        np.testing.assert_allclose(batched.box_xywh[k], one.box_xywh, atol=1e-4)
        np.testing.assert_allclose(batched.score[k], one.score, atol=1e-6)
