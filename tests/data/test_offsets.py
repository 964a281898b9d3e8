"""The laws of the target's offset, against what they promise."""

import numpy as np
import pytest
from scipy import stats

from siamjax.data.offsets import gaussian, inverse_padding, uniform

SHIFT, SIZE = 64.0, 255


def draw(law, count=8000):
    numbers = np.random.default_rng(5).uniform(-1, 1, (count, 2))
    return np.array([law(u, SHIFT, SIZE) for u in numbers])


def share_of_padding(offsets):
    """How much of a window of SIZE about the target is outside an image of SIZE, by area."""
    inside = np.prod(SIZE - np.abs(offsets), axis=-1)
    return 1 - inside / SIZE**2


@pytest.mark.parametrize("law", [uniform, gaussian, inverse_padding])
def test_offsets_stay_in_range_and_favour_no_side(law):
    offsets = draw(law)
    assert np.abs(offsets).max() <= SHIFT + 1e-9
    assert np.abs(offsets).max(0) == pytest.approx([SHIFT, SHIFT], rel=0.02)
    for quadrant in ([1, 1], [1, -1], [-1, 1], [-1, -1]):
        assert np.mean((offsets * quadrant > 0).all(-1)) == pytest.approx(0.25, abs=0.02)
    # neither axis is special
    assert stats.ks_2samp(offsets[:4000, 0], offsets[4000:, 1]).pvalue > 0.01
    np.testing.assert_array_equal(law(np.array([0.3, -0.7]), 0.0, SIZE), 0)


def test_gaussian_is_a_normal_cut_off():
    expected = stats.truncnorm(-2, 2, scale=SHIFT / 2)
    for axis in draw(gaussian).T:
        assert stats.kstest(axis, expected.cdf).pvalue > 0.01


def test_every_share_of_padding_is_as_frequent_under_its_inverse():
    corner = 1 - (1 - SHIFT / SIZE) ** 2
    even = stats.uniform(0, corner)
    assert stats.kstest(share_of_padding(draw(inverse_padding)), even.cdf).pvalue > 0.01
    assert stats.kstest(share_of_padding(draw(uniform)), even.cdf).pvalue < 1e-6


def test_offsets_of_one_share_of_padding_are_equally_likely():
    """Among uniform offsets with nearly one share, x is spread as among ours."""
    low, high = 0.19, 0.21
    ours = draw(inverse_padding, 40_000)
    theirs = np.random.default_rng(6).uniform(-SHIFT, SHIFT, (400_000, 2))
    ours, theirs = (
        np.abs(o[(share_of_padding(o) > low) & (share_of_padding(o) < high), 0])
        for o in (ours, theirs)
    )
    assert len(ours) > 1000
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01
