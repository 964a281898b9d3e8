import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamjax.geometry.anchors import anchor_grid, anchor_sizes
from siamjax.tracking import select as selection
from tests.tracking import oracle

SIZES = anchor_sizes(8, (0.33, 0.5, 1, 2, 3), (8,))


def hyper(penalty_k=0.04, window_influence=0.44, size_lr=0.4):
    return selection.Hyperparameters(penalty_k, window_influence, size_lr)


@functools.cache
def compiled(side):
    @jax.jit
    def choose_and_hold(*maps_and_target, frame_size, hyper):
        grid = anchor_grid(SIZES, 8, side)
        chosen = selection.select(*maps_and_target, anchors=grid, hyper=hyper)
        center, size = selection.hold(chosen.center, chosen.size, frame_size)
        return chosen._replace(center=center, size=size)

    return choose_and_hold


def run(cls_logits, loc, center, size, scale, frame_size, config):
    arrays = [jnp.array(x, jnp.float32) for x in (center, size, scale)]
    chosen = compiled(cls_logits.shape[0])(
        jnp.asarray(cls_logits),
        jnp.asarray(loc),
        *arrays,
        frame_size=jnp.array(frame_size, jnp.float32),
        hyper=config,
    )
    return jax.tree.map(np.asarray, chosen)


def random_maps(rng, side, spread):
    cls_logits = 2 * rng.standard_normal((side, side, 5, 2), dtype=np.float32)
    return cls_logits, spread * rng.standard_normal((side, side, 5, 4), dtype=np.float32)


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.sampled_from([3, 17]),
    spread=st.sampled_from([0.05, 0.5, 2.0]),
    # tiny, usual, and far larger than the frame
    size=st.tuples(*[st.sampled_from([1.0, 10.0, 37.5, 200.0, 5000.0])] * 2),
    # inside, at the borders, outside
    center=st.tuples(*[st.sampled_from([-30.0, 0.0, 100.0, 239.0, 400.0])] * 2),
    scale=st.sampled_from([0.02, 0.7, 9.0]),
    config=st.sampled_from(
        [
            hyper(),
            hyper(penalty_k=0.16, window_influence=0.4, size_lr=0.3),
            hyper(penalty_k=0.0, window_influence=0.0, size_lr=1.0),
            hyper(penalty_k=0.5, window_influence=1.0, size_lr=0.5),
        ]
    ),
)
def test_the_choice_equals_the_plain_version(seed, side, spread, size, center, scale, config):
    cls_logits, loc = random_maps(np.random.default_rng(seed), side, spread)
    expected_center, expected_size, score, ranks = oracle.choose(
        cls_logits,
        loc,
        center,
        size,
        scale,
        (320.0, 240.0),
        penalty_k=config.penalty_k,
        influence=config.window_influence,
        rate=config.size_lr,
    )
    # float32 and float64 may order equals differently; a pure window ranks by place alone.
    assume(ranks[-1] - ranks[-2] > 1e-5 or config.window_influence == 1.0)
    ours = run(cls_logits, loc, center, size, scale, (320.0, 240.0), config)
    np.testing.assert_allclose(ours.score, score, atol=1e-5)
    np.testing.assert_allclose(ours.center, expected_center, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(ours.size, expected_size, rtol=1e-4, atol=1e-2)


def test_of_equal_anchors_the_first_of_the_first_anchor_wins():
    # All maps level and no window: PySOT flattens anchor, row, column. A loc of its own for
    # every anchor and cell tells which one was taken.
    loc = np.zeros((3, 3, 5, 4), np.float32)
    cls_logits = np.zeros((3, 3, 5, 2), np.float32)
    cls_logits[1, 2, 0, 1] = cls_logits[0, 0, 3, 1] = cls_logits[2, 0, 0, 1] = 5.0
    config = hyper(penalty_k=0.0, window_influence=0.0)
    ours = run(cls_logits, loc, (100, 100), (50, 50), 1.0, (320, 240), config)
    np.testing.assert_allclose(ours.center, (100 + 8, 100))


def test_the_window_is_symmetric_and_zero_at_its_ends():
    window = selection.cosine_window(25)
    assert window.dtype == np.float32
    assert window[12, 12] == 1 and window[0].max() == 0 and window[:, -1].max() == 0
    np.testing.assert_allclose(window[12, 6], 0.5, atol=1e-6)
    np.testing.assert_array_equal(window, window[::-1].T)


def test_the_penalty_by_hand():
    # Twice as wide and high: r = 1, s = 2, exp(-0.1 * (2 - 1)).
    boxes = jnp.array([(20.0, 40.0), (40.0, 80.0), (10.0, 20.0), (40.0, 20.0)])
    ours = selection.size_penalty(boxes, jnp.array([20.0, 40.0]), 0.1)
    # Turned by 90 degrees: same context, aspect changes by 4.
    np.testing.assert_allclose(ours, [1.0, np.exp(-0.1), np.exp(-0.1), np.exp(-0.3)], rtol=1e-6)


@pytest.mark.parametrize("broken", [200.0, -200.0, np.nan, np.inf])
def test_a_box_that_overflows_is_passed_over(broken):
    cls_logits = np.zeros((3, 3, 5, 2), np.float32)
    cls_logits[0, 0, 2, 1] = 9.0  # the best, but its box is no box
    cls_logits[2, 1, 2, 1] = 4.0
    loc = np.zeros((3, 3, 5, 4), np.float32)
    loc[0, 0, 2] = broken
    config = hyper(penalty_k=0.04, window_influence=0.0)
    ours = run(cls_logits, loc, (100, 100), (64, 64), 1.0, (320, 240), config)
    np.testing.assert_allclose(ours.center, (100, 108))


@pytest.mark.parametrize("broken", [200.0, np.nan])
def test_the_target_stays_where_no_box_is_usable(broken):
    cls_logits = np.zeros((3, 3, 5, 2), np.float32)
    loc = np.full((3, 3, 5, 4), broken, np.float32)
    ours = run(cls_logits, loc, (100, 90), (64, 40), 1.0, (320, 240), hyper())
    np.testing.assert_array_equal(ours.center, (100, 90))
    np.testing.assert_array_equal(ours.size, (64, 40))
