import numpy as np
import pytest

from siamjax.display import draw_box, draw_polygon, draw_text


def test_a_box_is_drawn_on_a_copy():
    frame = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_box(frame, (20, 10, 30, 40), color=(0, 0, 255))
    assert frame.max() == 0
    assert (drawn[30, 20] == (0, 0, 255)).all() and (drawn[50, 35] == (0, 0, 255)).all()
    assert drawn[30, 35].max() == 0


@pytest.mark.parametrize("box", [(np.nan,) * 4, (-500, -500, 20, 20), (1e30, 0, 1e30, 5)])
def test_a_box_that_cannot_be_seen_is_not_drawn(box):
    frame = np.zeros((60, 80, 3), np.uint8)
    assert draw_box(frame, box).max() == 0


def test_a_polygon_is_a_closed_line_that_may_leave_the_frame():
    frame = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_polygon(frame, [(20, 10), (50, 10), (50, 200)], color=(0, 0, 255))
    assert frame.max() == 0 and set(np.unique(drawn[..., :2])) == {0}
    # The line is smoothed, and so not quite as bright as its colour.
    assert min(drawn[10, 35, 2], drawn[40, 50, 2]) > 200 and drawn[30, 45, 2] == 0
    assert draw_polygon(frame, [(np.nan, 1), (5, 5), (9, 1)]).max() == 0


def test_a_line_of_text_is_in_the_corner_of_a_copy():
    frame = np.zeros((120, 160, 3), np.uint8)
    drawn = draw_text(frame, "31.2 frames/s")
    assert frame.max() == 0 and drawn[:40].max() == 255 and drawn[40:].max() == 0


def test_the_label_stays_in_sight():
    frame = np.zeros((60, 80, 3), np.uint8)
    assert draw_box(frame, (-30, -30, 5, 5), "0.93").max() > 0
