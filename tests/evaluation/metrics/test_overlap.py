import numpy as np
import pytest

from siamjax.evaluation.metrics.overlap import raster_overlap
from siamjax.evaluation.metrics.regions import Regions
from tests.evaluation.scanline import pysot_overlap, toolkit_overlap
from tests.evaluation.toolkit import import_vot_toolkit

# Computed with PySOT's region.c (commit d04028f), compiled with gcc 12.2.
PYSOT = [
    ([10, 10, 20, 20], [10, 10, 20, 20], None, 1.0),
    ([10, 10, 20, 20], [15, 12, 20, 20], None, 0.525952),
    ([10.5, 10.5, 20.5, 20], [10, 11, 20, 20], None, 0.909091),
    ([0, 0, 10, 10], [10, 0, 10, 10], None, 0.0),  # a shared column, but no shared area
    ([0, 0, 10, 10], [9.4, 0, 10, 10], None, 0.1),
    ([20, 5, 40, 25, 20, 45, 0, 25], [5, 10, 30, 30], None, 0.699717),
    ([0, 0, 30, 30, 30, 0, 0, 30], [0, 0, 30, 30], None, 0.592092),  # crossed
    ([0, 0, 30, 0, 5, 5, 0, 30], [2, 2, 20, 20], None, 0.139194),  # dented
    ([10, 10, 10.4, 30], [10, 10, 10.4, 30], None, 1.0),
    ([10, 10, 0.3, 30], [10, 10, 0.3, 30], None, np.nan),  # rounds to no pixel at all
    ([-20, -20, 60, 60], [0, 0, 40, 40], None, 0.451760),
    ([-20, -20, 60, 60], [0, 0, 40, 40], (100, 80), 1.0),
    ([80, 60, 40, 40], [85, 65, 40, 40], (100, 80), 0.580499),
    ([80, 60, 40, 40], [85, 65, 40, 40], (99, 79), 0.562500),
    ([200, 200, 40, 40], [85, 65, 40, 40], (100, 80), 0.0),
    ([0, 0, 1e6, 1e6], [10, 10, 5, 5], None, 0.0),
    ([0, 0, 1e6, 1e6], [10, 10, 5, 5], (100, 80), 0.0044),
    (
        [130.04, 468.35, 151.58, 467.72, 153.64, 537.86, 132.1, 538.5],
        [129.9982, 472.0081, 24.6704, 60.6127],
        (1024, 1024),
        0.784066,
    ),
    ([10, 10, 40, 10, 40, 20, 30, 20, 30, 40, 10, 40], [12, 12, 20, 20], None, 0.534106),
    ([10, 10, 40, 12, 12, 40], [12, 12, 20, 20], None, 0.637961),
    ([5.5, -7.5, 20, 20], [-2.5, 1.5, 20, 20], (30, 30), 0.290503),
]
# Computed with vot-toolkit 0.9.0.
VOT_TOOLKIT = [
    ([10, 10, 20, 20], [15, 12, 20, 20], None, 0.509434),
    ([10.5, 10.5, 20.5, 20], [10, 11, 20, 20], None, 0.904762),
    ([0, 0, 10, 10], [9.4, 0, 10, 10], None, 0.052632),
    ([20, 5, 40, 25, 20, 45, 0, 25], [5, 10, 30, 30], None, 0.703523),
    ([0, 0, 30, 30, 30, 0, 0, 30], [0, 0, 30, 30], None, 0.528616),
    ([0, 0, 30, 0, 5, 5, 0, 30], [2, 2, 20, 20], None, 0.149020),
    ([10, 10, 0.3, 30], [10, 10, 0.3, 30], None, 1.0),
    ([-20, -20, 60, 60], [0, 0, 40, 40], (100, 80), 1.0),
    ([80, 60, 40, 40], [85, 65, 40, 40], (100, 80), 0.5625),
    ([80, 60, 40, 40], [85, 65, 40, 40], (99, 79), 0.542936),
    ([200, 200, 40, 40], [85, 65, 40, 40], (100, 80), 0.0),
    (
        [130.04, 468.35, 151.58, 467.72, 153.64, 537.86, 132.1, 538.5],
        [129.9982, 472.0081, 24.6704, 60.6127],
        (1024, 1024),
        0.799430,
    ),
    ([10, 10, 40, 10, 40, 20, 30, 20, 30, 40, 10, 40], [12, 12, 20, 20], None, 0.503886),
    ([10, 10, 40, 12, 12, 40], [12, 12, 20, 20], None, 0.629562),
    ([5.5, -7.5, 20, 20], [-2.5, 1.5, 20, 20], (30, 30), 0.25),
]


