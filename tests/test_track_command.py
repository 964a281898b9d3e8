"""`siamjax track` through its own front door; the network is an untrained one."""

import http.server
import json
import logging
import os
import re
import struct
import subprocess
import sys
import threading

import av
import cv2
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.commands import track as command
from siamjax.config_files import config_to_dict
from siamjax.models.build import build_network
from siamjax.training.checkpoints import save_variables
from siamjax.video import VideoWriter, open_frames
from tests.conftest import ROOT
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


def test_a_header_that_lies_is_not_believed(weights, tmp_path, capsys):
    """A thousand million frames, one every million seconds."""
    clip = tmp_path / "clip.avi"
    with VideoWriter(clip, frame_rate=12) as writer:
        for i in range(4):
            writer.write(picture(i))
    content = bytearray(clip.read_bytes())
    at = content.index(b"strh") + 8
    struct.pack_into("<II", content, at + 20, 10**6, 1)  # a frame in 10^6 seconds
    struct.pack_into("<I", content, at + 32, 10**9)
    clip.write_bytes(content)
    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.csv"
    assert run(clip, weights, "--out", out, "--boxes", boxes) == 0
    said = capsys.readouterr()
    assert "tracked 4 of 4 frames" in said.out and "ended early" not in said.out
    assert "note: the video states 1e-06 frames/s; 30 are assumed" in said.out
    assert "4/4" in said.err
    assert open_frames(out).frame_rate == 30
    times = np.genfromtxt(boxes, delimiter=",", names=True)["time"]
    np.testing.assert_allclose(times, np.arange(4) / 30, atol=1e-3)


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
    from siamjax.tracking.batch import MultiTracker

    update, calls = MultiTracker.update, []

    def interrupted(self, frame, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return update(self, frame, **options)

    monkeypatch.setattr(MultiTracker, "update", interrupted)
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


def say(monkeypatch, scores):
    """Has the tracker say these scores of one target that never moves."""
    from siamjax.tracking.batch import MultiTracker
    from siamjax.tracking.result import Fetched, Result
    from siamjax.tracking.state import TrackOutput

    left = iter(np.float32(scores))

    def update(self, frame):
        output = TrackOutput(np.float32([60, 40, 30, 24]), next(left))
        return [Result.of(Fetched(output), frame.shape[:2], self.config)]

    monkeypatch.setattr(MultiTracker, "update", update)


def test_a_network_without_numbers_is_reported(folder, weights, tmp_path, monkeypatch, capsys):
    say(monkeypatch, [np.nan] * 5)
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
    assert "camera 99999999999 does not exist" in refused(capsys, "9" * 11, BOX, *good)
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused(capsys, tmp_path / "empty", BOX, *good)
    assert "outside the frame" in refused(capsys, folder, "--init=200,0,20,20", *good)
    assert "positive width" in refused(capsys, folder, "--init=20,20,0,20", *good)
    assert "finite" in refused(capsys, folder, "--init=20,20,nan,20", *good)
    assert "four numbers" in refused(capsys, folder, "--init=20,20", *good)
    assert "must end in" in refused(capsys, folder, BOX, *good, "--out", tmp_path / "o.txt")
    assert "is a folder" in refused(capsys, folder, BOX, *good, "--out", folder)
    for value in (7, "nan", "-inf"):
        wrong = f"--lost-below={value}"
        assert "must lie between 0 and 1" in refused(capsys, folder, BOX, *good, wrong)
    both = refused(capsys, folder, BOX, *good, "--lost-below", 0.5, "--long-term")
    assert "leave one of the two out" in both
    table = ("--weights", weights, "--boxes", tmp_path / "b.xml")
    assert ".txt, .csv or .json" in refused(capsys, folder, BOX, *table)
    second = refused(capsys, folder, BOX, "--init=900,0,9,9", *good)
    assert "outside the frame" in second
    missing = refused(capsys, folder, BOX, "--weights", tmp_path / "nothing")
    assert "`weights`" in missing and "does not exist; give a training's work" in missing
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


SECOND = "--init=20,60,24,30"


def test_several_targets_are_tracked_each_as_if_alone(folder, weights, tmp_path):
    for name, boxes in {"a": [BOX], "b": [SECOND], "both": [BOX, SECOND]}.items():
        arguments = ["--weights", str(weights), "--boxes", str(tmp_path / f"{name}.txt")]
        assert main(["track", str(folder), *boxes, *arguments]) == 0
    both = lines_of(tmp_path / "both.txt")
    assert both.shape == (6, 8)
    np.testing.assert_allclose(both[:, :4], lines_of(tmp_path / "a.txt"), atol=2e-3)
    np.testing.assert_allclose(both[:, 4:], lines_of(tmp_path / "b.txt"), atol=2e-3)


def test_boxes_as_a_table_and_as_json_say_the_same(folder, weights, tmp_path):
    (folder / "0003.png").write_bytes(b"no image")
    for kind in ("txt", "csv", "json"):
        assert run(folder, weights, SECOND, "--boxes", tmp_path / f"boxes.{kind}") == 0
    text = lines_of(tmp_path / "boxes.txt").reshape(6, 2, 4)
    table = np.genfromtxt(tmp_path / "boxes.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(table["frame"], np.repeat(np.arange(1, 7), 2))
    np.testing.assert_array_equal(table["target"], [1, 2] * 6)
    columns = np.stack([table[name] for name in "xywh"], axis=-1).reshape(6, 2, 4)
    np.testing.assert_array_equal(columns, text)
    told = json.loads((tmp_path / "boxes.json").read_text())
    assert told["source"] == str(folder)
    for t, frame in enumerate(told["frames"]):
        assert frame["frame"] == t + 1
        if t == 2:
            assert frame["targets"] is None
            continue
        boxes = [target["box_xywh"] for target in frame["targets"]]
        np.testing.assert_allclose(boxes, text[t], atol=1e-9)
        for k, target in enumerate(frame["targets"]):
            np.testing.assert_allclose(target["score"], table["score"][2 * t + k], atol=1e-4)
            assert target["lost"] == bool(table["lost"][2 * t + k])


def test_it_says_when_the_target_is_lost(folder, weights, tmp_path, monkeypatch, capsys):
    say(monkeypatch, [0.9, 0.3, 0.2, 0.8, 0.1])
    path = tmp_path / "boxes.json"
    assert run(folder, weights, "--boxes", path, "--lost-below", 0.35) == 0
    assert "the target was lost in frames 3-4, 6" in capsys.readouterr().out
    lost = [f["targets"][0]["lost"] for f in json.loads(path.read_text())["frames"]]
    assert lost == [False, False, True, True, False, True]


def test_the_configuration_says_below_which_score_a_target_is_lost(
    folder, weights, tmp_path, monkeypatch, capsys
):
    values = config_to_dict(small_config())
    values["tracker"]["lost_score"] = 0.25
    other = tmp_path / "other.json"
    other.write_text(json.dumps(values))
    scores = [0.9, 0.3, 0.2, 0.8, 0.1]
    for more, said in {
        ("--config", other): "lost in frames 4, 6\n",
        ("--config", other, "--lost-below", 0): "",
        ("--config", other, "--lost-below", 0.35): "lost in frames 3-4, 6\n",
        (): "",
    }.items():
        say(monkeypatch, scores)
        assert run(folder, weights, "--boxes", tmp_path / "boxes.csv", *more) == 0
        report = capsys.readouterr().out
        assert said in report and ("lost" in report) is bool(said)


def test_each_frame_has_its_time_in_the_video(weights, tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", frame_rate=12) as writer:
        for i in range(4):
            writer.write(picture(i))
    for kind in ("csv", "json"):
        assert run(tmp_path / "clip.mp4", weights, "--boxes", tmp_path / f"boxes.{kind}") == 0
    table = np.genfromtxt(tmp_path / "boxes.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["time"], np.arange(4) / 12, atol=6e-4)
    told = json.loads((tmp_path / "boxes.json").read_text())["frames"]
    assert [frame["time"] for frame in told] == table["time"].tolist()


def write_example(folder, **entry):
    with VideoWriter(folder / "clip.mp4") as writer:
        for i in range(3):
            writer.write(picture(i))
    entry = {
        "file": "clip.mp4",
        "box_xywh": [60, 40.5, 30, 24],
        "credit": "somebody, CC0",
    } | entry
    (folder / "shipped.json").write_text(json.dumps({"example": entry}))


def test_the_example_brings_its_own_box(weights, tmp_path, monkeypatch, capsys):
    write_example(tmp_path)
    monkeypatch.setattr("siamjax.shipped.FOLDER", tmp_path)
    out = tmp_path / "here"
    out.mkdir()
    monkeypatch.chdir(out)
    assert main(["track", "--example", "--weights", str(weights)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["clip_boxes.txt", "clip_tracked.mp4"]
    np.testing.assert_array_equal(lines_of("clip_boxes.txt")[0], (60, 40.5, 30, 24))
    assert "clip: somebody, CC0" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_failure(folder, weights, tmp_path):
    """As `siamjax track ... | head -1` has it: the pipe is closed before the end is told."""
    program = "import sys; from siamjax.cli import command; command()"
    out = tmp_path / "boxes.txt"
    arguments = ["track", str(folder), BOX, "--weights", str(weights), "--boxes", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        running.stdout.close()
        errors = running.stderr.read()
        assert running.wait(120) == 0, errors
    assert "Broken pipe" not in errors and len(lines_of(out)) == 6


def test_the_example_is_no_tracker_that_ships(tmp_path, monkeypatch):
    from siamjax import shipped

    write_example(tmp_path)
    monkeypatch.setattr("siamjax.shipped.FOLDER", tmp_path)
    assert shipped.catalogue() == {}


def test_an_example_that_is_not_there_is_told(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("siamjax.shipped.FOLDER", tmp_path)
    more = ("--example", "--weights", weights)
    assert "no example clip" in refused(capsys, *more)
    write_example(tmp_path, file="gone.mp4")
    assert "gone.mp4 is missing" in refused(capsys, *more)
    write_example(tmp_path, box_xywh="middle")
    assert "no example clip" in refused(capsys, *more)
    write_example(tmp_path)
    assert "leave SOURCE and --init out" in refused(capsys, *more, BOX)
    assert "leave SOURCE and --init out" in refused(capsys, tmp_path / "clip.mp4", *more)
    assert "name what to track in" in refused(capsys, "--weights", weights)


def test_without_a_box_the_user_draws_it(folder, weights, tmp_path, monkeypatch, capsys):
    drawn = [(60.0, 40.0, 30.0, 24.0), (20.0, 60.0, 24.0, 30.0)]
    shown = []
    monkeypatch.setattr(
        "siamjax.display.choose_boxes", lambda frame: shown.append(frame) or drawn
    )
    path = tmp_path / "boxes.txt"
    more = ["--weights", str(weights), "--boxes", str(path)]
    assert main(["track", str(folder), *more]) == 0
    np.testing.assert_array_equal(lines_of(path)[0].reshape(2, 4), drawn)
    np.testing.assert_array_equal(shown[0], picture(0))
    drawn.clear()
    path.unlink()
    assert "no target was drawn" in refused(capsys, folder, *more)
    assert not path.exists()


def test_without_a_display_it_says_how_to_give_the_box(folder, weights, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("siamjax.display.sys.platform", "linux")
    message = refused(capsys, folder, "--weights", weights, "--boxes", "never.txt")
    assert "needs a display" in message and "give it as `--init x,y,w,h`" in message


def test_long_term_looks_for_a_lost_target(folder, weights, tmp_path, capsys):
    # The untrained network is never sure, so that it is lost at once.
    path = tmp_path / "boxes.json"
    assert run(folder, weights, "--boxes", path, "--long-term") == 0
    assert "the target was lost in frames 2-6" in capsys.readouterr().out
    boxes = [f["targets"][0]["box_xywh"] for f in json.loads(path.read_text())["frames"]]
    np.testing.assert_allclose(boxes[1:], [boxes[1]] * 5)  # it stays where it was


def test_there_is_no_window_without_a_display(folder, weights, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("siamjax.display.sys.platform", "linux")
    message = refused(capsys, folder, BOX, "--weights", weights, "--show")
    assert "needs a display" in message


def test_the_window_shows_every_frame_until_q_is_pressed(
    folder, weights, tmp_path, monkeypatch
):
    shown = []

    class Window:
        def __init__(self, title):
            pass

        def show(self, frame):
            shown.append(frame)
            return len(shown) < 4

        def close(self):
            shown.append("closed")

    rates = []
    monkeypatch.setattr("siamjax.display.Window", Window)
    monkeypatch.setattr(
        "siamjax.display.draw_text", lambda frame, text: rates.append(text) or frame
    )
    assert run(folder, weights, "--show", "--boxes", tmp_path / "boxes.txt") == 0
    assert len(shown) == 5 and shown[-1] == "closed"
    # The rate is known from the third frame on, when one step was timed.
    assert rates[:2] == ["", ""] and all(
        re.fullmatch(r"\d+\.\d frames/s", r) for r in rates[2:]
    )
    assert len(lines_of(tmp_path / "boxes.txt")) == 4


def test_a_camera_is_followed_until_it_stops(weights, tmp_path, monkeypatch, capsys):
    class Capture:
        def __init__(self, index):
            assert index == 3
            self.left = [picture(i) for i in range(4)]

        def isOpened(self):
            return True

        def get(self, what):
            return 0.0

        def read(self):
            return (True, self.left.pop(0)) if self.left else (False, None)

        def release(self):
            pass

    monkeypatch.setattr("siamjax.video.sources.cv2.VideoCapture", Capture)
    monkeypatch.chdir(tmp_path)
    assert run("3", weights) == 0
    report = capsys.readouterr().out
    assert "tracked 4 of 4 frames of 3\nit ended early: camera 3 stopped" in report
    assert len(list(open_frames(tmp_path / "camera3_tracked.mp4"))) == 4
    assert len(lines_of(tmp_path / "camera3_boxes.txt")) == 4


def cut_video(path, kept):
    """A video with its index in front, of which the first half arrived."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.gop_size = 1  # frames of one size
        for i in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), "bgr24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


def test_a_file_that_was_cut_off_is_tracked_as_far_as_it_goes(weights, tmp_path, capsys):
    cut_video(tmp_path / "cut.mp4", 0.6)
    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.txt"
    assert run(tmp_path / "cut.mp4", weights, "--out", out, "--boxes", boxes) == 0
    rows = lines_of(boxes)
    count = len(rows)
    assert 1 < count < 12
    # The frame at the cut may be damaged; it is in the boxes, as nan, and not in the video.
    assert len(list(open_frames(out))) == np.isfinite(rows).all(axis=1).sum() >= count - 1
    reason = f"it ended early: {tmp_path / 'cut.mp4'} is truncated, after {count} frames\n"
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("then", ["closes", "stalls"])
def test_a_stream_that_stops_half_way_is_told_and_the_output_finished(
    weights, tmp_path, monkeypatch, capsys, then
):
    monkeypatch.setattr("siamjax.video.reading.PATIENCE", 1.0)
    cut_video(tmp_path / "whole.mp4", 1)
    content = (tmp_path / "whole.mp4").read_bytes()
    is_over = threading.Event()

    class Half(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) * 6 // 10])
            if then == "stalls":
                is_over.wait(20)

    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.csv"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Half) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/whole.mp4"
            assert run(address, weights, "--out", out, "--boxes", boxes) == 0
        finally:
            is_over.set()
            server.shutdown()
    reason = "no data for 1 s" if then == "stalls" else "Input/output error"
    report = capsys.readouterr().out
    assert f"it ended early: {address} stopped: {reason}" in report
    count = len(list(open_frames(out)))
    _, *rows = boxes.read_text().splitlines()
    # The frame at the cut may be damaged; it is among the boxes, and not in the video.
    assert 1 < count < 12 and count == sum("nan" not in row for row in rows) >= len(rows) - 1


@pytest.mark.slow
def test_a_signal_finishes_the_frame_and_all_outputs(folder, weights, tmp_path):
    """In a process of its own, which it is sent to while frames are written."""
    program = f"""
import os, signal, sys
from siamjax.cli import main
from siamjax.video import VideoWriter
write, calls = VideoWriter.write, []
def interrupted(self, frame):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIG{{name}})
    write(self, frame)
VideoWriter.write = interrupted
sys.exit(main(["track", {str(folder)!r}, {BOX!r}, "--weights", {str(weights)!r},
    "--out", "{{name}}.mp4", "--boxes", "{{name}}.txt"]))
"""
    for name, code in {"INT": 130, "TERM": 143}.items():
        ended = subprocess.run(
            [sys.executable, "-c", program.format(name=name)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == code, ended.stderr
        assert "tracked 4 of 4 frames" in ended.stdout and "interrupted" in ended.stdout
        assert len(lines_of(tmp_path / f"{name}.txt")) == 4
        assert len(list(open_frames(tmp_path / f"{name}.mp4"))) == 4
    assert not list(tmp_path.glob(".*"))


def test_rotated_rectangles_are_drawn_and_told(folder, tmp_path, monkeypatch):
    from siamjax.tracking.batch import MultiTracker
    from tests.tracking.test_siammask import CONFIG, SeesBrightPixels

    monkeypatch.setattr(
        command, "_load_tracker", lambda *_: MultiTracker(SeesBrightPixels(), {}, CONFIG)
    )
    monkeypatch.setattr("siamjax.api.resolve", lambda *_: (CONFIG, None))
    out, boxes = tmp_path / "out.mp4", tmp_path / "boxes.json"
    assert run(folder, folder, "--out", out, "--boxes", boxes) == 0
    first, *others = (f["targets"][0] for f in json.loads(boxes.read_text())["frames"])
    assert "polygon" not in first
    assert all(np.shape(target["polygon"]) == (4, 2) for target in others)


def test_boxes_that_cannot_be_written_are_refused_before_the_tracking(
    folder, weights, tmp_path, capsys
):
    place = folder / "0001.png" / "boxes.txt"
    assert run(folder, weights, "--boxes", place) == 1
    err = capsys.readouterr().err
    assert "loading" not in err
    assert f"cannot write '{place}'" in err
