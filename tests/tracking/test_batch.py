"""Many targets in one call give what each gives alone."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import Config
from siamjax.models.build import build_network
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.frames import BoxError, FrameError
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness, random_variables, small_config

BOXES = [(60, 40, 30, 24), (100.5, 70, 22, 40), (-4, 10, 28, 28)]


def film(seed, width, height, length=5):
    """A smooth image that slides."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 8, width // 8 + 8, 3), dtype=np.uint8)
    image = np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)
    return [image[2 * t : 2 * t + height, 3 * t : 3 * t + width] for t in range(length)]


# Of other sizes, two of them in the same bucket, one in a larger one.
FILMS = [film(0, 160, 120), film(1, 200, 144), film(2, 300, 200)]


@pytest.fixture(scope="module")
def parts():
    config = small_config()
    network = build_network(config.model)
    return network, random_variables(network, config), config


@pytest.fixture(scope="module")
def alone(parts):
    """Boxes `[t, 4]` and scores of every film, each run by itself."""
    runs = []
    for frames, box in zip(FILMS, BOXES, strict=True):
        follower, run = Tracker(*parts), []
        follower.init(frames[0], box)
        for frame in frames[1:]:
            run.append(follower.update(frame))
        runs.append(run)
    return runs


def assert_same(ours, expected):
    np.testing.assert_allclose(ours.box_xywh, expected.box_xywh, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(ours.score, expected.score, atol=1e-4)


def test_sequences_in_lock_step_equal_single_runs(parts, alone):
    many = BatchTracker(*parts, slots=4)
    for slot, (frames, box) in enumerate(zip(FILMS, BOXES, strict=True)):
        many.init(slot, frames[0], box)
    for t in range(1, 5):
        results = many.update({slot: FILMS[slot][t] for slot in (2, 0, 1)})
        assert list(results) == [2, 0, 1]
        for slot, result in results.items():
            assert_same(result, alone[slot][t - 1])
            assert result.box_xywh.shape == (4,) and isinstance(result.score, float)
    boxes = np.array([[each.box_xywh for each in run] for run in alone])
    assert np.ptp(boxes, axis=1).max() > 5, "targets that stay would prove nothing"


def test_slots_without_a_frame_stand_still_and_can_begin_anew(parts, alone):
    many = BatchTracker(*parts, slots=2)
    many.init(0, FILMS[0][0], BOXES[0])
    many.init(1, FILMS[1][0], BOXES[1])
    assert_same(many.update({1: FILMS[1][1]})[1], alone[1][0])
    assert many.update({}) == {}
    results = many.update({0: FILMS[0][1], 1: FILMS[1][2]})
    assert_same(results[0], alone[0][0])
    assert_same(results[1], alone[1][1])
    many.init(0, FILMS[2][0], BOXES[2])  # another sequence takes the slot
    results = many.update({0: FILMS[2][1], 1: FILMS[1][3]})
    assert_same(results[0], alone[2][0])
    assert_same(results[1], alone[1][2])


def test_rgb_and_arrays_on_the_device_are_the_same_frames(parts, alone):
    many = BatchTracker(*parts, slots=2)
    many.init(0, FILMS[0][0][..., ::-1], BOXES[0], color="rgb")
    many.init(1, jnp.asarray(FILMS[1][0]), BOXES[1])
    results = many.update({1: jnp.asarray(FILMS[1][1])})
    results |= many.update({0: FILMS[0][1][..., ::-1]}, color="rgb")
    for slot, result in results.items():
        assert_same(result, alone[slot][0])


def test_a_bad_frame_is_named_and_nothing_moves(parts, alone):
    many = BatchTracker(*parts, slots=2)
    many.init(0, FILMS[0][0], BOXES[0])
    many.init(1, FILMS[1][0], BOXES[1])
    with pytest.raises(FrameError, match="slot 1: `frame` has 160 x 120 pixels"):
        many.update({0: FILMS[0][1], 1: FILMS[0][1]})
    with pytest.raises(FrameError, match="slot 0: `frame` is float32"):
        many.update({0: FILMS[0][1].astype(np.float32)})
    results = many.update({0: FILMS[0][1], 1: FILMS[1][1]})
    assert_same(results[0], alone[0][0])
    assert_same(results[1], alone[1][0])


def test_what_is_no_slot_is_refused(parts):
    for slots in (0, 10**12):
        with pytest.raises(ValueError, match=rf"`slots` \(={slots}\) must lie between 1 and"):
            BatchTracker(*parts, slots=slots)
    many = BatchTracker(*parts, slots=2)
    with pytest.raises(ValueError, match=r"`slot` \(=2\) must lie between 0 and 1"):
        many.init(2, FILMS[0][0], BOXES[0])
    with pytest.raises(BoxError, match="outside the frame"):
        many.init(0, FILMS[0][0], (500, 0, 10, 10))
    with pytest.raises(RuntimeError, match="call `init` for slot 0 first"):
        many.update({0: FILMS[0][1]})


def test_several_targets_in_one_frame_equal_single_runs(parts):
    frames = FILMS[2]
    many = MultiTracker(*parts)
    many.init(frames[0], BOXES)
    np.testing.assert_array_equal(many.boxes_xywh, np.float32(BOXES))
    np.testing.assert_array_equal(many.scores, 1)
    singles = [Tracker(*parts) for _ in BOXES]
    for single, box in zip(singles, BOXES, strict=True):
        single.init(frames[0], box)
    for frame in frames[1:]:
        results = many.update(frame)
        for result, single in zip(results, singles, strict=True):
            assert_same(result, single.update(frame))
        np.testing.assert_array_equal(many.boxes_xywh, [each.box_xywh for each in results])
        np.testing.assert_array_equal(many.scores, [each.score for each in results])


def test_several_targets_refuse_what_one_refuses(parts):
    many = MultiTracker(*parts)
    with pytest.raises(RuntimeError, match="call `init"):
        many.update(FILMS[0][0])
    with pytest.raises(ValueError, match="`boxes_xywh` is empty"):
        many.init(FILMS[0][0], [])
    with pytest.raises(BoxError, match="positive width"):
        many.init(FILMS[0][0], [BOXES[0], (10, 10, 0, 5)])
    many.init(FILMS[0][0], BOXES[:1])
    with pytest.raises(FrameError, match="tracking began at 160 x 120"):
        many.update(FILMS[1][0])


def test_one_compilation_and_one_call_for_all(caplog):
    network = SeesBrightness()
    many = BatchTracker(network, {}, Config(name="test"), slots=4)
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        for slot in range(3):
            many.init(slot, FILMS[slot][0], BOXES[slot])
        for t in range(1, 5):
            many.update({slot: FILMS[slot][t] for slot in range(3)})
        many.init(3, FILMS[0][0], BOXES[0])
        many.update(
            {0: FILMS[2][0][:120, :160], 1: FILMS[1][0], 2: FILMS[2][0], 3: FILMS[0][1]}
        )
    # Two buckets for `init`; three and four targets are the same batch of four.
    assert network.traces == {"encode_template": 2, "predict": 1}
    messages = [r.getMessage() for r in caplog.records]
    assert sum("Compiling jit(_advance)" in message for message in messages) == 1
