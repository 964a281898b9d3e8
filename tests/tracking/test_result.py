"""What a tracker found stays as it was found, and says when the target is lost."""

import dataclasses
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import Config, LongTermConfig, ModelConfig, TrackerConfig
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.result import Fetched, Result, first_result
from siamjax.tracking.state import Mask, TrackOutput
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness
from tests.tracking.test_tracker import scene

START = (80, 60, 40, 40)
PLAIN = Config(name="plain", tracker=TrackerConfig(lost_score=0.5))
MASKS = Config(
    name="masks",
    model=ModelConfig(levels=("layer3",), channels=(256,), mask=True),
    tracker=TrackerConfig(mask_threshold=0.5),
)
LONG = Config(name="long", tracker=TrackerConfig(lost_score=0.9, long_term=LongTermConfig()))


class Counted:
    """An array that counts how often it comes to the host."""

    def __init__(self, values):
        self.values, self.fetched = np.asarray(values, np.float32), 0

    def __array__(self, dtype=None, copy=None):
        self.fetched += 1
        return self.values


def found(box, score, config=PLAIN, mask=None, steps_lost=None):
    output = TrackOutput(np.float32(box), np.float32(score), mask)
    return Result.of(Fetched(output, steps_lost), (120, 160), config)


def test_each_field_is_fetched_once_and_only_when_it_is_read():
    box, score = Counted([[1, 2, 30, 40], [5, 6, 70, 80]]), Counted([0.25, 0.75])
    fetched = Fetched(TrackOutput(box, score))
    first, second = (Result.of(fetched, (120, 160), PLAIN, k) for k in range(2))
    assert (box.fetched, score.fetched) == (0, 0)
    assert second.box_xywh.tolist() == [5, 6, 70, 80]
    assert (box.fetched, score.fetched) == (1, 0)
    assert first.is_lost and not second.is_lost  # scores alone
    assert first.box_xywh.tolist() == [1, 2, 30, 40] and second.score == 0.75
    assert (box.fetched, score.fetched) == (1, 1)


def test_an_update_waits_for_nothing(monkeypatch):
    follower = Tracker(SeesBrightness(), {}, PLAIN)
    follower.init(scene(100, 80), START)
    box, score = Counted([1, 2, 30, 40]), Counted(0.25)
    step = follower._state, TrackOutput(box, score)
    monkeypatch.setattr("siamjax.tracking.tracker.step.update", lambda *_, **__: step)
    first, second = (follower.update(scene(110, 80)) for _ in range(2))
    assert (box.fetched, score.fetched) == (0, 0)
    assert first.score == second.score == follower.score == 0.25
    assert (box.fetched, score.fetched) == (0, 2)


def test_a_result_does_not_follow_the_tracker():
    follower = Tracker(SeesBrightness(), {}, PLAIN)
    given = np.float32(START)
    follower.init(scene(100, 80), given)
    given[:] = 0  # the caller's own
    np.testing.assert_array_equal(follower.box_xywh, START)
    earlier = follower.update(scene(115, 80))
    box = earlier.box_xywh.copy()
    later = follower.update(scene(130, 80))
    np.testing.assert_array_equal(earlier.box_xywh, box)
    assert later.box_xywh[0] > box[0] + 5
    np.testing.assert_array_equal(follower.box_xywh, later.box_xywh)
    assert follower.score == later.score and follower.is_lost == later.is_lost


def test_nothing_of_it_can_be_changed():
    mask = Mask(np.full((7, 7), 0.9, np.float32), np.float32([20, 20, 60, 60]))
    result = found((1, 2, 30, 40), 0.5, MASKS, mask)
    for name in ("score", "box_xywh", "is_lost", "mask", "other"):
        with pytest.raises(AttributeError):
            setattr(result, name, 1)
    follower = Tracker(SeesBrightness(), {}, PLAIN)
    follower.init(scene(100, 80), START)
    arrays = [result.mask, result.polygon, follower.box_xywh]
    arrays.append(follower.update(scene(100, 80)).box_xywh)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_a_low_score_is_lost_where_the_configuration_says_so():
    assert found((1, 2, 3, 4), 0.49).is_lost
    assert not found((1, 2, 3, 4), 0.5).is_lost
    never = dataclasses.replace(PLAIN, tracker=TrackerConfig())
    assert not found((1, 2, 3, 4), 0.0, never).is_lost
    assert found((1, 2, 3, 4), np.nan, never).is_lost
    assert not first_result(np.float32(START), (120, 160), PLAIN).is_lost


