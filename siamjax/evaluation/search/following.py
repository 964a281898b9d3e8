"""Tracking with all candidates in one pass over a sequence, and the score of each."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from siamjax.evaluation.benchmarks.protocols import Benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence as VideoSequence
from siamjax.evaluation.metrics import got10k, ope
from siamjax.evaluation.metrics.overlap import raster_overlap
from siamjax.evaluation.metrics.regions import Regions
from siamjax.images import ImageError


class CandidatesLike(Protocol):
    """Tracks one target with the settings of every candidate."""

    evaluations: int  # search images that the network evaluated

    def init(self, frame: np.ndarray, box_xywh) -> None:
        """Initialises every candidate on a frame `[h, w, 3]` uint8 BGR."""

    def update(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes `[n, 4]` and scores `[n]` in the next frame."""


def follow(
    tracker: CandidatesLike,
    sequence: VideoSequence,
    count: int,
    on_frames: Callable[[int], object] = lambda _: None,
) -> np.ndarray:
    """The boxes of `count` candidates in one pass, `[count, t, 4]` 0-based.

    An unreadable frame and a box that is not finite repeat the previous box.
    """
    boxes = np.tile(sequence.gt_xywh[0], (count, len(sequence), 1))
    tracker.init(sequence.read_frame(0), sequence.gt_xywh[0])
    on_frames(count)
    for t, frame in enumerate(_frames_ahead(sequence), start=1):
        boxes[:, t] = boxes[:, t - 1]
        if frame is not None:
            found, _ = tracker.update(frame)
            usable = np.isfinite(found).all(axis=1)
            boxes[usable, t] = np.asarray(found, np.float64)[usable]
        on_frames(count)
    return boxes


def _frames_ahead(sequence: VideoSequence) -> Iterator[np.ndarray | None]:
    """The frames from the second on, reading one ahead; None for unreadable ones."""

    def read(t: int) -> np.ndarray | None:
        try:
            return sequence.read_frame(t)
        except ImageError:
            return None

    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(read, 1)] if len(sequence) > 1 else []
        for t in range(1, len(sequence)):
            frame = coming.pop().result()
            if t + 1 < len(sequence):
                coming.append(reader.submit(read, t + 1))
            yield frame


def score_boxes(sequence: VideoSequence, boxes: np.ndarray, benchmark: Benchmark) -> float:
    """The objective of a search for one sequence and boxes `[t, 4]` 0-based.

    Success AUC; average overlap for GOT-10k; for VOT the mean overlap of one pass, since
    candidates would fail and be re-initialised at different frames.
    """
    truth: Any = sequence.truth  # of the kind that the experiment has
    if benchmark.experiment in ("supervised", "long-term"):
        predicted = Regions.from_boxes(boxes + benchmark.origin_xywh)
        overlap = raster_overlap(predicted, truth.ground_truth, sequence.frame_size)
        known = truth.ground_truth.is_finite
        known[0] = False
        return float(np.nan_to_num(overlap[known]).mean()) if known.any() else 0.0
    predicted = boxes + benchmark.origin_xywh
    if benchmark.experiment == "repeated":
        overlap = got10k.frame_overlaps(
            truth.boxes, [predicted], visible=truth.visible, frame_size=truth.frame_size
        )
        return float(overlap.mean())
    found = ope.curves(truth.boxes, predicted, visible=truth.visible)
    return ope.scores(found).success_auc
