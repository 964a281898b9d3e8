"""Folders in OTB layout, good and bad."""

import re

import cv2
import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import (
    OTB_ANNOTATED_FRAMES,
    UnknownBenchmarkError,
    get_benchmark,
)
from siamjax.evaluation.benchmarks.sequences import SequenceError, load_sequences
from siamjax.images import ImageError
from tests.evaluation.conftest import boxes_along


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def load(data, otb):
    return lambda *names: load_sequences(data, otb, names)


@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_a_sequence_is_read_and_counted_from_zero(write_sequence, load, separator):
    write_sequence("Ball", 12, separator=separator)
    (sequence,), problems = load()
    assert not problems
    assert sequence.name == "Ball" and len(sequence) == 12
    assert sequence.frame_size == (64, 48)
    np.testing.assert_array_equal(sequence.gt_xywh, boxes_along(12))
    assert [sequence.read_frame(i)[0, 0, 0] for i in range(12)] == list(range(12))


def test_frames_are_ordered_by_number(write_sequence, load):
    folder = write_sequence("Ball", 11)
    for path in (folder / "img").iterdir():
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    (folder / "img" / "._1.png").write_bytes(b"what macOS leaves behind")
    (folder / "img" / "Thumbs.db").write_bytes(b"what Windows leaves behind")
    ((sequence,), problems) = load()
    assert [int(path.stem) for path in sequence.frame_paths] == list(range(1, 12))
    assert not problems


def test_list_decides_names_and_order(write_sequence, load, data):
    for name in ("A", "B", "C"):
        write_sequence(name, 2)
    (data / "list.txt").write_text("C\na\nMissing\n")
    sequences, problems = load()
    assert [s.name for s in sequences] == ["C", "A"]
    assert [p.sequence for p in problems] == ["Missing"]


def test_two_targets_are_two_sequences(write_sequence, load, data):
    write_sequence("Jogging", 4, gt="groundtruth_rect.1")
    write_sequence("Jogging", 4, boxes_along(4, start=(30, 5)), gt="groundtruth_rect.2")
    sequences, _ = load()
    assert [s.name for s in sequences] == ["Jogging-1", "Jogging-2"]
    assert sequences[1].gt_xywh[0].tolist() == [30, 5, 16, 12]
    assert [s.name for s in load("jogging.2")[0]] == ["Jogging-2"]
    (data / "list.txt").write_text("Jogging.2\n")
    assert [s.name for s in load()[0]] == ["Jogging-2"]
    (data / "list.txt").write_text("Jogging\n")
    assert len(load()[0]) == 2


def test_partly_annotated_sequences_lose_the_other_frames(write_sequence, load, monkeypatch):
    folder = write_sequence("David", 9)
    (folder / "groundtruth_rect.txt").write_text("11,11,9,9\n" * 4)
    monkeypatch.setitem(OTB_ANNOTATED_FRAMES, "David", (3, 6))
    (sequence,), _ = load()
    assert [path.stem for path in sequence.frame_paths] == ["0003", "0004", "0005", "0006"]


def test_names_pick_sequences_and_wrong_ones_are_explained(write_sequence, load):
    for name in ("Crossing", "Couple"):
        write_sequence(name, 2)
    assert [s.name for s in load("couple")[0]] == ["Couple"]
    with pytest.raises(SequenceError, match=r"'Crosing'.*did you mean 'Crossing'"):
        load("Crosing")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "groundtruth_rect.txt").unlink(), "no groundtruth_rect.txt"),
        (lambda f: (f / "groundtruth_rect.txt").write_text(""), "is empty"),
        (lambda f: (f / "groundtruth_rect.txt").write_text("1,2,3\n" * 8), "3 values"),
        (
            lambda f: (f / "groundtruth_rect.txt").write_text("1,1,9,9\n" * 7),
            "expected 8 rows .* read 7",
        ),
        (
            lambda f: (f / "groundtruth_rect.txt").write_text("1,1,9,9\n" * 9),
            "expected 8 rows .* read 9",
        ),
        (lambda f: [p.unlink() for p in (f / "img").iterdir()], "no image"),
        (lambda f: (f / "img").rename(f / "images"), "no folder img/"),
        (lambda f: (f / "img" / "0001.png").write_bytes(b""), "0001.png"),
        (lambda f: (f / "img" / "0001.png").write_bytes(b"no image"), "0001.png"),
    ],
)
def test_a_bad_sequence_is_skipped_and_named(write_sequence, load, damage, message):
    write_sequence("Good")
    damage(write_sequence("Bad"))
    sequences, (problem,) = load()
    assert [s.name for s in sequences] == ["Good"]
    assert problem.sequence == "Bad"
    assert re.search(f"skipped: .*{message}", problem.message)


