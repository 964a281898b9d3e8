"""The GOT-10k toolkit's interface. The package `got10k` is imported when it is asked for."""

import numpy as np

from siamjax.tracking.tracker import Tracker


def as_got10k_tracker(tracker: Tracker, name: str):
    """A `got10k.trackers.Tracker`, for the toolkit's experiments.

        ExperimentGOT10k("data/GOT-10k").run(as_got10k_tracker(tracker, "SiamRPN++"))

    The toolkit gives RGB images of PIL's and boxes (left, top, width, height) whose first
    pixel is 1, and takes the same. Raises `ImportError` without the package.
    """
    from got10k.trackers import Tracker as Base

    class Adapter(Base):
        def __init__(self):
            super().__init__(name=name, is_deterministic=True)

        def init(self, image, box):
            first = np.asarray(box, np.float64) - [1, 1, 0, 0]
            tracker.init(np.asarray(image.convert("RGB")), first, color="rgb")

        def update(self, image):
            tracker.update(np.asarray(image.convert("RGB")), color="rgb")
            return tracker.box_xywh + np.array([1, 1, 0, 0], np.float32)

    return Adapter()
