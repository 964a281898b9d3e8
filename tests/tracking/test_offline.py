"""A video in one call equals the loop; long-term is in `test_long_term`."""

import numpy as np
import pytest

from siamjax.config import Config
from siamjax.tracking.frames import BoxError, FrameError
from siamjax.tracking.offline import track_video
from siamjax.tracking.tracker import Tracker
from tests.tracking.networks import SeesBrightness
from tests.tracking.test_batch import film

FRAMES, BOX = film(6, 160, 120, length=8), (60, 40, 30, 24)
CONFIG = Config(name="test")


@pytest.mark.parametrize("chunk", [3, 64])
def test_the_scan_equals_the_loop_and_compiles_once(chunk):
    network = SeesBrightness()
    boxes, scores = track_video(network, {}, CONFIG, FRAMES, BOX, chunk=chunk)
    assert network.traces == {"encode_template": 1, "predict": 1}
    assert boxes.shape == (8, 4) and scores.shape == (8,) and scores[0] == 1
    follower = Tracker(network, {}, CONFIG)
    follower.init(FRAMES[0], BOX)
    for t, frame in enumerate(FRAMES[1:], 1):
        follower.update(frame)
        np.testing.assert_allclose(boxes[t], follower.box_xywh, atol=1e-4)
        np.testing.assert_allclose(scores[t], follower.score, atol=1e-5)


def test_one_frame_is_a_video():
    boxes, scores = track_video(SeesBrightness(), {}, CONFIG, FRAMES[:1], BOX)
    np.testing.assert_array_equal(boxes, [BOX])
    np.testing.assert_array_equal(scores, [1])


def test_what_is_no_video_is_refused_before_tracking():
    def track(frames, box=BOX, **options):
        return track_video(SeesBrightness(), {}, CONFIG, frames, box, **options)

    with pytest.raises(FrameError, match="`frames` is empty"):
        track([])
    with pytest.raises(FrameError, match=r"frame 2 of `frames`: .* began at 160 x 120"):
        track([*FRAMES[:2], FRAMES[2][:50]])
    with pytest.raises(BoxError, match="outside the frame"):
        track(FRAMES, (500, 0, 5, 5))
    with pytest.raises(ValueError, match=r"`chunk` \(=0\)"):
        track(FRAMES, chunk=0)
