import ast
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from siamjax.display import BoxChooser, choose_boxes, draw_box, draw_polygon, draw_text
from tests.conftest import ROOT


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


class Hand:
    """A mouse and a keyboard over a frame of 320 x 240 in a figure without a window."""

    def __init__(self):
        self.ends = 0
        figure = Figure(figsize=(6.4, 5.2))
        self.canvas = FigureCanvasAgg(figure)
        frame = np.zeros((240, 320, 3), np.uint8)
        frame[:, :, 0] = 200  # blue
        self.chooser = BoxChooser(figure, frame, on_end=self.end)
        self.canvas.draw()
        self.axes = figure.axes[0]

    def end(self):
        self.ends += 1

    def drag(self, *corners):
        names = ("button_press_event", "motion_notify_event", "button_release_event")
        for name, at in zip(names, (corners[0], corners[1], corners[1]), strict=True):
            x, y = self.axes.transData.transform(at)
            moving = {"buttons": {1}} if name == names[1] else {"button": 1}
            self.canvas.callbacks.process(name, MouseEvent(name, self.canvas, x, y, **moving))

    def press(self, *keys):
        for key in keys:
            event = KeyEvent("key_press_event", self.canvas, key)
            self.canvas.callbacks.process("key_press_event", event)

    @property
    def words(self):
        return self.axes.get_title()


@pytest.fixture
def hand():
    return Hand()


def test_space_takes_the_box_and_starts(hand):
    hand.drag((60, 40), (100, 90))
    assert hand.chooser.boxes == [] and not hand.chooser.is_confirmed
    hand.press(" ")
    np.testing.assert_allclose(hand.chooser.boxes, [(60, 40, 40, 50)])
    assert hand.chooser.is_confirmed and hand.ends == 1


def test_enter_lies_between_several_boxes(hand):
    hand.press("enter")  # without any box nothing starts
    assert hand.ends == 0 and "Draw a box" in hand.words
    hand.drag((60, 40), (100, 90))
    hand.press("enter")
    assert hand.ends == 0 and "1 taken" in hand.words
    hand.drag((300, 200), (250, 120))  # from below to above
    hand.press("enter", "enter")
    np.testing.assert_allclose(hand.chooser.boxes, [(60, 40, 40, 50), (250, 120, 50, 80)])
    assert hand.chooser.is_confirmed and hand.ends == 1


def test_a_box_can_be_changed_before_it_is_taken(hand):
    hand.drag((60, 40), (100, 90))
    hand.drag((100, 90), (120, 110))  # its corner
    hand.press(" ")
    np.testing.assert_allclose(hand.chooser.boxes, [(60, 40, 60, 70)])


@pytest.mark.parametrize("key", ["escape", "q"])
def test_a_key_cancels(hand, key):
    hand.drag((60, 40), (100, 90))
    hand.press("enter", "x", key)
    assert hand.chooser.boxes == [] and not hand.chooser.is_confirmed and hand.ends == 1


def test_a_box_ends_at_the_frame_and_a_click_is_none(hand):
    hand.drag((50, 50), (50, 50))
    hand.press("enter", " ")
    assert hand.ends == 0
    hand.drag((250, 200), (500, 400))
    hand.press(" ")
    np.testing.assert_allclose(hand.chooser.boxes, [(250, 200, 70, 40)])


def test_the_frame_is_shown_in_its_colours(hand):
    shown = np.asarray(hand.canvas.buffer_rgba())
    assert shown[300, 300].tolist() == [0, 0, 200, 255]


def test_without_a_display_there_is_no_window_to_draw_in(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("siamjax.display.sys.platform", "linux")
    with pytest.raises(OSError, match="neither DISPLAY nor WAYLAND_DISPLAY"):
        choose_boxes(np.zeros((24, 32, 3), np.uint8))


DRAWING = """
import threading, time
import numpy as np
from matplotlib import pyplot
from siamjax.display import choose_boxes

def use(figure):
    window = figure.canvas.get_tk_widget()
    def at(kind, x, y, **state):
        x, y = figure.axes[0].transData.transform((x, y))
        window.event_generate(kind, x=round(x), y=round(window.winfo_height() - y), **state)
        window.update()
    window.focus_force()
    window.update()
    at("<ButtonPress-1>", 60, 40)
    at("<B1-Motion>", 80, 70, state=0x100)
    at("<B1-Motion>", 100, 90, state=0x100)
    at("<ButtonRelease-1>", 100, 90)
    window.event_generate("<Key-space>")

show = pyplot.show
def shown(**options):
    figure = pyplot.gcf()
    figure.canvas.get_tk_widget().after(500, use, figure)
    show(**options)
pyplot.show = shown
print(choose_boxes(np.full((240, 320, 3), 90, np.uint8)))
"""


SHOWING = """
import numpy as np
from siamjax.display import Window

window = Window("siamjax")
frame = np.zeros((240, 320, 3), np.uint8)
frame[:, :, 0] = 200  # blue
large = np.zeros((3000, 200, 3), np.uint8)
said = [window.show(frame), window.show(large), window.show(frame)]
photo = window._image
said += [photo.width(), photo.height(), photo.get(100, 100)]
window._root.focus_force()
window._root.update()
window._root.event_generate("<Key-{key}>")
said.append(window.show(frame))
window.close()
print(said)
"""


@pytest.fixture
def on_screen():
    """Runs a program on a screen of Xvfb's; its output, a literal."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not here")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as screen:
        number = screen.stdout.readline().strip()

        def run(program):
            ended = subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"DISPLAY": f":{number}", "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert ended.returncode == 0, ended.stderr
            return ast.literal_eval(ended.stdout)

        try:
            yield run
        finally:
            screen.terminate()


@pytest.mark.slow
def test_a_box_is_drawn_in_a_real_window(on_screen):
    """With Tk's events in the place of a hand."""
    (box,) = on_screen(DRAWING)
    np.testing.assert_allclose(box, (60, 40, 40, 50), atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["q", "Escape"])
def test_a_real_window_shows_frames_until_a_key_ends_it(on_screen, key):
    shown = on_screen(SHOWING.replace("{key}", key))
    assert shown == [True, True, True, 320, 240, (0, 0, 200), False]
