"""SiamMask's tracker: the mask of the chosen cell lands where the target is."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import Config, ModelConfig, TrackerConfig
from siamjax.models.build import build_network
from siamjax.models.siamese import MaskFeatures
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.masks import paste, rotated_rectangle
from siamjax.tracking.state import Mask
from siamjax.tracking.tracker import Tracker
from tests.models.networks import MODELS
from tests.tracking.networks import SeesBrightness, random_variables

CONFIG = Config(
    name="masks",
    model=ModelConfig(levels=("layer3",), channels=(256,), mask=True),
    tracker=TrackerConfig(mask_threshold=0.5, penalty_k=0.0, window_influence=0.1),
)
BOX = (90, 70, 60, 40)


class SeesBrightPixels(SeesBrightness):
    """Its mask at a cell says how bright that part of the search image is, above 128."""

    def predict(self, features, search):
        nothing = jnp.zeros((search.shape[0], 1, 1, 1))
        return super().predict(features, search)._replace(mask=MaskFeatures(nothing, (search,)))

    def predict_mask(self, features, cell):
        # 25 cells of 8 pixels: the template's part of the image begins 4 cells before.
        (search,) = features.stages
        around = jnp.pad(search.mean(axis=-1), ((0, 0), (32, 32), (32, 32)))

        def cut(image, cell):
            return jax.lax.dynamic_slice(image, (8 * cell[0], 8 * cell[1]), (127, 127))

        return (jax.vmap(cut)(around, cell) - 128) / 8


def picture(center, angle, size=(60, 40), shape=(240, 320)):
    """A bright rotated rectangle on grey, its corners, and which pixels it covers."""
    corners = cv2.boxPoints((center, size, angle))
    inside = np.zeros(shape, np.uint8)
    cv2.fillPoly(inside, [np.round(corners).astype(np.int32)], 1)
    return (
        np.where(inside[..., None] > 0, 240, 60).astype(np.uint8).repeat(3, 2),
        corners,
        inside,
    )


@pytest.fixture(scope="module")
def network():
    return SeesBrightPixels()


PATH = [((124, 94), 0), ((131, 90), 12), ((140, 97), 25), ((12, 120), 40)]


def test_the_mask_and_its_rectangle_lie_on_the_target(network):
    tracker = Tracker(network, {}, CONFIG)
    frame, _, _ = picture((119.5, 89.5), 0)
    tracker.init(frame, BOX)
    assert tracker.mask is None
    np.testing.assert_array_equal(tracker.polygon, [(90, 70), (150, 70), (150, 110), (90, 110)])
    for center, angle in PATH[:3]:
        frame, corners, inside = picture(center, angle)
        tracker.update(frame)
        found = tracker.mask > 0.5
        assert (found & (inside > 0)).sum() / (found | (inside > 0)).sum() > 0.93
        # Corners in any order, to a pixel and a half.
        apart = np.linalg.norm(tracker.polygon[:, None] - corners[None], axis=-1)
        assert apart.min(axis=0).max() < 2.0 and apart.min(axis=1).max() < 2.0


def test_masks_do_not_steer_the_tracker(network):
    plain = Config(name="boxes", tracker=CONFIG.tracker)
    with_masks, without = Tracker(network, {}, CONFIG), Tracker(SeesBrightness(), {}, plain)
    for tracker in (with_masks, without):
        tracker.init(picture((119.5, 89.5), 0)[0], BOX)
    for center, angle in PATH:
        frame, _, _ = picture(center, angle)
        with_masks.update(frame)
        without.update(frame)
        np.testing.assert_array_equal(with_masks.box_xywh, without.box_xywh)
    assert without.mask is None and without.polygon is None


def test_an_empty_mask_gives_the_corners_of_the_box(network):
    tracker = Tracker(network, {}, CONFIG)
    tracker.init(picture((119.5, 89.5), 0)[0], BOX)
    tracker.update(np.full((240, 320, 3), 60, np.uint8))
    assert tracker.mask.max() < 0.5
    x, y, w, h = tracker.box_xywh
    np.testing.assert_allclose(
        tracker.polygon, [(x, y), (x + w, y), (x + w, y + h), (x, y + h)], rtol=1e-6
    )


def test_many_targets_have_the_polygons_of_one(network):
    one, several = Tracker(network, {}, CONFIG), MultiTracker(network, {}, CONFIG)
    batch = BatchTracker(network, {}, CONFIG, slots=2)
    frame, _, _ = picture((119.5, 89.5), 0)
    one.init(frame, BOX)
    several.init(frame, [BOX, (30, 30, 20, 20)])
    np.testing.assert_array_equal(several.polygons[0], one.polygon)
    for slot in (0, 1):
        batch.init(slot, frame, BOX)
    for center, angle in PATH[:2]:
        frame, _, _ = picture(center, angle)
        one.update(frame)
        several.update(frame)
        found = batch.update({1: frame, 0: frame[:, ::-1]} if angle else {1: frame})
        np.testing.assert_allclose(several.polygons[0], one.polygon, atol=1e-3)
        np.testing.assert_allclose(found[1].polygon, one.polygon, atol=1e-3)
    assert set(found) == {0, 1}
    assert not np.allclose(found[0].polygon, one.polygon)


def test_pasting_follows_the_reference(rng):
    """m = u W / (W - 1) s - x s, s mask pixels for one of the frame; bilinear; 0 outside."""
    coarse = rng.uniform(size=(6, 6)).astype(np.float32)
    probabilities = cv2.resize(coarse, (127, 127), interpolation=cv2.INTER_CUBIC)
    x, y, side, width, height = -7.3, 21.8, 63.5, 80, 70
    ours = paste(Mask(probabilities, np.float32([x, y, side, side])), width, height)
    assert ours.shape == (height, width)
    for v, u in [(30, 0), (30, 40), (69, 55), (25, 12), (22, 20), (60, 57), (10, 10)]:
        at = [
            (place * extent / (extent - 1) - first) * 127 / side
            for place, extent, first in ((v, height, y), (u, width, x))
        ]
        low = np.floor(at).astype(int)
        expected = sum(
            probabilities[row, column] * (1 - abs(at[0] - row)) * (1 - abs(at[1] - column))
            for row in (low[0], low[0] + 1)
            for column in (low[1], low[1] + 1)
            if 0 <= row < 127 and 0 <= column < 127
        )
        # OpenCV interpolates at whole 1/32 of a pixel.
        assert ours[v, u] == pytest.approx(expected, abs=0.01), (v, u)


def test_the_largest_patch_is_the_target():
    mask = np.zeros((60, 80), np.float32)
    mask[5:10, 5:10] = 0.9
    mask[20:41, 30:61] = 0.6
    corners = rotated_rectangle(mask, 0.5)
    assert corners.dtype == np.float32
    assert sorted(map(tuple, corners.tolist())) == [(30, 20), (30, 40), (60, 20), (60, 40)]
    assert rotated_rectangle(mask, 0.7) is None  # 16 square pixels
    assert rotated_rectangle(np.full((60, 80), np.nan, np.float32), 0.5) is None


def test_the_network_s_own_masks_are_part_of_the_step():
    """A real network: the step's mask is the network's at the best cell, sigmoid."""
    model = MODELS["siammask"]
    config = Config(name="small", model=model, tracker=TrackerConfig(search_size=95))
    network = build_network(model)
    tracker = Tracker(network, random_variables(network, config), config)
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    tracker.init(frame, (60, 40, 30, 24))
    tracker.update(frame)
    mask = tracker.result._coarse_mask
    assert mask.probabilities.shape == (63, 63)
    assert np.isfinite(mask.probabilities).all() and mask.probabilities.std() > 0
    # The template's part of the search image: 63 of 95 pixels.
    context = np.sqrt((30 + 27) * (24 + 27))
    side = np.round(context * 95 / 63)
    np.testing.assert_allclose(mask.box_xywh[2:], side * 63 / 95, rtol=1e-5)
    offset = (mask.box_xywh[:2] - ((74.5, 51.5) - side / 2)) * 95 / side / 8 + 1
    np.testing.assert_allclose(offset, np.round(offset), atol=1e-3)
    assert (offset >= 0).all() and (offset <= 6).all()
