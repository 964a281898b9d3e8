"""The generator, and the GOT-10k toolkit's interface."""

import itertools

import numpy as np
import pytest

from siamjax.config import Config
from siamjax.tracking.frames import BoxError, FrameError
from siamjax.tracking.tracker import Tracker, track_frames
from tests.tracking.networks import SeesBrightness
from tests.tracking.test_batch import film

FRAMES, BOX = film(4, 160, 120), (60, 40, 30, 24)


@pytest.fixture(scope="module")
def follower():
    return Tracker(SeesBrightness(), {}, Config(name="test"))


@pytest.fixture(scope="module")
def expected(follower):
    boxes = []
    for t, frame in enumerate(FRAMES):
        follower.update(frame) if t else follower.init(frame, BOX)
        boxes.append(follower.box_xywh)
    return np.array(boxes)


def test_a_generator_over_frames_gives_the_trackers_boxes(follower, expected):
    results = list(track_frames(follower, iter(FRAMES), BOX))
    np.testing.assert_array_equal([r.box_xywh for r in results], expected)
    assert results[0].score == 1 and all(r.problem is None for r in results)


def test_an_endless_source_is_read_one_frame_at_a_time(follower, expected):
    endless = itertools.cycle(FRAMES)
    some = list(itertools.islice(track_frames(follower, endless, BOX), 3))
    np.testing.assert_array_equal([r.box_xywh for r in some], expected[:3])
    np.testing.assert_array_equal(next(endless), FRAMES[3])


def test_bad_frames_are_reported_and_tracking_goes_on(follower, expected):
    bad = [OSError("the camera hiccupped"), FRAMES[0][:50], None]
    frames = [FRAMES[0], bad[0], FRAMES[1], bad[1], bad[2], *FRAMES[2:]]
    results = list(track_frames(follower, frames, BOX))
    problems = [r.problem for r in results]
    assert problems[1] == "the camera hiccupped"
    assert "began at 160 x 120" in problems[3] and "could not be read" in problems[4]
    good = [r for r in results if r.problem is None]
    np.testing.assert_array_equal([r.box_xywh for r in good], expected)
    assert np.isnan(results[1].score)
    np.testing.assert_array_equal(results[3].box_xywh, results[2].box_xywh)


def test_the_first_frame_must_be_good(follower):
    with pytest.raises(OSError, match="no camera"):
        next(track_frames(follower, [OSError("no camera")], BOX))
    with pytest.raises(FrameError, match="float32"):
        next(track_frames(follower, [FRAMES[0].astype(np.float32)], BOX))
    with pytest.raises(BoxError, match="outside the frame"):
        next(track_frames(follower, FRAMES, (900, 0, 5, 5)))


def test_an_error_of_the_source_is_not_swallowed(follower):
    def source():
        yield FRAMES[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(track_frames(follower, source(), BOX))


def test_the_got10k_toolkit_drives_it(follower, expected, tmp_path):
    pytest.importorskip("got10k.trackers")
    import cv2

    from siamjax.tracking.got10k import as_got10k_tracker

    paths = [str(tmp_path / f"{t}.png") for t in range(len(FRAMES))]
    for path, frame in zip(paths, FRAMES, strict=True):
        cv2.imwrite(path, frame)
    toolkit = as_got10k_tracker(follower, "ours")
    assert toolkit.name == "ours" and toolkit.is_deterministic
    boxes, times = toolkit.track(paths, np.add(BOX, (1, 1, 0, 0)))
    np.testing.assert_allclose(boxes, np.add(expected, (1, 1, 0, 0)), atol=1e-4)
    assert (times > 0).all()
