"""The probes, on responses and features whose bias is known."""

import numpy as np
import pytest

from siamjax.studies.probes import position_error, summarise

SIZE, CONTEXT, STRIDE, CELLS = 143, 63, 8, 13
MIDDLE = 71.0


def targets(count, shift=32.0):
    return MIDDLE + np.random.default_rng(1).uniform(-shift, shift, (count, 2))


def bumps(centers):
    """A response of one where the nearest cell is, and of nothing elsewhere."""
    response = np.zeros((len(centers), CELLS, CELLS))
    columns, rows = np.rint((centers - MIDDLE) / STRIDE).astype(int).T + CELLS // 2
    response[np.arange(len(centers)), rows, columns] = 1
    return response


def measure(response, centers):
    return summarise(
        response, centers, search_size=SIZE, context=CONTEXT, stride=STRIDE, shift=32.0
    )


def test_a_network_that_sees_the_target_has_no_bias():
    centers = targets(3000)
    found = measure(bumps(centers), centers)
    assert found["center_share"] == 0
    # no farther than half a cell's diagonal
    assert max(found["errors"]) < STRIDE / np.sqrt(2)
    heat = np.array(found["heat"])
    assert heat.sum() == pytest.approx(1)
    assert heat[CELLS // 2, CELLS // 2] < 0.03


def test_a_network_that_answers_at_the_centre_is_found_out():
    centers = targets(3000)
    found = measure(bumps(np.full((3000, 2), MIDDLE)), centers)
    assert found["center_share"] == 1
    np.testing.assert_allclose(found["errors"], found["errors_at_center"])
    # the target's distance grows with its offset: at least that offset, at most the diagonal
    for offset, error in zip(found["offsets"], found["errors"], strict=True):
        assert offset - 2 <= error <= np.sqrt(2) * (offset + 2)


def test_an_even_response_has_the_centre_s_share_of_the_cells():
    centers = targets(200)
    found = measure(np.ones((200, CELLS, CELLS)), centers)
    # cells 8 pixels apart, 63 / 7 = 9 pixels about the middle: three by three of them
    assert found["center_share_even"] == pytest.approx(9 / CELLS**2)
    assert found["center_share"] == pytest.approx(9 / CELLS**2)


def test_position_error_is_zero_for_moved_features_and_shows_a_border():
    rng = np.random.default_rng(2)
    world = rng.normal(size=(4, 9, 9, 5))
    here, down, right = world[:, :8, :8], world[:, 1:, :8], world[:, :8, 1:]
    np.testing.assert_array_equal(position_error(here, down, right), np.zeros((7, 7)))
    marked = [each.copy() for each in (here, down, right)]
    for each in marked:
        each[:, 0] += 3.0  # what padding leaves in the first row
    error = position_error(*marked)
    assert error.shape == (7, 7)
    assert (error[0] > 0.5).all() and (error[1:] < 1e-9).all()
