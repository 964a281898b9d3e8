"""What is seen in a folder, in which order, and that every reader sees the same."""

import os
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from siamjax.data.formats.layouts import find_clips
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.folders import (
    FolderError,
    files_below,
    files_in,
    folders_in,
    has_match,
    images_in,
    natural_order,
)
from siamjax.video import open_frames

HIDDEN = ["._1.png", ".DS_Store", ".hidden.jpg", "Thumbs.db", "desktop.ini", "THUMBS.DB"]
HIDDEN_FOLDERS = ["__MACOSX", "@eaDir", ".ipynb_checkpoints", "$RECYCLE.BIN"]


def names(paths):
    return [path.name for path in paths]


ORDERS = {
    "counters": "1.png 2.png 10.png 11.png 100.png",
    "padding of all kinds": "01.png 2.png 003.png 0010.png 11.png",
    "a common prefix": "img1.jpg img2.jpg img10.jpg img100.jpg",
    "two counters": "cam2_9.jpg cam2_10.jpg cam10_1.jpg cam10_2.jpg",
    "groups between points": "1.2.9.png 1.2.10.png 1.10.1.png",
    "time stamps": "1305031102.175304.png 1305031102.211214.png 1305031110.043204.png",
    "stamps of nanoseconds": "999999999999999999.png 1000000000000000000.png",
    "decimals printed short": "0.png 0.05.png 0.1.png 0.25.png 0.5.png 1.png 9.75.png 10.5.png",
    "decimals of two lengths": "0.1333.png 0.500.png",
    "decimals in names": "t0.25.jpg t0.5.jpg t9.jpg t10.125.jpg",
    "a counter behind a point": " ".join(f"1.{i}.png" for i in range(1, 13)),
    "and another before": "1.9.png 1.10.png 2.1.png 2.2.png 10.1.png",
    "signs": "-10.png -2.5.png -1.png 0.png +1.png 2.png",
    "dashes that are no signs": "-1.png -2.png -10.png",
    "dashes within": "2020-01-02.png 2020-01-10.png 2020-11-01.png",
    "exponents": "1e-05.png 2.5e-05.png 0.001.png 1.0.png",
    "suffixes in any case": "1.JPG 2.jpeg 3.PNG 4.TIFF 10.webp",
    "letters in any case": "a1.png A2.png a10.png b1.png",
    "no number at all": "a.png b.png c.png",
    "digits that are none": "frame².png frame³.png",
}


@pytest.mark.parametrize("kind", ORDERS)
def test_names_are_put_in_the_order_of_their_numbers(tmp_path, kind):
    expected = ORDERS[kind].split()
    for name in random.Random(0).sample(expected, len(expected)):
        (tmp_path / name).touch()
    assert names(images_in(tmp_path)) == expected
    shuffled = [tmp_path / name for name in random.Random(1).sample(expected, len(expected))]
    assert names(natural_order(shuffled)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_numbers_compare_as_numbers(seed):
    """Against exact fractions; names are printed as programs print them."""
    rng = random.Random(seed)
    start = rng.choice([0, 9.5, 98.7, 1305031102.0])
    prints = [repr, lambda t: f"{t:.3f}", lambda t: f"{t:.6f}", lambda t: f"{t:.10g}"]
    show = rng.choice(prints)
    times = {show(start + rng.random() * 3) for _ in range(30)}
    paths = [Path(f"{time}.png") for time in times]
    assert [p.stem for p in natural_order(paths)] == sorted(times, key=Fraction)


@pytest.mark.parametrize("seed", range(10))
def test_counters_count(seed):
    rng = random.Random(seed)
    first, mark = rng.choice([0, 1, 95, 998]), rng.choice(["", "_", ".", "-", " "])
    numbers = range(first, first + 30)
    paths = [Path(f"clip7{mark or 'x'}{n}.jpg") for n in numbers]
    shuffled = rng.sample(paths, len(paths))
    assert natural_order(shuffled) == paths


def test_folders_keep_the_numbers_behind_their_points(tmp_path):
    expected = [f"video.{i}" for i in range(1, 12)]
    for name in reversed(expected):
        (tmp_path / name).mkdir()
    assert names(folders_in(tmp_path)) == expected


def test_hidden_files_are_never_seen(tmp_path):
    (tmp_path / "1.png").touch()
    for name in HIDDEN:
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    for name in HIDDEN_FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "2.png").touch()
    assert names(images_in(tmp_path)) == names(files_in(tmp_path, "*")) == ["1.png"]
    assert names(files_below(tmp_path, "*.png")) == ["1.png"]
    assert folders_in(tmp_path) == []
    assert has_match(tmp_path, "*.png") and not has_match(tmp_path, "*/*.png")


