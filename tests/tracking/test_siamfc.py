import dataclasses
import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamjax.config import ConfigError, DistractorConfig, LongTermConfig
from siamjax.config_files import load_config
from siamjax.models.siamese import Prediction, TemplateFeatures
from siamjax.tracking import crop, siamfc
from siamjax.tracking.batch import BatchTracker
from siamjax.tracking.frames import pad_frame
from siamjax.tracking.state import TrackerState
from siamjax.tracking.tracker import Tracker
from tests.conftest import ROOT
from tests.tracking import oracle

CONFIG = load_config(ROOT / "configs" / "siamfc.py")


class SeesBrightness:
    """Responds to the mean brightness of 127 pixels, at stride 8."""

    def apply(self, variables, *arguments, method):
        return method(*arguments)

    def encode_template(self, template):
        return TemplateFeatures((template.mean(axis=(1, 2)),))

    def predict(self, features, search):
        assert search.shape[1:] == (255, 255, 3)
        bright = search.mean(axis=-1)
        for window, strides in (((1, 127, 1), (1, 8, 1)), ((1, 1, 127), (1, 1, 8))):
            bright = (
                jax.lax.reduce_window(bright, 0.0, jax.lax.add, window, strides, "VALID")
                / 127.0
            )
        return Prediction(bright[..., None, None] / 16 - 4, None)


@pytest.mark.parametrize("coarse", [5, 17])
def test_the_finer_response_is_opencvs(rng, coarse):
    response = rng.standard_normal((coarse, coarse), dtype=np.float32)
    matrix = siamfc.bicubic(coarse, 16 * coarse)
    expected = cv2.resize(response, (16 * coarse,) * 2, interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(matrix @ response @ matrix.T, expected, atol=1e-5)


@jax.jit
def step(responses, center, size):
    state = TrackerState(center, size, jnp.zeros(3), TemplateFeatures(()), memory=size)
    context = 0.5 * size.sum()
    scale = 127.0 / jnp.sqrt((size[0] + context) * (size[1] + context))
    prediction = Prediction(responses[..., None, None], None)
    return siamfc.follow(state, prediction, scale, config=CONFIG)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(*[st.sampled_from([4.0, 37.5, 200.0])] * 2),
    center=st.tuples(*[st.sampled_from([-30.0, 0.0, 100.0, 400.0])] * 2),
    spread=st.sampled_from([0.1, 3.0]),
)
def test_the_step_equals_the_plain_version(seed, size, center, spread):
    rng = np.random.default_rng(seed)
    responses = spread * rng.standard_normal((3, 17, 17), dtype=np.float32)
    *expected, margin = oracle.siamfc_step(responses, center, size)
    assume(margin > 1e-4)  # float32 may choose otherwise among near equals
    arrays = (jnp.array(x, jnp.float32) for x in (responses, center, size))
    state, output = step(*arrays)
    ours = [*state.center.tolist(), *state.size.tolist(), float(output.score)]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-3)
    x, y, w, h = output.box_xywh.tolist()
    np.testing.assert_allclose((x + (w - 1) / 2, y + (h - 1) / 2), expected[:2], atol=1e-2)


@settings(deadline=None, max_examples=40)
@given(
    x=st.integers(-10 * 4, 210 * 4).map(lambda k: k / 4),
    y=st.integers(-10 * 4, 170 * 4).map(lambda k: k / 4),
    side=st.integers(2, 300),
)
def test_the_crop_is_siamfcs(x, y, side):
    frame = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    expected = oracle.siamfc_subwindow(frame, (x, y), side, 63, (9, 8, 7))
    ours = cut(frame, jnp.array([x, y]), jnp.float32(side))
    assert np.abs(np.asarray(ours) - expected.astype(np.float32)).max() <= 1


@jax.jit
def cut_padded(frame, size, center, side):
    color = jnp.array([9.0, 8.0, 7.0])
    return crop.subwindow(frame, size, center, side, color, 63, "siamfc")


def cut(frame, center, side):
    size = jnp.array(frame.shape[1::-1], jnp.float32)
    return cut_padded(jnp.asarray(pad_frame(frame)), size, center, side)


def test_three_scales_are_searched():
    np.testing.assert_allclose(siamfc.scale_factors(CONFIG), [1 / 1.0375, 1, 1.0375], rtol=1e-6)


def scene(x, y, side):
    frame = np.full((240, 320, 3), 20, np.uint8)
    frame[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = 250
    return frame


def test_it_follows_what_the_network_sees():
    follower = Tracker(SeesBrightness(), {}, CONFIG)
    # As large as the template with its context: 127 pixels of the search image.
    follower.init(scene(150, 110, 80), (130, 90, 40, 40))
    np.testing.assert_array_equal(follower.box_xywh, (130, 90, 40, 40))
    for x, y in [(155, 110), (160, 115), (165, 120), (160, 126)]:
        follower.update(scene(x, y, 80))
    left, top, width, height = follower.box_xywh
    assert abs(left + width / 2 - 160) < 4 and abs(top + height / 2 - 126) < 4
    assert follower.score > 0.99
    assert width == height


def test_many_equal_one():
    network = SeesBrightness()
    many = BatchTracker(network, {}, CONFIG, slots=2)
    starts = [(130, 90, 40, 40), (120, 100, 50, 30)]
    singles = [Tracker(network, {}, CONFIG) for _ in starts]
    for slot, (single, box) in enumerate(zip(singles, starts, strict=True)):
        many.init(slot, scene(150, 110, 80), box)
        single.init(scene(150, 110, 80), box)
    for x in (155, 163):
        results = many.update({0: scene(x, 112, 80), 1: scene(x, 108, 80)})
        for slot, single in enumerate(singles):
            single.update(scene(x, 112 - 4 * slot, 80))
            np.testing.assert_allclose(results[slot].box_xywh, single.box_xywh, atol=1e-4)
            np.testing.assert_allclose(results[slot].score, single.score, atol=1e-4)


def test_a_network_that_overflows_stays():
    state = TrackerState(
        jnp.array([50.0, 60.0]),
        jnp.array([20.0, 30.0]),
        jnp.zeros(3),
        TemplateFeatures(()),
        memory=jnp.array([20.0, 30.0]),
    )
    responses = jnp.full((3, 17, 17, 1, 1), jnp.nan)
    after, _ = jax.jit(functools.partial(siamfc.follow, config=CONFIG))(
        state, Prediction(responses, None), jnp.float32(1)
    )
    np.testing.assert_array_equal(after.center, state.center)
    np.testing.assert_array_equal(after.size, state.size)


@pytest.mark.parametrize(
    "option", [{"long_term": LongTermConfig()}, {"distractors": DistractorConfig()}]
)
def test_what_it_cannot_do_is_refused(option):
    tracker = dataclasses.replace(CONFIG.tracker, **option)
    with pytest.raises(ConfigError, match=r"must be None for `model.correlation` \(='plain'\)"):
        dataclasses.replace(CONFIG, tracker=tracker)
