"""Trackers that a real one has to beat."""

import numpy as np


class StaticTracker:
    """A tracker that never moves: it answers the first box for ever."""

    is_timed = False  # a speed of doing nothing would say nothing

    def __init__(self):
        self.box_xywh = np.zeros(4)
        self.score = 1.0

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Takes the box; looks at nothing."""
        del frame
        self.box_xywh = np.array(box_xywh, dtype=np.float64)

    def update(self, frame: np.ndarray) -> None:
        """Stays where it is."""
        del frame
