import numpy as np
import pytest

from siamjax.evaluation.metrics.regions import (
    FAILED,
    RegionError,
    Regions,
    box_corners,
    enclosing_boxes,
    initial_box,
    polygon_to_box,
)


def test_reads_codes_boxes_and_polygons():
    regions = Regions.from_rows(
        [[2], [1, 2, 3, 4], [0, 0, 5, 0, 5, 5, 0, 5], [0, 0, 9, 0, 0, 9]]
    )
    assert regions.count.tolist() == [1, 4, 8, 6]
    assert regions.corner_count.tolist() == [0, 4, 4, 3]
    assert regions.is_region.tolist() == [False, True, True, True]
    assert regions.has_code(FAILED).tolist() == [True, False, False, False]
    polygons = regions.polygons()
    assert np.isnan(polygons[0]).all()
    assert polygons[1].tolist() == [[1, 2], [4, 2], [4, 6], [1, 6]]
    assert polygons[3].tolist() == [[0, 0], [9, 0], [0, 9], [0, 9]]
    assert regions[1:3].row(0).tolist() == [1, 2, 3, 4]


def test_finite_means_every_number_of_a_region():
    rows = [[1, 2, 3, np.nan], [1, 2, 3, 4], [np.inf, *range(7)], [1]]
    assert Regions.from_rows(rows).is_finite.tolist() == [False, True, False, False]


@pytest.mark.parametrize("row", [[], [1, 2], [1, 2, 3], [1] * 5, [1] * 7])
def test_refuses_other_counts(row):
    with pytest.raises(RegionError, match=f"{len(row)} values in row 2"):
        Regions.from_rows([[1], row])


def test_polygons_and_boxes_become_the_same_regions(rng):
    boxes = rng.uniform(0, 50, (5, 4))
    from_boxes = Regions.from_boxes(boxes)
    from_polygons = Regions.from_rows(box_corners(boxes).reshape(len(boxes), -1))
    np.testing.assert_array_equal(from_boxes.polygons(), from_polygons.polygons())


def test_corners_to_the_last_pixel():
    corners = box_corners([2, 3, 10, 20], to_last_pixel=True)
    assert corners.tolist() == [[2, 3], [11, 3], [11, 22], [2, 22]]


def test_a_rotated_square_keeps_its_area():
    # side 10 sqrt 2; the upright square of equal area, plus the reference's one pixel
    diamond = [20, 10, 30, 20, 20, 30, 10, 20]
    side = 10 * np.sqrt(2) + 1
    np.testing.assert_allclose(polygon_to_box(diamond), [20, 20, side, side])


def test_a_tracker_starts_from_the_very_box_it_is_given():
    np.testing.assert_allclose(initial_box([12.5, 7, 30, 40]), [12.5, 7, 30, 40])


def test_without_polygons_the_box_shifts_by_half_a_pixel():
    # the centre x + w / 2 = 27.5 against x + (w - 1) / 2
    np.testing.assert_allclose(
        initial_box([12.5, 7, 30, 40], as_polygon=False), [13, 7.5, 30, 40]
    )


@pytest.mark.parametrize(
    "region", [[1], [1, 2, np.nan, 4], [5, 5] * 4, [1, 2, 0, 0], [0, 0, 5, 0, 5, 5]]
)
def test_no_tracker_starts_from_nothing(region):
    with pytest.raises(RegionError):
        initial_box(region, as_polygon=False)


def test_boxes_around_regions():
    rows = [
        [1],
        [1, 2, 3, 4],
        [0, 0, 5, 0, 5, 5, 0, 7],
        [np.inf, 2, 3, 4],
        [1, np.nan, *range(6)],
    ]
    boxes = enclosing_boxes(Regions.from_rows(rows))
    assert boxes[1:3].tolist() == [[1, 2, 3, 4], [0, 0, 5, 7]]
    assert np.isnan(boxes[[0, 3, 4]]).all()
