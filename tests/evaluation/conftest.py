"""Small benchmark folders, and trackers to run on them."""

import cv2
import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import get_benchmark


def boxes_along(t, start=(10.0, 20.0), step=(1.0, 0.5), size=(16.0, 12.0)):
    """`[t, 4]` boxes that drift steadily, 0-based."""
    corner = np.array(start) + np.arange(t)[:, None] * np.array(step)
    return np.concatenate([corner, np.tile(size, (t, 1))], axis=1)


class Scripted:
    """Answers prepared 0-based boxes, whatever it is shown."""

    def __init__(self, boxes):
        self.boxes = boxes
        self.box_xywh = None
        self.score = 1.0
        self.shown = []

    def init(self, frame, box_xywh):
        self.shown = [frame]
        self.box_xywh = np.array(box_xywh)

    def update(self, frame):
        self.box_xywh = self.boxes[len(self.shown)]
        self.shown.append(frame)


@pytest.fixture
def otb():
    return get_benchmark("otb")


@pytest.fixture
def write_sequence(tmp_path):
    """Writes one sequence in OTB layout below `tmp_path / "data"`; returns its folder.

    Frame i (from 0) is filled with grey level i, so that tests can tell frames apart.
    """

    def write(
        name="Ball", t=8, boxes=None, *, size=(64, 48), separator=",", gt="groundtruth_rect"
    ):
        folder = tmp_path / "data" / name
        (folder / "img").mkdir(parents=True, exist_ok=True)
        for i in range(t):
            image = np.full((size[1], size[0], 3), i, np.uint8)
            assert cv2.imwrite(str(folder / "img" / f"{i + 1:04d}.png"), image)
        boxes = boxes_along(t) if boxes is None else boxes
        rows = np.asarray(boxes, float) + np.array([1, 1, 0, 0])
        text = "".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows)
        (folder / f"{gt}.txt").write_text(text)
        return folder

    return write