def test_a_long_term_tracker_has_its_own_rule():
    assert not found((1, 2, 3, 4), 0.1, LONG, steps_lost=np.int32(0)).is_lost
    assert found((1, 2, 3, 4), 0.99, LONG, steps_lost=np.int32(2)).is_lost


@pytest.mark.parametrize("score", [-0.1, 1.5, np.nan])
def test_a_threshold_that_is_no_score_is_refused(score):
    with pytest.raises(ValueError, match="lost_score"):
        TrackerConfig(lost_score=score)


def test_every_tracker_says_when_the_target_has_left():
    """A dark frame: nothing is as bright as the network likes it."""
    parts = SeesBrightness(), {}, PLAIN
    one, several, many = Tracker(*parts), MultiTracker(*parts), BatchTracker(*parts, slots=2)
    one.init(scene(100, 80), START)
    several.init(scene(100, 80), [START, (90, 70, 30, 50)])
    many.init(1, scene(100, 80), START)
    for frame, is_lost in (
        (scene(100, 80), False),
        (np.full((240, 320, 3), 20, np.uint8), True),
    ):
        results = [one.update(frame), *several.update(frame), many.update({1: frame})[1]]
        assert [each.is_lost for each in results] == [is_lost] * 4
        assert one.is_lost == is_lost and several.are_lost.tolist() == [is_lost] * 2


def test_equal_results_say_the_same():
    mask = Mask(np.full((7, 7), 0.9, np.float32), np.float32([20, 20, 60, 60]))
    others = [
        found((1, 2, 3, 4), 0.5),
        found((1, 2, 3, 4.5), 0.5),
        found((1, 2, 3, 4), 0.75),
        found((1, 2, 3, 4), 0.25),
        found((1, 2, 3, 4), 0.75, LONG, steps_lost=np.int32(1)),
        found((1, 2, 3, 4), 0.5, MASKS),
        found((1, 2, 3, 4), 0.5, MASKS, mask),
        found((np.nan,) * 4, np.nan),
    ]
    for i, one in enumerate(others):
        for k, other in enumerate(others):
            assert (one == other) is (i == k), (one, other)
    again = found((1, 2, 3, 4), 0.5)
    assert again == others[0] and hash(again) == hash(others[0]) and again != "a result"
    assert found((np.nan,) * 4, np.nan) == others[-1]


def test_it_can_be_read():
    text = "Result(box_xywh=(1.0, 2.5, 30.0, 40.0), score=0.250, is_lost=True)"
    assert repr(found((1, 2.5, 30, 40), 0.25)) == text


def test_a_pickled_result_holds_its_own_numbers_alone():
    where = jnp.tile(jnp.array([20.0, 20.0, 60.0, 60.0]), (3, 1))
    boxes, scores = jnp.arange(12.0).reshape(3, 4) + 1, jnp.array([0.1, 0.6, 0.7])
    output = TrackOutput(boxes, scores, Mask(jnp.full((3, 7, 7), 0.9), where))
    result = Result.of(Fetched(output), (120, 160), MASKS, 1)
    stored = pickle.dumps(result)
    assert b"jax" not in stored.replace(b"siamjax", b"") and len(stored) < 1200
    again = pickle.loads(stored)
    assert again == result and again.box_xywh.tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(again.mask, result.mask)
    long = found((1, 2, 3, 4), 0.9, LONG, steps_lost=jnp.int32(1))
    assert pickle.loads(pickle.dumps(long)).is_lost
