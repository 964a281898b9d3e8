"""The memory of what resembles the target."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import Config, DistractorConfig
from siamjax.models.siamese import Prediction
from siamjax.tracking import distractors
from siamjax.tracking.batch import BatchTracker
from siamjax.tracking.tracker import Tracker
from tests.tracking import oracle
from tests.tracking.networks import SeesColor

TARGET, OTHER, CHANGED = (40, 40, 220), (40, 75, 220), (40, 8, 220)
PLAIN = Config(name="test")
AWARE = dataclasses.replace(
    PLAIN, tracker=dataclasses.replace(PLAIN.tracker, distractors=DistractorConfig())
)


def scene(target, color):
    """Two squares of 40 pixels: the target and one of nearly its colour, at the same place."""
    frame = np.full((240, 320, 3), 90, np.uint8)
    frame[80:120, 180:220] = OTHER
    frame[80:120, target - 20 : target + 20] = color
    return frame


# The target's colour changes until the other's is as much like the first frame's, or more.
FILM = [scene(120, TARGET), scene(122, TARGET), scene(124, CHANGED), scene(126, (40, 0, 220))]
FILM += [scene(128 + 2 * t, (60, 0, 220)) for t in range(3)]
START = (100, 80, 40, 40)


@pytest.fixture(scope="module")
def network():
    return SeesColor()


def places(network, config, window):
    settings = dataclasses.replace(config.tracker, window_influence=window)
    follower = Tracker(network, {}, dataclasses.replace(config, tracker=settings))
    follower.init(FILM[0], START)
    found = []
    for frame in FILM[1:]:
        follower.update(frame)
        box = follower.box_xywh
        found.append(box[0] + box[2] / 2)
    return np.array(found), follower


class ByHand:
    """The distractor-aware tracker with `SeesColor`, in NumPy and loops; no code of ours."""

    def __init__(self, frame, box, rules, window):
        self.rules, self.window = rules, window
        self.size = np.array(box[2:], float)
        self.center = np.array(box[:2]) + (self.size - 1) / 2
        self.mean = frame.mean(axis=(0, 1)).astype(int)
        self.target = self.color(frame, self.center, self.size)
        self.memory = []  # (frame number, colour), the latest first
        self.number = 0

    def color(self, frame, center, size):
        side = round(oracle.context(*size))
        crop = oracle.subwindow(frame, center, side, 127, self.mean)
        return crop[47:79, 47:79].mean(axis=(0, 1))

    def scores(self, crop, color):
        alike = 1 / (1 + (np.linalg.norm(crop - color, axis=-1) / 40) ** 4)
        cells = range(0, 193, 8)
        means = [[alike[y : y + 63, x : x + 63].mean() for x in cells] for y in cells]
        return 1 / (1 + np.exp(6 - 16 * np.array(means)))

    def update(self, frame):
        self.number += 1
        side = oracle.context(*self.size)
        scale = 127 / side
        crop = oracle.subwindow(frame, self.center, round(side * 255 / 127), 255, self.mean)
        crop = crop.astype(float)
        scores = self.scores(crop, self.target)
        rate = self.rules.rate / (1 - self.rules.rate)
        weights = [sum(rate**i for i in range(seen)) for seen, _ in self.memory]
        rival = sum(
            w * self.scores(crop, color)
            for w, (_, color) in zip(weights, self.memory, strict=True)
        )
        rival = self.rules.weight * rival / sum(weights) if weights else 0.0

        box = np.array([64.0, 64.0]) / scale  # of the square anchor, at every cell
        sides = oracle.change(oracle.context(*box) / oracle.context(*self.size))
        aspect = oracle.change((self.size[0] / self.size[1]) / (box[0] / box[1]))
        penalty = np.exp(-(aspect * sides - 1) * PLAIN.tracker.penalty_k)
        hann = np.outer(np.hanning(25), np.hanning(25))
        ranked = penalty * (scores - rival) * (1 - self.window) + hann * self.window
        rows, columns = np.mgrid[-12:13, -12:13] * 8 / scale
        centers = self.center + np.stack([columns, rows], axis=-1)
        best = np.unravel_index(ranked.argmax(), ranked.shape)
        rate = penalty * scores[best] * PLAIN.tracker.size_lr
        self.center, self.size = centers[best], self.size * (1 - rate) + box * rate
        self._remember(frame, scores, centers, box)
        return np.concatenate([self.center - self.size / 2, self.size])

    def _remember(self, frame, scores, centers, box):
        found, taken = [], [(self.center, self.size)]
        for k in np.argsort(-scores, axis=None, kind="stable"):
            center = centers.reshape(-1, 2)[k]
            is_free = all(overlap(center, box, *other) <= self.rules.max_iou for other in taken)
            if scores.flat[k] >= self.rules.min_score and is_free:
                taken.append((center, box))
                found.append((self.number, self.color(frame, center, box)))
        self.memory = (found + self.memory)[: self.rules.count]


def overlap(center, size, other_center, other_size):
    low = np.maximum(center - size / 2, other_center - other_size / 2)
    high = np.minimum(center + size / 2, other_center + other_size / 2)
    shared = np.maximum(high - low, 0).prod()
    return shared / (np.prod(size) + np.prod(other_size) - shared)


def test_a_rival_that_was_seen_before_is_passed_over(network):
    without, _ = places(network, PLAIN, 0.1)
    aware, _ = places(network, AWARE, 0.1)
    assert abs(without[-1] - 200) < 8, "without memory it goes over to the other square"
    assert abs(aware[-1] - 132) < 8


@pytest.mark.parametrize("count", [1, 3])
def test_boxes_and_memory_are_those_of_the_plain_version(network, count):
    rules = DistractorConfig(count=count, rate=0.2, min_score=0.3)
    settings = dataclasses.replace(PLAIN.tracker, distractors=rules, window_influence=0.1)
    follower = Tracker(network, {}, Config(name="test", tracker=settings))
    film = [frame.copy() for frame in FILM]
    for frame in film:
        frame[60:100, 40:80] = (40, 90, 210)  # one more, so that a frame has several
    follower.init(film[0], START)
    by_hand = ByHand(film[0], START, rules, 0.1)
    most = 0
    for frame in film[1:]:
        follower.update(frame)
        np.testing.assert_allclose(follower.box_xywh, by_hand.update(frame), atol=1e-2)
        memory = follower._state.memory
        known = len(by_hand.memory)
        seen, colors = zip(*by_hand.memory, strict=True)
        np.testing.assert_array_equal(memory.seen, [*seen, *[0] * (count - known)])
        # Crops agree to one grey level.
        np.testing.assert_allclose(memory.templates.kernels[0][:known, 0], colors, atol=1)
        most = max(most, seen.count(seen[0]))
    assert known == most == count


def test_nothing_is_remembered_of_an_image_without_rivals(network):
    follower = Tracker(network, {}, AWARE)
    frame = scene(120, TARGET)
    frame[80:120, 180:220] = 90
    follower.init(frame, START)
    for _ in range(2):
        follower.update(frame)
    np.testing.assert_array_equal(follower._state.memory.seen, 0)
    assert float(follower._state.memory.frame) == 2


def test_the_weights_of_time_are_the_sum():
    rate = 0.1
    for t in range(6):
        by_hand = sum((rate / (1 - rate)) ** i for i in range(t))
        np.testing.assert_allclose(
            distractors.time_weights(jnp.float32(t), rate), by_hand, rtol=1e-6
        )


def test_what_is_taken_off_is_the_weighted_mean(rng):
    rules = DistractorConfig(weight=0.6, rate=0.1)
    logits = rng.standard_normal((4, 3, 3, 2, 2), dtype=np.float32)
    memory = distractors.Distractors((), jnp.array([1.0, 0.0, 3.0]), jnp.float32(3))
    ours = distractors.rivals(Prediction(jnp.asarray(logits), None), memory, rules)
    scores = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    third = 1 + 1 / 9 + 1 / 81
    expected = 0.6 * (scores[1] + third * scores[3]) / (1 + third)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    empty = memory._replace(seen=jnp.zeros(3))
    np.testing.assert_array_equal(
        distractors.rivals(Prediction(jnp.asarray(logits), None), empty, rules), 0
    )


def test_many_equal_one(network):
    many = BatchTracker(network, {}, AWARE, slots=2)
    starts = [START, (181, 82, 38, 36)]
    singles = [Tracker(network, {}, AWARE) for _ in starts]
    for slot, box in enumerate(starts):
        many.init(slot, FILM[0], box)
        singles[slot].init(FILM[0], box)
    for frame in FILM[1:4]:
        results = many.update({0: frame, 1: frame})
        for slot, single in enumerate(singles):
            single.update(frame)
            np.testing.assert_allclose(results[slot].box_xywh, single.box_xywh, atol=1e-4)
            np.testing.assert_allclose(results[slot].score, single.score, atol=1e-4)


def test_the_backbone_sees_the_frame_once():
    """The network's own operations on the search image do not grow with the memory."""
    from siamjax.models.build import build_network
    from tests.tracking.networks import random_variables, small_config

    config = small_config()
    network = build_network(config.model)
    variables = random_variables(network, config)
    image = jnp.zeros((1, 63, 63, 3))
    template = jax.eval_shape(
        lambda: network.apply(variables, image, method=network.encode_template)
    )
    template = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), template)

    def flops(count):
        memory = distractors.forget(template, DistractorConfig(count=count))
        state = PlainState(template, memory)
        search = jnp.zeros((1, 143, 143, 3))
        lowered = jax.jit(
            lambda s: distractors.predict(variables, state, s, network=network)
        ).lower(search)
        return lowered.cost_analysis()["flops"]

    assert flops(8) < 2 * flops(1)


class PlainState:
    def __init__(self, template, memory):
        self.template, self.memory = template, memory
