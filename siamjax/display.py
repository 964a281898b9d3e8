"""What people see: boxes and words drawn into frames, and windows to look and draw in.

Frames are `[h, w, 3]` uint8 BGR.
"""

import os
import sys
from collections.abc import Callable

import cv2
import numpy as np


def draw_box(
    frame: np.ndarray, box_xywh, label: str = "", color: tuple[int, int, int] = (60, 220, 60)
) -> np.ndarray:
    """A copy of the frame with a box `[4]` (pixels, 0-based) and a label; `color` is BGR.

    A box that is not finite is not drawn.
    """
    frame = frame.copy()
    box = np.asarray(box_xywh, np.float64)
    if not np.isfinite(box).all():
        return frame
    x, y, w, h = np.clip(box, -1e6, 1e6)
    left, top, right, bottom = (round(float(v)) for v in (x, y, x + w, y + h))
    thickness = max(1, round(max(frame.shape[:2]) / 400))
    cv2.rectangle(frame, (left, top), (right, bottom), color, thickness)
    _write(frame, label, (min(max(left, 0), frame.shape[1] - 1), top - 4), color)
    return frame


def draw_text(frame: np.ndarray, text: str) -> np.ndarray:
    """A copy of the frame with a line of text in its upper left corner."""
    frame = frame.copy()
    _write(frame, text, (4, 0), (255, 255, 255))
    return frame


def _write(frame: np.ndarray, text: str, at: tuple[int, int], color) -> None:
    """Writes into the frame, outlined, from `at` (x, y of the line) or as low as it must."""
    side = max(frame.shape[:2])
    scale, thickness = 0.4 * max(1.0, side / 640), max(1, round(side / 400))
    at = (at[0], max(at[1], round(28 * scale)))
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(frame, text, at, font, scale, (0, 0, 0), thickness + 2, cv2.LINE_AA)
    cv2.putText(frame, text, at, font, scale, color, thickness, cv2.LINE_AA)


def draw_polygon(
    frame: np.ndarray, corners: np.ndarray | list, color: tuple[int, int, int] = (60, 220, 60)
) -> np.ndarray:
    """A copy of the frame with a closed line through `corners` `[k, 2]`; `color` is BGR.

    Corners that are not finite are not drawn.
    """
    frame, found = frame.copy(), np.asarray(corners, np.float64)
    if np.isfinite(found).all():
        points = np.round(np.clip(found, -1e6, 1e6)).astype(np.int32)
        thickness = max(1, round(max(frame.shape[:2]) / 400))
        cv2.polylines(frame, [points], True, color, thickness, cv2.LINE_AA)
    return frame


def _require_display() -> None:
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise OSError(
            "a window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set"
        )


class Window:
    """A window of Tk's that shows frames, shrunk where the screen is smaller.

    Raises `OSError` where there is no display, or no Tk.
    """

    def __init__(self, title: str):
        _require_display()
        try:
            import tkinter
        except ImportError as error:
            raise OSError("a window needs Tk, such as from `apt install python3-tk`") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise OSError(f"no window can be opened: {error}") from error
        self._root.title(title)
        self._photo = tkinter.PhotoImage
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._is_wanted = True
        for key in ("<Key-q>", "<Escape>"):
            self._root.bind(key, self._on_end)
        self._root.protocol("WM_DELETE_WINDOW", self._on_end)

    def show(self, frame: np.ndarray) -> bool:
        """Shows a frame; False when q or Esc was pressed or the window closed."""
        height, width = frame.shape[:2]
        room = self._root.winfo_screenwidth() / width, self._root.winfo_screenheight() / height
        if (scale := 0.9 * min(room)) < 1:
            size = max(1, round(scale * width)), max(1, round(scale * height))
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            height, width = frame.shape[:2]
        pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).tobytes()
        image = self._photo(data=b"P6 %d %d 255\n" % (width, height) + pixels, format="PPM")
        self._label.configure(image=image)
        self._image = image  # Tk keeps no reference of its own
        self._root.update()
        return self._is_wanted

    def close(self) -> None:
        """Takes the window off the screen."""
        self._root.destroy()

    def _on_end(self, event=None) -> None:
        self._is_wanted = False