@pytest.mark.parametrize(
    "box, message",
    [
        ((10, 10, 0, 12), "no area"),
        ((10, 10, 12, -3), "no area"),
        ((64, 10, 12, 12), "outside the frame"),
        ((-20, 10, 12, 12), "outside the frame"),
        ((10, 48, 12, 12), "outside the frame"),
        ((np.nan, 10, 12, 12), "not finite"),
    ],
)
def test_a_first_box_that_cannot_be_tracked_is_refused(write_sequence, load, box, message):
    write_sequence("Good")
    boxes = boxes_along(8)
    boxes[0] = box
    write_sequence("Bad", 8, boxes)
    sequences, (problem,) = load()
    assert [s.name for s in sequences] == ["Good"]
    assert message in problem.message


def test_nan_after_the_first_frame_is_kept(write_sequence, load):
    boxes = boxes_along(8)
    boxes[3] = np.nan
    write_sequence("Gap", 8, boxes)
    (sequence,), problems = load()
    assert np.isnan(sequence.gt_xywh[3]).all() and not problems


def test_a_first_box_partly_outside_is_fine(write_sequence, load):
    write_sequence("Edge", 4, boxes_along(4, start=(-6, -3)))
    assert len(load()[0]) == 1


def test_grey_and_alpha_become_three_channels(write_sequence, load):
    folder = write_sequence("Mixed", 4)
    cv2.imwrite(str(folder / "img" / "0002.png"), np.full((48, 64), 9, np.uint8))
    cv2.imwrite(str(folder / "img" / "0003.png"), np.full((48, 64, 4), 9, np.uint8))
    (sequence,), _ = load()
    for index in (1, 2):
        frame = sequence.read_frame(index)
        assert frame.shape == (48, 64, 3) and (frame == 9).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_bad_frames_are_errors_that_name_the_file(write_sequence, load, rng, suffix):
    folder = write_sequence("Ball", 4)
    (folder / "img" / "0002.png").unlink()
    path = folder / "img" / f"0002{suffix}"
    cv2.imwrite(str(path), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cv2.imwrite(str(folder / "img" / "0003.png"), np.zeros((50, 64, 3), np.uint8))
    (sequence,), _ = load()
    with pytest.raises(ImageError, match="0002"):
        sequence.read_frame(1)
    with pytest.raises(ImageError, match=r"0003.*64 x 50.*64 x 48"):
        sequence.read_frame(2)


def test_folders_that_are_no_benchmark(tmp_path, otb, write_sequence, load):
    with pytest.raises(SequenceError, match=r"'.*nowhere' does not exist"):
        load_sequences(tmp_path / "nowhere", otb)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SequenceError, match="no subfolder"):
        load_sequences(tmp_path / "empty", otb)
    folder = write_sequence("Ball", 2)
    with pytest.raises(SequenceError, match=r"is a sequence itself.*--sequences Ball"):
        load_sequences(folder, otb)
    (folder / "groundtruth_rect.txt").write_text("")
    with pytest.raises(SequenceError, match=r"no usable sequence.*Ball: skipped"):
        load()


def test_benchmark_names():
    assert get_benchmark("OTB").name == get_benchmark("otb-100").name == "otb"
    with pytest.raises(UnknownBenchmarkError, match="did you mean 'synthetic'"):
        get_benchmark("syntetic")


def test_real_sequences(shared, otb):
    sequences, problems = load_sequences(shared / "sequences/otb", otb)
    assert len(sequences) == 9 and not problems
    couple = sequences[0]
    assert couple.name == "Couple" and len(couple) == 140
    # groundtruth_rect.txt begins with 51,47,25,62
    assert couple.gt_xywh[0].tolist() == [50, 46, 25, 62]
