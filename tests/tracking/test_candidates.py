"""Every candidate gives what a tracker with its settings gives."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from siamjax.config import DistractorConfig, LongTermConfig, ModelConfig, TrackerConfig
from siamjax.models.build import build_network
from siamjax.tracking.candidates import CandidateTracker, share
from siamjax.tracking.frames import FrameError
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness, random_variables, small_config
from tests.tracking.test_batch import film

FRAMES, BOX = film(3, 200, 144), (80, 50, 40, 30)


@pytest.fixture(scope="module")
def parts():
    config = small_config()
    network = build_network(config.model)
    return network, random_variables(network, config), config


def settings(config, *numbers):
    names = ("penalty_k", "window_influence", "size_lr")
    return [
        dataclasses.replace(config.tracker, **dict(zip(names, three, strict=True)))
        for three in numbers
    ]


def test_every_candidate_equals_its_own_tracker(parts):
    network, variables, config = parts
    numbers = [(0.05, 0.35, 0.4), (0.5, 0.1, 0.9), (0.0, 0.8, 0.1), (0.05, 0.35, 0.4)]
    candidates = settings(config, *numbers)
    ours = CandidateTracker(network, variables, config, candidates)
    ours.init(FRAMES[0], BOX)
    singles = []
    for candidate in candidates:
        single = Tracker(network, variables, dataclasses.replace(config, tracker=candidate))
        single.init(FRAMES[0], BOX)
        singles.append(single)
    for frame in FRAMES[1:]:
        boxes, scores = ours.update(frame)
        assert boxes.shape == (4, 4) and scores.shape == (4,)
        for k, single in enumerate(singles):
            single.update(frame)
            np.testing.assert_allclose(boxes[k], single.box_xywh, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(scores[k], single.score, atol=1e-4)
    assert np.ptp(boxes[:3], axis=0).max() > 1, "the candidates must disagree"
    # One pass for the first frame, then one for each of the three that differ.
    assert ours.evaluations == 1 + 3 * 3


def test_candidates_that_agree_share_the_network():
    config = small_config()
    config = dataclasses.replace(config, model=ModelConfig(), tracker=TrackerConfig())
    # Without any window or penalty of size the brightest anchor wins, whatever the share.
    candidates = settings(config, (0.0, 0.0, 0.4), (0.0, 0.001, 0.4), (0.0, 0.002, 0.4))
    ours = CandidateTracker(SeesBrightness(), {}, config, candidates)
    frames = [np.full((120, 160, 3), 20, np.uint8) for _ in range(4)]
    for t, frame in enumerate(frames):
        frame[40:80, 40 + 4 * t : 80 + 4 * t] = 250
    ours.init(frames[0], (40, 40, 40, 40))
    for t, frame in enumerate(frames[1:], 1):
        ours.update(frame)
        assert ours.evaluations == t


def test_shared_states_lie_within_the_tolerance(rng):
    config = small_config()
    center, size = rng.uniform(90, 110, (40, 2)), rng.uniform(35, 45, (40, 2))
    where = np.concatenate([center, size], axis=1).astype(np.float32)
    where[7] = where[3]
    exact, own = share(where, config, 0.0)
    np.testing.assert_array_equal(exact[own], where)
    assert len(exact) == 39
    looked_at, shared = share(where, config, 4.0)
    assert 1 < len(looked_at) < 39 and shared.max() == len(looked_at) - 1
    theirs = looked_at[shared]
    # by the definition: pixels of the search image, half of whose template is the target

    def pixel(state):
        context = state[:, 2:].sum(axis=1) * config.tracker.context_amount
        side = np.sqrt((state[:, 2] + context) * (state[:, 3] + context))
        return side / config.model.context_pixels

    assert (np.abs(theirs - where)[:, :2].max(axis=1) <= 4 * pixel(where) + 1e-3).all()
    edges = np.abs(pixel(theirs) / pixel(where) - 1) * config.model.context_pixels / 4
    assert edges.max() <= 4 + 1e-3


def test_within_the_tolerance_one_pass_serves_all_and_sizes_stay_their_own():
    config = small_config()
    config = dataclasses.replace(config, model=ModelConfig(), tracker=TrackerConfig())
    candidates = settings(config, (0.0, 0.0, 0.1), (0.0, 0.0, 0.15), (0.0, 0.0, 0.2))
    frames = [np.full((120, 160, 3), 20, np.uint8) for _ in range(5)]
    for t, frame in enumerate(frames):
        frame[40:80, 40 + 2 * t : 80 + 2 * t] = 250
    boxes = {}
    for tolerance in (0.0, 20.0):
        ours = CandidateTracker(SeesBrightness(), {}, config, candidates, tolerance=tolerance)
        ours.init(frames[0], (36, 44, 48, 32))
        found = [ours.update(frame)[0] for frame in frames[1:]]
        boxes[tolerance] = np.stack(found)
        assert ours.evaluations == (4 if tolerance else 1 + 3 * 3)
    assert len(np.unique(boxes[20.0][-1, :, 2])) == 3
    np.testing.assert_allclose(boxes[20.0], boxes[0.0], atol=3)
    with pytest.raises(ValueError, match=r"`tolerance` \(=-1\)"):
        CandidateTracker(SeesBrightness(), {}, config, candidates, tolerance=-1)


def test_new_numbers_and_a_new_sequence_compile_nothing(caplog):
    config = dataclasses.replace(small_config(), model=ModelConfig(), tracker=TrackerConfig())
    network = SeesBrightness()

    def follow(*numbers):
        ours = CandidateTracker(network, {}, config, settings(config, *numbers))
        ours.init(FRAMES[0], BOX)
        for frame in FRAMES[1:]:
            ours.update(frame)

    follow((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    before = dict(network.traces)
    assert before["predict"] <= 2  # batches of one and of two
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        follow((0.2, 0.3, 0.7), (0.15, 0.45, 0.05))
    assert network.traces == before
    assert not [r for r in caplog.records if "Compiling jit(_update)" in r.getMessage()]


def test_candidates_must_differ_in_the_three_numbers_only(parts):
    network, variables, config = parts
    other = dataclasses.replace(config.tracker, search_size=159)
    with pytest.raises(ValueError, match="may differ in penalty_k, window_influence, size_lr"):
        CandidateTracker(network, variables, config, [config.tracker, other])
    with pytest.raises(ValueError, match="`candidates` is empty"):
        CandidateTracker(network, variables, config, [])
    for kind, option in {
        "a long-term": {"long_term": LongTermConfig(search_size=255)},
        "a distractor-aware": {"distractors": DistractorConfig()},
    }.items():
        refused = dataclasses.replace(config.tracker, **option)
        with pytest.raises(ValueError, match=f"^{kind} tracker cannot be searched"):
            CandidateTracker(network, variables, config, [refused])


def test_bad_frames_are_refused_without_moving(parts):
    ours = CandidateTracker(*parts, [parts[2].tracker])
    with pytest.raises(RuntimeError, match="call `init"):
        ours.update(FRAMES[0])
    ours.init(FRAMES[0], BOX)
    with pytest.raises(FrameError, match="tracking began at 200 x 144"):
        ours.update(FRAMES[0][:100])
    assert ours.evaluations == 0