def overlap(a, b, bounds=None, **options):
    return raster_overlap(Regions.from_rows([a]), Regions.from_rows([b]), bounds, **options)[0]


def random_region(rng):
    """A box or polygon around a frame of 60 x 50: rotated, crossed, thin, level, outside."""
    center = rng.uniform(-15, 75, 2)
    size = rng.choice([0.6, 4, 15, 40])
    kind = rng.integers(6)
    if kind == 0:
        return [*center, *rng.uniform(-0.1 * size, size, 2)]
    if kind == 1:
        return (center + rng.uniform(-size, size, (4, 2))).ravel().tolist()
    if kind == 2:
        angle, half = rng.uniform(0, 7), rng.uniform(0, size, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        box = half * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
        return (center + box @ turn.T).ravel().tolist()
    step = rng.choice([0.5, 1, 3, 8])
    count = 4 if kind == 3 else rng.integers(3, 8)
    return (np.round(center) + step * rng.integers(-3, 4, (count, 2))).ravel().tolist()


def random_pairs(rng, count):
    first = [random_region(rng) for _ in range(count)]
    second = [random_region(rng) for _ in range(count)]
    for i in range(0, count, 3):  # close to one another, as results are
        second[i] = [value + rng.choice([0, 0, 0.5, 1, -1]) for value in first[i]]
    return first, second


@pytest.mark.parametrize(("a", "b", "bounds", "expected"), PYSOT)
def test_equals_the_compiled_toolkit(a, b, bounds, expected):
    np.testing.assert_allclose(overlap(a, b, bounds), expected, atol=6e-7)


@pytest.mark.parametrize(("a", "b", "bounds", "expected"), VOT_TOOLKIT)
def test_equals_the_python_toolkit(a, b, bounds, expected):
    found = overlap(a, b, bounds, convention="vot-toolkit")
    np.testing.assert_allclose(found, expected, atol=6e-7)


@pytest.mark.parametrize("bounds", [None, (60, 50), (np.inf, np.inf)], ids=str)
def test_equals_a_plain_fill(rng, bounds):
    first, second = random_pairs(rng, 400)
    found = raster_overlap(Regions.from_rows(first), Regions.from_rows(second), bounds)
    expected = [pysot_overlap(a, b, bounds) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (np.array(expected) > 0).sum() > 30


def test_the_python_toolkits_convention_equals_a_plain_fill(rng):
    first, second = random_pairs(rng, 400)
    found = raster_overlap(
        Regions.from_rows(first), Regions.from_rows(second), (60, 50), convention="vot-toolkit"
    )
    wide = [i for i in range(400) if all(_is_wide(r) for r in (first[i], second[i]))]
    expected = [toolkit_overlap(first[i], second[i], (60, 50)) for i in wide]
    np.testing.assert_allclose(found[wide], expected, atol=1e-12)
    assert (np.array(expected) > 0).sum() > 30


def _is_wide(row):
    """Whether a region is more than a row or column inside the frame."""
    if len(row) == 4:
        return row[2] > 2 and row[3] > 2 and -1 < row[0] < 55 and -1 < row[1] < 45
    x, y = np.array(row[::2]), np.array(row[1::2])
    return np.ptp(x.clip(0, 59)) > 2 and np.ptp(y.clip(0, 49)) > 2


def test_equals_vot_toolkit_on_random_pairs(rng, monkeypatch, against):
    first, second = random_pairs(rng, 3000)

    def toolkit_overlaps():
        shapes = import_vot_toolkit(monkeypatch, "vot.region.shapes")
        raster = import_vot_toolkit(monkeypatch, "vot.region.raster")

        def shape(row):
            if len(row) == 4:
                return shapes.Rectangle(*row)
            return shapes.Polygon(list(zip(row[::2], row[1::2], strict=True)))

        pairs = zip(first, second, strict=True)
        return np.array(
            [raster.calculate_overlap(shape(a), shape(b), (60, 50)) for a, b in pairs]
        )

    found = raster_overlap(
        Regions.from_rows(first), Regions.from_rows(second), (60, 50), convention="vot-toolkit"
    )
    for ours, theirs in against("toolkits", found, toolkit_overlaps):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_box_fills_its_far_edges_or_not():
    # 11 x 11 pixels in 21 x 21 by the one convention, 10 x 10 in 20 x 20 by the other
    assert overlap([0, 0, 10, 10], [0, 0, 20, 20]) == 121 / 441
    assert overlap([0, 0, 10, 10], [0, 0, 20, 20], convention="vot-toolkit") == 100 / 400


@pytest.mark.parametrize("convention", ["pysot", "vot-toolkit"])
def test_invariants(rng, convention):
    rows = [random_region(rng) for _ in range(300)]
    first, second = (Regions.from_rows(half) for half in (rows[:150], rows[150:]))
    options = {"convention": convention}
    found = raster_overlap(first, second, **options)
    assert ((found >= 0) & (found <= 1) | np.isnan(found)).all()
    swapped = raster_overlap(second, first, **options)
    np.testing.assert_array_equal(found, swapped)
    # each pair alone: how pairs are put together for speed changes nothing
    alone = [raster_overlap(first[[i]], second[[i]], **options)[0] for i in range(150)]
    np.testing.assert_array_equal(found, alone)


def test_whole_pixel_shifts_change_nothing(rng):
    first, second = random_pairs(rng, 150)
    # quarters are exact in float32 wherever they are moved
    first, second = (
        [np.round(np.multiply(r, 4)) / 4 for r in rows] for rows in (first, second)
    )
    here = raster_overlap(Regions.from_rows(first), Regions.from_rows(second))
    moved = [
        Regions.from_rows(
            [row + np.resize([37, -12], len(row)) * _is_place(row) for row in rows]
        )
        for rows in (first, second)
    ]
    np.testing.assert_array_equal(here, raster_overlap(*moved))


def _is_place(row):
    """Which numbers of a region are coordinates rather than sizes."""
    return np.arange(len(row)) < 2 if len(row) == 4 else np.ones(len(row), bool)


def test_codes_and_non_finite_regions_have_no_overlap():
    first = Regions.from_rows([[1], [np.nan] * 4, [0, 0, np.inf, 5], [0, 0, 5, 5]])
    second = Regions.from_rows([[0, 0, 5, 5]] * 3 + [[2]])
    assert np.isnan(raster_overlap(first, second)).all()
    assert raster_overlap(first[:0], second[:0]).shape == (0,)


def test_bounds_may_differ_by_pair():
    boxes = Regions.from_boxes(np.array([[-20.0, -20, 60, 60]] * 2))
    others = Regions.from_boxes(np.array([[0.0, 0, 40, 40]] * 2))
    found = raster_overlap(boxes, others, np.array([[100, 80], [20, 20]]))
    np.testing.assert_array_equal(found, [1.0, 1.0])
    # corners before the frame count as long as the bounds are unknown
    assert raster_overlap(boxes, others)[0] == 41**2 / 61**2


def test_a_ten_billionth_of_the_area_is_nothing():
    huge = [0, 0, 9e5, 9e5]
    assert overlap(huge, [10, 10, 8, 8]) == 0
    assert overlap(huge, [10, 10, 12, 12]) == 13**2 / 900001**2


def test_absurdly_tall_regions_are_given_up():
    assert overlap([0, 0, 1, 1e9], [0, 0, 1e4, 1e5]) == 0


def test_refuses_what_does_not_fit():
    one, two = Regions.from_boxes(np.zeros((1, 4))), Regions.from_boxes(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="1 regions cannot be compared with 2"):
        raster_overlap(one, two)
    with pytest.raises(ValueError, match=r"`convention` \(='votkit'\)"):
        raster_overlap(one, one, convention="votkit")
