"""Where DaSiamRPN's release differs from PySOT: rounding, centre, small targets."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamjax.config import Config
from siamjax.config_files import load_config
from siamjax.geometry.anchors import anchor_grid, anchor_sizes
from siamjax.tracking import crop, step
from siamjax.tracking.step import with_long_term
from siamjax.tracking.tracker import Tracker
from tests.conftest import ROOT
from tests.tracking.networks import SeesBrightness

DASIAMRPN = load_config(ROOT / "configs" / "dasiamrpn.py")
LONG_TERM = load_config(ROOT / "configs" / "dasiamrpn_lt.py")
BIG = load_config(ROOT / "configs" / "siamrpn_vot2018.py")
PUBLISHED = dataclasses.replace(Config(name="test"), tracker=BIG.tracker)


@settings(deadline=None, max_examples=100)
@given(center=st.integers(-400, 4000).map(lambda k: k / 8), side=st.integers(1, 900))
def test_the_windows_corner_is_rounded_half_to_even(center, side):
    ours = crop._origin(jnp.float32(center), jnp.float32(side), "dasiamrpn")
    assert float(ours) == round(center - (side + 1) / 2)
    pysot = crop._origin(jnp.float32(center), jnp.float32(side), "pysot")
    assert float(pysot) == math.floor(center - (side + 1) / 2 + 0.5)


def test_the_grid_begins_where_floor_division_puts_it():
    grid = anchor_grid(anchor_sizes(8, (1.0,), (8,)), 8, 19)
    assert grid[0, 0, 0, 0] == -72 and grid[18, 18, 0, 1] == 72


def test_the_configurations_ask_for_it():
    for config in (DASIAMRPN, BIG):
        assert config.tracker.arithmetic == "dasiamrpn"
        assert config.tracker.search_size == 271
        assert config.model.score_size_for(271) == 19
    assert DASIAMRPN.tracker.small_target_search_size is None
    assert BIG.tracker.small_target_search_size == 287
    assert BIG.model.score_size_for(287) == 21


def test_the_centre_is_half_the_size_from_the_corner():
    settings = dataclasses.replace(Config(name="test").tracker, arithmetic="dasiamrpn")
    config = Config(name="test", tracker=settings)
    frame = jnp.zeros((256, 256, 3), jnp.uint8)
    state = step.init(
        {},
        frame,
        jnp.array([200.0, 150.0]),
        jnp.array([40.0, 30.0, 25.0, 11.0]),
        network=SeesBrightness(),
        config=config,
    )
    np.testing.assert_array_equal(state.center, (40 + 25 / 2, 30 + 11 / 2))


def test_long_term_is_the_same_network_and_tracker_until_the_target_is_lost():
    assert LONG_TERM.model == DASIAMRPN.model
    assert dataclasses.replace(LONG_TERM.tracker, long_term=None) == DASIAMRPN.tracker
    assert with_long_term(DASIAMRPN).tracker == LONG_TERM.tracker  # what --long-term means
    big = with_long_term(BIG).tracker
    assert big.search_sizes(287) == (287, 415, 543, 671, 767)


def test_a_lost_target_is_searched_in_constant_steps():
    sizes = []

    class Watches(SeesBrightness):
        def predict(self, features, search):
            sizes.append(search.shape[1])
            return super().predict(features, search)

    settings = dataclasses.replace(Config(name="test"), tracker=LONG_TERM.tracker)
    follower = Tracker(Watches(), {}, settings)
    dark = np.full((400, 320, 3), 20, np.uint8)
    bright = dark.copy()
    bright[90:170, 90:170] = 250
    follower.init(bright, (100, 100, 60, 60))
    lost = []
    for frame in (bright, *[dark] * 6, bright, bright):
        follower.update(frame)
        lost.append(follower.is_lost)
    assert sizes == [271, 399, 527, 655, 767]  # each compiled once, when it is needed
    assert lost == [False, *[True] * 6, False, False]


@pytest.mark.parametrize(("side", "size"), [(20, 287), (21, 287), (23, 271), (80, 271)])
def test_a_small_target_is_searched_in_a_larger_image(side, size):
    # 0.4% of 320 x 400 is 512 pixels: 22.6 squared.
    assert step.first_search_size(BIG, (5, 5, side, side), 320, 400) == size
    assert step.first_search_size(DASIAMRPN, (5, 5, side, side), 320, 400) == 271


def test_the_search_image_stays_as_it_began():
    sizes = []

    class Watches(SeesBrightness):
        def predict(self, features, search):
            sizes.append(search.shape[1])
            return super().predict(features, search)

    # The stand-in's maps are those of a template cropped to seven cells.
    follower = Tracker(Watches(), {}, PUBLISHED)
    frame = np.full((400, 320, 3), 90, np.uint8)
    for side in (20, 60):
        follower.init(frame, (100, 100, side, side))
        for _ in range(2):
            follower.update(frame)
    assert sizes == [287, 271]
