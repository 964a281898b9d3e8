import json

import cv2
import numpy as np
import pytest

from siamjax.evaluation.benchmarks.annotations import read_vot_annotations
from siamjax.evaluation.benchmarks.layouts import SequenceError

POLYGON = "10,10,30,10,30,40,10,40\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_sequence(root, name, frames=6, images="color", truth=POLYGON):
    write(root / name / "groundtruth.txt", truth * frames)
    for i in range(frames if images is not None else 0):
        file = root / name / images / f"{i + 1:08d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.zeros((48, 64, 3), np.uint8))


def test_reads_a_folder(tmp_path):
    write_sequence(tmp_path, "bag")
    write_sequence(tmp_path, "ants1", images="", truth="10,10,20,30\n")
    write(tmp_path / "bag" / "occlusion.tag", "0\n1\n0\n0\n0\n1\n")
    write(tmp_path / "bag" / "camera_motion.label", "1\n" * 6)
    found, problems = read_vot_annotations(tmp_path)
    assert problems == []
    ants, bag = found
    assert (ants.name, bag.name) == ("ants1", "bag")
    assert len(bag) == len(bag.frame_paths) == 6
    assert bag.frame_paths[0] == tmp_path / "bag" / "color" / "00000001.jpg"
    assert ants.frame_paths[-1] == tmp_path / "ants1" / "00000006.jpg"
    assert ants.frame_size == bag.frame_size == (64, 48)
    assert ants.ground_truth.row(0).tolist() == [10, 10, 20, 30]
    assert bag.ground_truth.count.tolist() == [8] * 6
    assert bag.tags["occlusion"].tolist() == [False, True, False, False, False, True]
    assert set(bag.tags) == {"occlusion", "camera_motion"}
    assert ants.tags == {}


def test_a_list_gives_the_order_and_a_properties_file_the_size(tmp_path):
    for name in ("a", "b", "c"):
        write_sequence(tmp_path, name, images=None)
        write(tmp_path / name / "sequence", "width=640\nheight=360\nfps=30\n")
    write(tmp_path / "list.txt", "c\na\n")
    found, problems = read_vot_annotations(tmp_path)
    assert [one.name for one in found] == ["c", "a"]
    assert found[0].frame_size == (640, 360)
    assert found[0].frame_paths == ()
    assert problems == []


def test_a_bad_sequence_is_named_and_the_others_stay(tmp_path):
    write_sequence(tmp_path, "good")
    (tmp_path / "empty").mkdir()
    write_sequence(tmp_path, "short")
    write(tmp_path / "short" / "groundtruth.txt", POLYGON * 4)
    write_sequence(tmp_path, "tagged")
    write(tmp_path / "tagged" / "occlusion.tag", "0\n1\n")
    found, problems = read_vot_annotations(tmp_path)
    assert [one.name for one in found] == ["good", "tagged"]
    assert found[1].tags == {}
    assert [problem.sequence for problem in problems] == ["empty", "short", "tagged"]
    assert "groundtruth.txt" in str(problems[0])
    assert "expected 6 regions, as there are frames, read 4" in str(problems[1])
    assert "2 values of occlusion for 6 frames" in str(problems[2])


def entry(frames=5, **more):
    return {
        "gt_rect": [[10, 10, 30, 10, 30, 40, 10, 40]] * frames,
        "img_names": [f"bag/{i + 1:08d}.jpg" for i in range(frames)],
        "occlusion": [0, 1] + [0] * (frames - 2),
        "camera_motion": [],
        "width": 640,
        "height": 480,
    } | more


def test_reads_a_json_file(tmp_path):
    file = tmp_path / "VOT2019.json"
    file.write_text(json.dumps({"bag": entry()}))
    (bag,), problems = read_vot_annotations(file)
    assert problems == []
    assert bag.frame_paths[0] == tmp_path / "bag" / "00000001.jpg"
    assert bag.frame_size is None  # there is no image to take it from
    assert bag.tags["occlusion"].tolist() == [False, True, False, False, False]
    assert set(bag.tags) == {"occlusion"}


def test_images_are_found_where_the_json_file_forgets_their_folder(tmp_path):
    write_sequence(tmp_path, "bag", frames=5)
    file = tmp_path / "VOT2019.json"
    file.write_text(json.dumps({"bag": entry()}))
    (bag,), _ = read_vot_annotations(file)
    assert bag.frame_paths[0] == tmp_path / "bag" / "color" / "00000001.jpg"
    assert bag.frame_size == (64, 48)


def test_absent_targets_of_long_term_files(tmp_path):
    file = tmp_path / "VOT2018-LT.json"
    rows = [[1, 2, 3, 4], [float("nan")] * 4, [0]]
    file.write_text(json.dumps({"ballet": entry(3, gt_rect=rows, occlusion=None)}))
    (ballet,), _ = read_vot_annotations(file)
    assert ballet.ground_truth.is_finite.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({}, "`gt_rect` is missing"),
        (None, "expected an object, not None"),
        ({"gt_rect": []}, "no ground truth"),
        ({"gt_rect": [[1, 2, 3]]}, "`gt_rect` row 1: 3 values"),
        ({"gt_rect": 5}, "(=5) must be a list"),
        ({"gt_rect": [["a"]]}, "'a'"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_stay(tmp_path, broken, message):
    file = tmp_path / "VOT2018.json"
    file.write_text(json.dumps({"good": entry(), "bad": broken}))
    found, problems = read_vot_annotations(file)
    assert [one.name for one in found] == ["good"]
    assert len(problems) == 1
    assert str(problems[0]).startswith("bad: skipped: ")
    assert message in str(problems[0])


@pytest.mark.parametrize("text", ["[1, 2]", "{", "{}"])
def test_a_file_that_is_something_else_is_refused(tmp_path, text):
    file = tmp_path / "VOT2018.json"
    file.write_text(text)
    with pytest.raises(SequenceError, match=r"VOT2018\.json"):
        read_vot_annotations(file)


def test_folders_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(SequenceError, match="cannot read"):
        read_vot_annotations(tmp_path / "missing")
    with pytest.raises(SequenceError, match="no usable VOT ground truth"):
        read_vot_annotations(tmp_path)
    write_sequence(tmp_path, "bag")
    write(tmp_path / "list.txt", "")
    with pytest.raises(SequenceError, match=r"list\.txt' is empty"):
        read_vot_annotations(tmp_path)
    with pytest.raises(SequenceError, match="is a sequence itself"):
        read_vot_annotations(tmp_path / "bag")