def test_a_folder_that_is_hidden_itself_may_be_given(tmp_path):
    inner = tmp_path / ".cache" / "frames"
    inner.mkdir(parents=True)
    (inner / "1.png").touch()
    assert names(images_in(inner)) == ["1.png"] and has_match(inner, "*.png")


def test_only_images_are_images(tmp_path):
    for name in ("1.txt", "2.mp4", "3.jpg~", "4.jpg.part", "5", "jpg", "6.gif.zip"):
        (tmp_path / name).touch()
    (tmp_path / "7.jpg").mkdir()
    assert images_in(tmp_path) == []
    assert images_in(tmp_path / "absent") == images_in(tmp_path / "1.txt") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0001.jpg", "0001.png"),
        ("1.jpg", "1.JPG"),
        ("1.png", "01.png"),
        ("0.5.png", "0.50.png"),
    ],
)
def test_one_frame_under_two_names_is_refused(tmp_path, one, other):
    for name in ("0000.jpg", one, other, "0002.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(FolderError, match=r"are both frame .* move one kind") as told:
        images_in(tmp_path)
    assert one in str(told.value) and other in str(told.value)
    assert str(tmp_path) in str(told.value)


def test_links_are_followed_and_each_folder_is_seen_once(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "1.png").touch()
    data = tmp_path / "data"
    data.mkdir()
    (data / "images").symlink_to(real)
    (real / "back").symlink_to(data)  # round in a circle
    (data / "2.png").symlink_to(real / "1.png")
    (data / "10.png").symlink_to(tmp_path / "gone.png")  # leads nowhere: a frame is missing
    (data / "3.png").symlink_to("3.png")  # leads to itself
    assert names(images_in(data)) == ["2.png", "3.png", "10.png"]
    assert names(files_below(data, "*.png")) == ["2.png", "3.png", "10.png", "1.png"]


@pytest.mark.skipif(os.name == "nt", reason="names are bytes on Unix alone")
def test_names_need_not_be_text(tmp_path):
    for name in (b"\xff2.png", b"\xff10.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert [os.fsencode(p.name) for p in images_in(tmp_path)] == [b"\xff2.png", b"\xff10.png"]


# --- every reader -------------------------------------------------------------------------

TIMES = ["9.75", "10.5", "10.25", "100.0"]  # as written; their order is another
ORDERED = [f"{time}.PNG" for time in ("9.75", "10.25", "10.5", "100.0")]


@pytest.fixture
def clip(tmp_path):
    """Makes a clip whose frames get brighter, with what systems leave behind."""
    import cv2

    def make(images, truth, line="30,20,16,12"):
        folder = tmp_path / "data" / images
        folder.mkdir(parents=True)
        for time in TIMES:
            level = ORDERED.index(f"{time}.PNG") * 20
            frame = np.full((48, 64, 3), level, np.uint8)
            (folder / f"{time}.PNG").write_bytes(cv2.imencode(".png", frame)[1].tobytes())
        for name in (*HIDDEN, "notes.txt"):
            (folder / name).write_bytes(b"\0\5\x16\7 what systems leave behind")
        truth = tmp_path / "data" / truth
        truth.parent.mkdir(parents=True, exist_ok=True)
        truth.write_text(f"{line}\n" * len(TIMES))
        (truth.parent / f"._{truth.name}").write_bytes(b"\0\5\x16\7\xff\xfe")
        (tmp_path / "data" / "__MACOSX" / "a").mkdir(parents=True)
        (tmp_path / "data" / "__MACOSX" / "a" / "._groundtruth.txt").write_bytes(b"\0\5\x16\7")
        return tmp_path / "data"

    return make


TRAINING = {
    "otb": ("a/img", "a/groundtruth_rect.txt"),
    "vot": ("a/color", "a/groundtruth.txt"),
    "lasot": ("dog/dog-1/img", "dog/dog-1/groundtruth.txt"),
    "got10k": ("train/a", "train/a/groundtruth.txt"),
    "trackingnet": ("TRAIN_0/frames/a", "TRAIN_0/anno/a.txt"),
}


@pytest.mark.parametrize("layout", TRAINING)
def test_training_sees_the_frames_in_order(clip, layout):
    (found,) = find_clips(layout, clip(*TRAINING[layout]))
    assert [s.image.name for s in found.read()] == ORDERED


@pytest.mark.parametrize(
    ("benchmark", "images", "truth"),
    [
        ("OTB100", "a/img", "a/groundtruth_rect.txt"),
        ("LaSOT", "dog-1/img", "dog-1/groundtruth.txt"),
        ("GOT10k-val", "a", "a/groundtruth.txt"),
        ("TrackingNet", "frames/a", "anno/a.txt"),
        ("UAV123", "data_seq/UAV123/a", "anno/UAV123/a.txt"),
        ("VOT2018", "a/color", "a/groundtruth.txt"),
        ("VOT2018", "a", "a/groundtruth.txt"),
    ],
)
def test_evaluation_sees_the_frames_in_order(clip, benchmark, images, truth):
    (found,), problems = load_sequences(clip(images, truth), get_benchmark(benchmark))
    assert not problems and names(found.frame_paths) == ORDERED
    assert [found.read_frame(i)[0, 0, 0] for i in range(4)] == [0, 20, 40, 60]


def test_tracking_sees_the_frames_in_order(clip):
    frames = open_frames(clip("a", "a/groundtruth.txt") / "a")
    assert names(frames.paths) == ORDERED and frames.count == 4
    assert [frame[0, 0, 0] for frame in frames] == [0, 20, 40, 60]


def test_a_frame_under_two_names_is_told_by_every_reader(clip):
    data = clip("a/img", "a/groundtruth_rect.txt")
    (data / "a" / "img" / "9.75.jpg").touch()
    told = r"9\.75\.PNG and 9\.75\.jpg are both frame 9\.75"
    with pytest.raises(ValueError, match=told):
        find_clips("otb", data)[0].read()
    with pytest.raises(ValueError, match=told):
        load_sequences(data, get_benchmark("OTB100"))
    with pytest.raises(ValueError, match=told):
        open_frames(data / "a" / "img")


def test_scoring_sees_no_hidden_result(tmp_path):
    from siamjax.evaluation.results.files import find_results

    for name in ("Ball", "Cup"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_001.txt").write_text("1,2,3,4\n")
        (tmp_path / name / f"._{name}_001.txt").write_bytes(b"\0\5\x16\7")
        (tmp_path / name / f"._{name}_002.txt").write_bytes(b"\0\5\x16\7")
    (tmp_path / "._Dog.txt").write_bytes(b"\0\5\x16\7")
    found = find_results(tmp_path, ["Ball", "Cup", "Dog"])
    assert {name: names(files) for name, files in found.items()} == {
        "Ball": ["Ball_001.txt"],
        "Cup": ["Cup_001.txt"],
    }
