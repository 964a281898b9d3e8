"""`siamjax track` through its own front door; the network is an untrained one."""

import json
import logging

import cv2
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.commands import track as command
from siamjax.config import config_to_dict
from siamjax.models.build import build_network
from siamjax.training.checkpoints import save_variables
from siamjax.video import VideoWriter, open_frames
from tests.tracking.networks import random_variables, small_config

BOX = "--init=60,40,30,24"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A work directory as training leaves it."""
    config = small_config()
    folder = tmp_path_factory.mktemp("run") / "weights"
    save_variables(folder, random_variables(build_network(config.model), config), config)
    return folder


def picture(i, width=160, height=120):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x + 2 * i, 2 * y, 200 - x - y // 2], axis=-1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "frames"
    path.mkdir()
    for i in range(6):
        cv2.imwrite(str(path / f"{i + 1:04}.png"), picture(i))
    return path


def run(source, weights, *more):
    return main(["track", str(source), BOX, "--weights", str(weights), *map(str, more)])


def lines_of(path):
    return np.loadtxt(path, delimiter=",", ndmin=2)


def test_a_folder_becomes_a_video_and_a_file_of_boxes(folder, weights, tmp_path, capsys):
    out, boxes = tmp_path / "results" / "out.mp4", tmp_path / "results" / "boxes.txt"
    assert run(folder, weights, "--out", out, "--boxes", boxes) == 0
    rows = lines_of(boxes)
    assert rows.shape == (6, 4) and np.isfinite(rows).all()
    np.testing.assert_array_equal(rows[0], (60, 40, 30, 24))
    assert (rows[:, 2:] >= 10).all()
    frames = list(open_frames(out))
    assert len(frames) == 6 and frames[0].shape == (120, 160, 3)
    # The first box is drawn: its left edge is green, its inside is the picture.
    assert frames[0][50, 60, 1] > frames[0][50, 66, 1] + 50
    report = capsys.readouterr()
    assert "tracked 6 of 6 frames" in report.out
    assert "frames/s" in report.out and "compilation" in report.out
    assert "tracking: 100%" in report.err
    assert sorted(p.name for p in out.parent.iterdir()) == ["boxes.txt", "out.mp4"]


def test_a_video_gives_the_boxes_of_its_frames(weights, tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", frame_rate=12) as writer:
        for i in range(4):
            writer.write(picture(i))
    assert run(tmp_path / "clip.mp4", weights, "--out", tmp_path / "out.mkv") == 0
    assert open_frames(tmp_path / "out.mkv").frame_rate == 12
    assert not list(tmp_path.glob("*.txt"))  # only what was asked for


def test_both_are_written_here_when_neither_is_named(folder, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("frames", weights) == 0
    assert (tmp_path / "frames_tracked.mp4").is_file()
    assert len(lines_of(tmp_path / "frames_boxes.txt")) == 6


def test_it_says_what_the_tracker_object_says(folder, weights, tmp_path):
    import siamjax

    follower = siamjax.load_tracker(None, weights)
    expected = []
    for i, frame in enumerate(open_frames(folder)):
        follower.update(frame) if i else follower.init(frame, (60, 40, 30, 24))
        expected.append(follower.box_xywh)
    run(folder, weights, "--boxes", tmp_path / "boxes.txt")
    np.testing.assert_allclose(lines_of(tmp_path / "boxes.txt"), expected, atol=6e-4)


def test_frames_that_cannot_be_tracked_are_skipped_and_counted(
    folder, weights, tmp_path, capsys
):
    (folder / "0003.png").write_bytes(b"no image")
    cv2.imwrite(str(folder / "0005.png"), picture(4, width=80, height=60))
    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.txt"
    assert run(folder, weights, "--out", out, "--boxes", boxes) == 0
    report = capsys.readouterr().out
    assert "tracked 4 of 6 frames" in report and "2 frames were not tracked" in report
    assert "frame 3:" in report and "0003.png" in report
    assert "frame 5: `frame` has 80 x 60 pixels" in report
    np.testing.assert_array_equal(np.isnan(lines_of(boxes)).all(axis=1), [0, 0, 1, 0, 1, 0])
    assert len(list(open_frames(out))) == 4


def test_ctrl_c_keeps_what_was_tracked(folder, weights, tmp_path, monkeypatch, capsys):
    from siamjax.tracking.adapters import Tracker

    update, calls = Tracker.update, []

    def interrupted(self, frame, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        update(self, frame, **options)

    monkeypatch.setattr(Tracker, "update", interrupted)
    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.txt"
    assert run(folder, weights, "--out", out, "--boxes", boxes) == 130
    assert len(lines_of(boxes)) == 3 and len(list(open_frames(out))) == 3
    assert "then interrupted" in capsys.readouterr().out
    assert not list(tmp_path.glob(".*"))


def test_a_failure_leaves_nothing_half_written(folder, weights, tmp_path, monkeypatch, capsys):
    def full(self, frame):
        raise OSError(28, "the video cannot be written: No space left on device", str(out))

    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.txt"
    monkeypatch.setattr(VideoWriter, "write", full)
    assert run(folder, weights, "--out", out, "--boxes", boxes) == 1
    assert "No space left" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames"]


def test_a_network_without_numbers_is_reported(folder, weights, tmp_path, monkeypatch, capsys):
    from siamjax.tracking.adapters import Tracker

    monkeypatch.setattr(Tracker, "score", float("nan"))
    assert run(folder, weights, "--boxes", tmp_path / "boxes.txt") == 0
    assert "5 frames were not tracked" in (report := capsys.readouterr().out)
    assert "not finite" in report


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "1 2 3 4", "1,2,3,"])
def test_a_box_that_is_no_box_is_refused(text):
    with pytest.raises(ValueError, match=r"`--init` .* must be four numbers x,y,w,h"):
        command.parse_box(text)


def test_a_box_may_be_negative_fractional_and_spaced():
    assert command.parse_box("-3, 4.5,10 ,2e1") == (-3.0, 4.5, 10.0, 20.0)


def refused(capsys, *arguments):
    assert main(["track", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_bad_input_is_refused_before_the_network_is_loaded(
    folder, weights, tmp_path, monkeypatch, capsys
):
    def never(*_):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(command, "_load_tracker", never)
    good = ("--weights", weights, "--boxes", tmp_path / "b.txt")
    assert "does not exist" in refused(capsys, tmp_path / "gone.mp4", BOX, *good)
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refused(capsys, tmp_path / "empty", BOX, *good)
    assert "outside the frame" in refused(capsys, folder, "--init=200,0,20,20", *good)
    assert "positive width" in refused(capsys, folder, "--init=20,20,0,20", *good)
    assert "finite" in refused(capsys, folder, "--init=20,20,nan,20", *good)
    assert "four numbers" in refused(capsys, folder, "--init=20,20", *good)
    assert "must end in" in refused(capsys, folder, BOX, *good, "--out", tmp_path / "o.txt")
    assert "is a folder" in refused(capsys, folder, BOX, *good, "--out", folder)
    missing = refused(capsys, folder, BOX, "--weights", tmp_path / "nothing")
    assert "`--weights`" in missing and "make demo" in missing
    (folder / "0001.png").write_bytes(b"broken")
    assert "first frame" in refused(capsys, folder, BOX, *good)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "frames"]


def test_the_source_is_never_overwritten(weights, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip) as writer:
        writer.write(picture(0))
    before = clip.read_bytes()
    assert "give another name" in refused(
        capsys, clip, BOX, "--weights", weights, "--out", clip
    )
    assert clip.read_bytes() == before


def test_weights_of_another_network_are_refused(folder, weights, tmp_path, capsys):
    values = config_to_dict(small_config())
    values["model"]["channels"] = [32]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(values))
    message = refused(capsys, folder, BOX, "--weights", weights, "--config", other)
    assert "another model's" in message
    assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.mp4"))


def test_it_needs_no_screen_and_says_nothing_it_should_not(folder, weights, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert run(folder, weights, "--boxes", tmp_path / "boxes.txt") == 0
    assert not caplog.records