def choose_boxes(frame: np.ndarray) -> list[tuple[float, float, float, float]]:
    """The boxes that the user draws into a frame, in a window of matplotlib's.

    Left, top, width and height in pixels, 0-based, in the order of drawing; none where the
    user cancels or closes the window. Raises `OSError` where no window can be opened.
    """
    _require_display()
    import matplotlib
    from matplotlib import pyplot

    reasons = []
    for backend in (*(["macosx"] if sys.platform == "darwin" else []), "TkAgg", "QtAgg"):
        try:
            pyplot.switch_backend(backend)
            break
        except ImportError as error:
            reasons.append(str(error))
    else:
        raise OSError(
            f"matplotlib can open no window ({'; '.join(reasons)}); is there a display, and "
            "Tk (python3-tk)?"
        )
    with matplotlib.rc_context({"toolbar": "None"}):
        try:
            figure = pyplot.figure("siamjax", figsize=(9.6, 7.2))
        except Exception as error:  # Tk's own, of a display that does not answer
            raise OSError(f"no window can be opened: {error}") from error
        # matplotlib's own keys, among them one that saves the figure
        manager = figure.canvas.manager  # pyplot's figures have one, with its keys connected
        figure.canvas.mpl_disconnect(manager.key_press_handler_id)  # ty: ignore[invalid-argument-type, missing-union-attribute]
        chooser = BoxChooser(figure, frame, on_end=lambda: pyplot.close(figure))
        pyplot.show(block=True)
    return chooser.boxes if chooser.is_confirmed else []


class BoxChooser:
    """A frame in a figure of matplotlib's, into which boxes are drawn with the mouse.

    A box can be moved and resized until Enter or Space takes it. Enter waits for another one,
    and without one ends; Space ends at once; Esc or q ends with nothing.

    Attributes:
        boxes: left, top, width and height of each, pixels of the frame, 0-based.
        is_confirmed: whether the user has ended with boxes.
    """

    def __init__(self, figure, frame: np.ndarray, *, on_end: Callable[[], None]):
        from matplotlib.widgets import RectangleSelector

        self.boxes: list[tuple[float, float, float, float]] = []
        self.is_confirmed = False
        self._on_end = on_end
        height, width = frame.shape[:2]
        self._axes = figure.add_axes((0, 0, 1, 0.93))
        # Coordinates of pixels' edges: a box over the first pixel alone is 0, 0, 1, 1.
        self._axes.imshow(frame[..., ::-1], extent=(0, width, height, 0))
        self._axes.set_axis_off()
        self._selector = RectangleSelector(
            self._axes,
            lambda press, release: None,
            minspanx=2,
            minspany=2,
            interactive=True,
            props={"fill": False, "edgecolor": "lime", "linewidth": 2},
        )
        self._say()
        figure.canvas.mpl_connect("key_press_event", self._on_key)

    def _on_key(self, event) -> None:
        if event.key in ("escape", "q"):
            self.boxes = []
            self._on_end()
        elif event.key in ("enter", " "):
            is_taken = self._take()
            if self.boxes and (event.key == " " or not is_taken):
                self.is_confirmed = True
                self._on_end()
            else:
                self._say()

    def _take(self) -> bool:
        """Keeps the box that is drawn; whether there is one."""
        from matplotlib.patches import Rectangle

        if not self._selector.get_visible():
            return False
        left, right, top, bottom = map(float, self._selector.extents)
        self._selector.clear()
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            return False
        self.boxes.append((left, top, width, height))
        style: dict = {"fill": False, "edgecolor": "orange", "linewidth": 2}
        self._axes.add_patch(Rectangle((left, top), width, height, **style))
        return True

    def _say(self) -> None:
        words = (
            f"{len(self.boxes)} taken: draw another, or Enter starts; Esc cancels"
            if self.boxes
            else "Draw a box around the target; Space starts, Enter adds another; Esc cancels"
        )
        self._axes.set_title(words)
        self._axes.figure.canvas.draw_idle()
