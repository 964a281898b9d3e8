"""The whole jitted step against section 6 in NumPy: crop, maps, choice, box."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from siamjax.config import Config
from siamjax.models.siamese import Prediction, TemplateFeatures
from siamjax.tracking import step
from siamjax.tracking.frames import pad_frame
from siamjax.tracking.state import TrackerState
from tests.tracking import oracle

CONFIG = Config(name="test")
CELLS, WIDTH, HEIGHT = 25, 200, 150


class MapsOfTheCrop:
    """Given maps, to which every cell adds what the crop shows there."""

    def apply(self, variables, *arguments, method):
        return method(variables, *arguments)

    def predict(self, variables, features, search):
        assert search.shape == (1, 255, 255, 3)
        # 25 cells of 8 pixels, the middle one on the middle of the crop.
        cells = search[:, 27:227, 27:227].reshape(1, CELLS, 8, CELLS, 8, 3).mean(axis=(2, 4))
        shown = (cells.mean(axis=-1)[..., None, None] - 128) / 16
        foreground = jnp.array([0.0, 1.0])
        return Prediction(variables["cls"][None] + shown * foreground, variables["loc"][None])


NETWORK = MapsOfTheCrop()


def in_numpy(frame, mean, center, size, cls_logits, loc):
    side = oracle.context(*size)
    crop = oracle.subwindow(frame, center, round(side * 255 / 127), 255, mean)
    shown = crop[27:227, 27:227].reshape(CELLS, 8, CELLS, 8, 3).mean(axis=(1, 3, 4))
    logits = cls_logits.astype(float)
    logits[..., 1] += (shown[..., None] - 128) / 16
    rules = CONFIG.tracker
    return oracle.choose(
        logits,
        loc,
        center,
        size,
        127 / side,
        (WIDTH, HEIGHT),
        penalty_k=rules.penalty_k,
        influence=rules.window_influence,
        rate=rules.size_lr,
    )


@functools.cache
def picture():
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (HEIGHT // 5, WIDTH // 5, 1), dtype=np.uint8)
    return np.kron(coarse, np.ones((5, 5, 3), np.uint8))


# Sixteenths, so that no corner of a crop lies within a rounding error of two pixels.
sixteenths = functools.partial(lambda low, high: st.integers(low * 16, high * 16))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    x=sixteenths(0, WIDTH),
    y=sixteenths(0, HEIGHT),
    width=sixteenths(10, 300),
    height=sixteenths(10, 300),
)
@example(seed=0, x=0, y=0, width=160, height=160)  # a tiny target in the corner
@example(seed=1, x=WIDTH * 16, y=HEIGHT * 16, width=640, height=320)  # the other corner
@example(seed=2, x=100 * 16, y=75 * 16, width=WIDTH * 16, height=HEIGHT * 16)  # all there is
@example(seed=3, x=100 * 16, y=0, width=160, height=2400)  # ten times as high as wide
def test_the_step_is_the_plain_version(seed, x, y, width, height):
    rng = np.random.default_rng(seed)
    cls_logits = 2 * rng.standard_normal((CELLS, CELLS, 5, 2), dtype=np.float32)
    loc = 0.3 * rng.standard_normal((CELLS, CELLS, 5, 4), dtype=np.float32)
    center, size = (x / 16, y / 16), (width / 16, height / 16)
    frame = picture()
    mean = frame.mean(axis=(0, 1))
    # A side within a rounding error of two whole numbers may be rounded to either.
    assume(abs(oracle.context(*size) * 255 / 127 % 1 - 0.5) > 1e-3)
    *expected, score, ranks = in_numpy(frame, mean, center, size, cls_logits, loc)
    assume(ranks[-1] - ranks[-2] > 4e-3)  # crops agree to a grey level, not exactly

    state = TrackerState(
        jnp.array(center, jnp.float32),
        jnp.array(size, jnp.float32),
        jnp.array(np.floor(mean), jnp.float32),
        TemplateFeatures(()),
    )
    after, output = step.update(
        {"cls": cls_logits, "loc": loc},
        state,
        jnp.asarray(pad_frame(frame)),
        jnp.array([WIDTH, HEIGHT], jnp.float32),
        network=NETWORK,
        config=CONFIG,
    )
    np.testing.assert_allclose(output.score, score, atol=5e-3)
    np.testing.assert_allclose(after.center, expected[0], rtol=1e-4, atol=2e-2)
    # The size follows by the score, which a grey level changes.
    np.testing.assert_allclose(after.size, expected[1], rtol=1e-2)
    left, top, w, h = np.asarray(output.box_xywh, np.float64)
    np.testing.assert_allclose((left + w / 2, top + h / 2), after.center, atol=1e-3)
    np.testing.assert_array_equal((w, h), after.size)
    assert 10 <= w <= WIDTH and 10 <= h <= HEIGHT
    assert jax.tree.all(jax.tree.map(lambda leaf: math.isfinite(leaf.sum()), output))


class Biased:
    """Sees the target in the middle of every image, as a box of `factors` times its sides that
    lies `shift` of its own sides off.
    """

    factors, shift = np.array([1.3, 0.8]), np.array([0.1, -0.2])

    def apply(self, variables, *arguments, method):
        return method(variables, *arguments)

    def encode_template(self, variables, images):
        return TemplateFeatures((), ())

    def predict(self, variables, features, search):
        cls_logits = np.zeros((1, CELLS, CELLS, 5, 2), np.float32)
        loc = np.zeros((1, CELLS, CELLS, 5, 4), np.float32)
        cls_logits[0, 12, 12, 2] = 0, 30  # the square anchor, 64 x 64
        box = np.array(self.true_sides) * self.factors
        loc[0, 12, 12, 2] = np.concatenate([self.shift * box / 64, np.log(box / 64)])
        return Prediction(jnp.asarray(cls_logits), jnp.asarray(loc))


def test_calibration_takes_off_what_is_known_of_the_first_frame(rng):
    frame = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    given_box, size = np.float32([70, 40, 60, 45]), np.float32([WIDTH, HEIGHT])
    network = Biased()
    network.true_sides = np.array([60, 45]) * 127 / oracle.context(60, 45)
    for calibration in (0.0, 1.0):
        rules = dataclasses.replace(CONFIG.tracker, size_lr=1.0, calibration=calibration)
        options = {"network": network, "config": dataclasses.replace(CONFIG, tracker=rules)}
        state = step.init({}, pad_frame(frame), size, given_box, **options)
        _, output = step.update({}, state, pad_frame(frame), size, **options)
        found = np.asarray(output.box_xywh)
        # the centre is PySOT's: half a pixel nearer to the origin
        off = found[:2] + found[2:] / 2 - (given_box[:2] + (given_box[2:] - 1) / 2)
        if calibration:
            np.testing.assert_allclose(found[2:], [60, 45], atol=0.02)
            np.testing.assert_allclose(off, 0, atol=0.02)
        else:
            assert np.abs(found[2:] / [78, 36] - 1).max() < 0.05
            np.testing.assert_allclose(off, [7.8, -7.2], atol=0.02)
