"""A target that leaves and comes back elsewhere."""

import dataclasses

import numpy as np
import pytest

from siamjax.config import (
    AnchorConfig,
    Config,
    ConfigError,
    LongTermConfig,
    ModelConfig,
    TrackerConfig,
)
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesColor

RED, BLUE = (30, 40, 220), (200, 80, 30)
# Half of everything, to be quick.
MODEL = ModelConfig(
    template_size=63,
    search_size=127,
    base_size=4,
    anchors=AnchorConfig(scales=(4.0,)),
)
PYSOT = TrackerConfig(
    penalty_k=0.05,
    window_influence=0.28,
    size_lr=0.22,
    search_size=127,
    long_term=LongTermConfig(search_size=415),
)
# DaSiamRPN's: growing in constant steps.
STEPS = dataclasses.replace(
    PYSOT,
    long_term=LongTermConfig(search_size=383, search_step=64, confidence_high=0.95),
)


def scene(x, y, color=RED):
    """A square of 40 pixels on a dull image, or none."""
    rows, columns = np.mgrid[0:300, 0:360]
    frame = np.stack([90 + columns // 16, 80 + rows // 16, 70 + rows // 20], axis=-1)
    if x is not None:
        frame[y - 20 : y + 20, x - 20 : x + 20] = color
    return frame.astype(np.uint8)


# In sight for 8 frames, gone for 60, then back at the other side of the frame.
PATH = [(60 + 4 * t, 80) for t in range(8)] + [(None, None)] * 60 + [(290, 240)] * 8


@pytest.fixture(scope="module")
def film():
    return [scene(*place) for place in PATH]


@pytest.fixture(scope="module")
def network():
    return SeesColor(template_size=63)


def run(film, network, settings):
    follower = Tracker(network, {}, Config(name="test", model=MODEL, tracker=settings))
    follower.init(film[0], (40, 60, 40, 40))
    boxes, scores, lost = [], [], []
    for frame in film[1:]:
        follower.update(frame)
        boxes.append(follower.box_xywh)
        scores.append(follower.score)
        lost.append(follower.is_lost)
    return np.array(boxes), np.array(scores), np.array(lost)


def distance(box, x, y):
    return float(np.hypot(box[0] + box[2] / 2 - x, box[1] + box[3] / 2 - y))


@pytest.fixture(scope="module")
def with_steps(film, network):
    return run(film, network, STEPS)


@pytest.mark.parametrize("settings", [PYSOT, STEPS], ids=["at once", "in steps"])
def test_it_is_reported_lost_and_found_again(film, network, settings, request):
    if settings is STEPS:
        boxes, scores, lost = request.getfixturevalue("with_steps")
    else:
        boxes, scores, lost = run(film, network, settings)
    assert not lost[:7].any() and (scores[:7] > 0.95).all()
    assert lost[7:67].all() and (scores[7:67] < 0.8).all()
    # While it is lost, the box stays where the target was last seen.
    np.testing.assert_array_equal(boxes[8:67], np.broadcast_to(boxes[7], (59, 4)))
    assert not lost[-4:].any()
    assert distance(boxes[-1], 290, 240) < 20
    assert scores[-1] > 0.95


def test_without_it_the_target_is_not_found_again(film, network):
    settings = dataclasses.replace(PYSOT, long_term=None)
    boxes, _, lost = run(film[:8] + film[-6:], network, settings)
    assert distance(boxes[-1], 290, 240) > 100
    assert not lost.any()


def test_each_search_size_is_compiled_when_it_is_first_needed(film):
    network = SeesColor(template_size=63)
    follower = Tracker(network, {}, Config(name="test", model=MODEL, tracker=PYSOT))
    follower.init(film[0], (40, 60, 40, 40))
    for frame in film[1:8]:
        follower.update(frame)
    assert network.traces["predict"] == 1  # a target that stays in sight needs one size
    for frame in film[8:11]:
        follower.update(frame)
    assert follower.is_lost and network.traces["predict"] == 2


def test_targets_in_a_batch_are_lost_and_found_each_for_itself(film, network, with_steps):
    config = Config(name="test", model=MODEL, tracker=STEPS)
    many = BatchTracker(network, {}, config, slots=2)
    # The second sees the same film, without the frames in which nothing is there.
    short = film[:8] + film[68:73]
    alone = run(short, network, STEPS)
    for slot in range(2):
        many.init(slot, film[0], (40, 60, 40, 40))
    for t in range(1, 13):
        frames = {0: film[t]} | ({1: short[t]} if t < len(short) else {})
        results = many.update(frames)
        np.testing.assert_allclose(results[0].box_xywh, with_steps[0][t - 1], atol=1e-4)
        if t < len(short):
            np.testing.assert_allclose(results[1].box_xywh, alone[0][t - 1], atol=1e-4)


def test_targets_in_one_frame_are_lost_each_for_itself(film, network):
    def both(t):
        frame = film[t].copy()
        frame[230:270, 60:100] = BLUE
        return frame

    many = MultiTracker(network, {}, Config(name="test", model=MODEL, tracker=PYSOT))
    many.init(both(0), [(40, 60, 40, 40), (60, 230, 40, 40)])
    for t in range(1, 12):
        many.update(both(t))
    assert many.scores[0] < 0.8 < many.scores[1]
    assert distance(many.boxes_xywh[1], 80, 250) < 8


def test_the_state_is_not_held_within_the_frame_but_the_box_is(network):
    import jax.numpy as jnp

    from siamjax.tracking.select import Selection
    from siamjax.tracking.state import TrackerState
    from siamjax.tracking.step import settle

    state = TrackerState(
        jnp.array([5.0, 5.0]), jnp.array([50.0, 40.0]), jnp.zeros(3), (), jnp.int32(0)
    )
    chosen = Selection(
        jnp.array([-30.0, 200.0]),
        jnp.array([4.0, 500.0]),
        jnp.float32(0.9),
        jnp.zeros(2, jnp.int32),
    )
    config = Config(name="test", model=MODEL, tracker=PYSOT)
    after, output = settle(state, chosen, jnp.array([320.0, 100.0]), config=config)
    np.testing.assert_array_equal(after.center, chosen.center)
    np.testing.assert_array_equal(after.size, chosen.size)
    np.testing.assert_array_equal(output.box_xywh, (0 - 5, 100 - 50, 10, 100))
    # .8 to .998 changes nothing, below is lost and moves nothing, above is found.
    for score, steps, moved in [(0.9, 1, True), (0.7, 1, False), (0.999, 0, True)]:
        before = state._replace(steps_lost=jnp.int32(1))
        after, _ = settle(
            before,
            chosen._replace(score=jnp.float32(score)),
            jnp.array([320.0, 100.0]),
            config=config,
        )
        assert int(after.steps_lost) == steps
        assert bool((after.center == chosen.center).all()) == moved


def test_the_sizes_grow_by_the_step():
    published = TrackerConfig(long_term=LongTermConfig())
    assert published.search_sizes(255) == (255, 831)
    steps = LongTermConfig(search_size=767, search_step=128)
    assert TrackerConfig(long_term=steps).search_sizes(255) == (255, 383, 511, 639, 767)
    assert TrackerConfig(long_term=steps).search_sizes(271) == (271, 399, 527, 655, 767)
    assert TrackerConfig().search_sizes(287) == (287,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_size": 255}, "must exceed the usual one"),
        ({"search_size": 700}, "by a multiple of the stride"),
        ({"search_step": 100}, "by a multiple of the stride"),
        ({"search_step": -8}, "must not be negative"),
        ({"confidence_low": 0.9, "confidence_high": 0.5}, "must lie between 0 and"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Config(name="test", tracker=TrackerConfig(long_term=LongTermConfig(**options)))
