"""Every benchmark's own folder, as distributed, in small; and what is wrong with some."""

import json

import cv2
import numpy as np
import pytest

from siamjax.evaluation.benchmarks.layouts import SequenceError, find_targets
from siamjax.evaluation.benchmarks.members import member_count
from siamjax.evaluation.benchmarks.protocols import BENCHMARKS, get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.truths import read_truths
from tests.evaluation.conftest import boxes_along

T = 6
ONE_BASED = np.array([1, 1, 0, 0])


def write_frames(folder, count=T, pattern="{:08d}.jpg", first=1):
    """Frames whose grey level is ten times their place."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = np.full((48, 64, 3), 10 * i, np.uint8)
        assert cv2.imwrite(str(folder / pattern.format(i + first)), image)


def write_rows(file, rows, separator=","):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


def grey(sequence):
    return [round(sequence.read_frame(i).mean() / 10) for i in range(len(sequence))]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def load(data, name, *sequences):
    found, problems = load_sequences(data, get_benchmark(name), sequences)
    return {sequence.name: sequence for sequence in found}, problems


def test_otb_subsets_and_two_targets(data):
    for name in ("Basketball", "Coke", "Skating2", "Human4"):
        write_frames(data / name / "img", pattern="{:04d}.jpg")
        rows = boxes_along(T) + ONE_BASED
        if name == "Human4":  # as distributed: the first target's file is empty
            write_rows(data / name / "groundtruth_rect.1.txt", [])
            write_rows(data / name / "groundtruth_rect.2.txt", rows)
        elif name == "Skating2":
            for target in (1, 2):
                write_rows(data / name / f"groundtruth_rect.{target}.txt", rows, "\t")
        else:
            write_rows(data / name / "groundtruth_rect.txt", rows)
    everything, problems = load(data, "OTB100")
    names = ["Basketball", "Coke", "Human4-2", "Skating2-1", "Skating2-2"]
    assert list(everything) == names and not problems
    assert list(load(data, "OTB50")[0]) == [n for n in names if n != "Coke"]
    assert list(load(data, "CVPR13")[0]) == ["Basketball", "Coke"]
    np.testing.assert_array_equal(everything["Coke"].gt_xywh, boxes_along(T))


def test_vot_folder(data):
    polygon = [10, 10, 30, 10, 30, 20, 10, 20]
    for name, color in (("ants1", True), ("bag", False)):
        write_frames(data / name / "color" if color else data / name)
        write_rows(data / name / "groundtruth.txt", [polygon] * T)
        (data / name / "occlusion.tag").write_text("0\n1\n0\n0\n0\n0\n")
    (data / "list.txt").write_text("bag\nants1\n")
    found, problems = load(data, "VOT2018")
    assert list(found) == ["bag", "ants1"] and not problems
    sequence = found["ants1"]
    assert grey(sequence) == list(range(T))
    # a box of the polygon's own area and centre, one pixel larger: (20, 15), 21 x 11
    np.testing.assert_allclose(sequence.gt_xywh[0], [10, 10, 21, 11])
    np.testing.assert_allclose(sequence.gt_xywh[1], [10, 10, 20, 10])
    assert sequence.truth.tags["occlusion"].tolist() == [False, True, *[False] * 4]


def test_uav123_sequences_share_folders(data):
    for first in (751, 1627):
        write_frames(data / "data_seq/UAV123/car1", T, "{:06d}.jpg", first)
    for number in range(1, 1641):  # the others are not looked at
        (data / f"data_seq/UAV123/car1/{number:06d}.jpg").touch()
    write_frames(data / "data_seq/UAV123/bike1", T, "{:06d}.jpg")
    anno = data / "anno/UAV123"
    rows = boxes_along(T) + ONE_BASED
    rows[3] = np.nan
    for name in ("car1_2", "car1_3", "bike1"):
        write_rows(anno / f"{name}.txt", rows)
    write_rows(anno / "att" / "bike1.txt", [[1] + [0] * 10 + [1]])
    found, problems = load(data, "UAV123")
    assert list(found) == ["bike1", "car1_2", "car1_3"] and not problems
    # configSeqs.m: car1_2 starts at frame 751, car1_3 at 1627
    for name, first in (("car1_2", 751), ("car1_3", 1627), ("bike1", 1)):
        stems = [int(path.stem) for path in found[name].frame_paths]
        assert stems == list(range(first, first + T))
    assert found["bike1"].truth.attributes == ("SV", "SOB")
    assert np.isnan(found["bike1"].gt_xywh[3]).all()
    np.testing.assert_array_equal(found["bike1"].gt_xywh[:2], boxes_along(2))


def test_uav20l_has_whole_folders(data):
    write_frames(data / "data_seq/UAV123/car1", T, "{:06d}.jpg")
    write_rows(data / "anno/UAV20L/car1.txt", boxes_along(T))
    write_rows(data / "anno/UAV123/car1_1.txt", boxes_along(2))
    found, problems = load(data, "UAV20L")
    assert list(found) == ["car1"] and len(found["car1"]) == T and not problems


@pytest.mark.parametrize("in_categories", [True, False])
def test_lasot_takes_its_test_split(data, in_categories):
    for category, number in (("airplane", 1), ("airplane", 2), ("zebra", 10)):
        name = f"{category}-{number}"
        folder = data / category / name if in_categories else data / name
        write_frames(folder / "img")
        write_rows(folder / "groundtruth.txt", boxes_along(T) + ONE_BASED)
        (folder / "full_occlusion.txt").write_text("0,0,1,0,0,0\n")
        (folder / "out_of_view.txt").write_text("0,0,0,0,1,0\n")
        (folder / "nlp.txt").write_text("a thing\n")
    found, problems = load(data, "LaSOT")
    assert list(found) == ["airplane-1", "zebra-10"] and not problems
    assert found["zebra-10"].truth.visible.tolist() == [True, True, False, True, False, True]
    np.testing.assert_array_equal(found["zebra-10"].gt_xywh, boxes_along(T))
    assert member_count("LaSOT-test") == 280


def test_lasot_toolkits_annotation_folder(data):
    write_rows(data / "airplane-1.txt", boxes_along(T))
    write_rows(data / "absent/airplane-1.txt", [[0], [0], [1], [0], [0], [0]])
    write_rows(data / "att/airplane-1.txt", [[1] + [0] * 12 + [1]])
    (truth,), problems = read_truths(data, get_benchmark("lasot"))
    assert truth.visible.tolist() == [True, True, False, True, True, True]
    assert truth.attributes == ("IV", "ARC") and not problems


def test_otb_toolkits_annotation_folder(data):
    write_rows(data / "Car4.txt", boxes_along(T) + ONE_BASED)
    write_rows(data / "att/Car4.txt", [[1, 0, 1] + [0] * 8])
    (truth,), problems = read_truths(data, get_benchmark("otb"))
    assert truth.attributes == ("IV", "SV") and not problems


@pytest.mark.parametrize("inside", ["", "TEST"])
def test_trackingnet(data, inside):
    # frames are numbered from 0, without leading zeros
    write_frames(data / "TEST/frames/abc_1", 12, "{}.jpg", first=0)
    write_rows(data / "TEST/anno/abc_1.txt", boxes_along(1))
    found, problems = load(data / inside, "TrackingNet")
    sequence = found["abc_1"]
    assert [int(p.stem) for p in sequence.frame_paths] == list(range(12)) and not problems
    assert np.isfinite(sequence.gt_xywh[0]).all() and np.isnan(sequence.gt_xywh[1:]).all()
    assert len(sequence.truth) == 12


def write_got10k(folder, rows, cover=None):
    write_frames(folder)
    write_rows(folder / "groundtruth.txt", rows)
    if cover:
        (folder / "cover.label").write_text("".join(f"{v}\n" for v in cover))
        (folder / "absence.label").write_text("0\n" * T)
        (folder / "cut_by_image.label").write_text("0\n" * T)
    (folder / "meta_info.ini").write_text(
        "[METAINFO]\nurl: https://x.y/100%z\nmotion_class: run\nresolution: (1920, 1080)\n"
    )


@pytest.mark.parametrize("inside", ["", "val"])
def test_got10k_val(data, inside):
    name = "GOT-10k_Val_000001"
    write_got10k(data / "val" / name, boxes_along(T) + ONE_BASED, [8, 8, 0, 8, 5, 8])
    (data / "val" / "list.txt").write_text(f"{name}\n")
    found, problems = load(data / inside, "GOT-10k")
    assert found[name].truth.visible.tolist() == [True, True, False, True, True, True]
    assert found[name].truth.frame_size == (1920, 1080) and not problems
    np.testing.assert_array_equal(found[name].gt_xywh, boxes_along(T))


def test_got10k_test_has_first_boxes_alone(data):
    write_got10k(data / "test" / "GOT-10k_Test_000001", boxes_along(1))
    found, _ = load(data, "got10k-test")
    (sequence,) = found.values()
    assert len(sequence) == len(sequence.truth) == T


def vatic(boxes, start=0):
    for i, (x, y, w, h) in enumerate(boxes):
        yield f'0 {x:g} {y:g} {x + w:g} {y + h:g} {i + start} 0 0 0 "ball"\n'


@pytest.mark.parametrize("rate, rows", [(30, T), (30, 8 * T - 3), (30, T + 1), (240, T)])
def test_nfs_columns_and_rates(data, rate, rows):
    folder = data / "Gymnastics" / str(rate)
    write_frames(folder / "Gymnastics", pattern="{:05d}.jpg")
    (folder / "Gymnastics.txt").write_text("".join(vatic(boxes_along(rows))))
    found, problems = load(data, "nfs" if rate == 30 else "nfs240")
    step = 8 if rows > 2 * T else 1
    expected = boxes_along(rows)[::step][:T]
    np.testing.assert_allclose(found["Gymnastics"].gt_xywh, expected)
    assert not problems


def test_tcolor128_frame_ranges(data):
    folder = data / "Ball_ce1"
    write_frames(folder / "img", 12, "{:04d}.jpg")
    write_rows(folder / "Ball_ce1_gt.txt", boxes_along(T) + ONE_BASED)
    (folder / "Ball_ce1_frames.txt").write_text("4,9\n")
    found, problems = load(data, "TColor-128")
    assert grey(found["Ball_ce1"]) == [3, 4, 5, 6, 7, 8] and not problems


def test_dtb70_is_otbs_layout(data):
    write_frames(data / "Animal1" / "img", pattern="{:05d}.jpg")
    write_rows(data / "Animal1" / "groundtruth_rect.txt", boxes_along(T) + ONE_BASED)
    found, problems = load(data, "DTB70")
    np.testing.assert_array_equal(found["Animal1"].gt_xywh, boxes_along(T))
    assert not problems


def test_json_beside_the_frames(data):
    write_frames(data / "Ball/img", pattern="{:04d}.jpg")
    entry = {
        "gt_rect": (boxes_along(T) + ONE_BASED).tolist(),
        "img_names": [f"Ball/img/{i + 1:04d}.jpg" for i in range(T)],
        "attr": ["Occlusion"],
        "absent": [1, 1, 0, 1, 1, 1],
    }
    short = {**entry, "img_names": entry["img_names"][1:]}
    (data / "LaSOT.json").write_text(json.dumps({"Ball": entry, "Short": short}))
    found, (problem,) = load(data / "LaSOT.json", "LaSOT")
    assert list(found) == ["Ball"] and grey(found["Ball"]) == list(range(T))
    assert found["Ball"].truth.attributes == ("Occlusion",)
    assert found["Ball"].truth.visible.tolist() == [True, True, False, True, True, True]
    assert (
        str(problem) == "Short: skipped: expected 5 rows of ground truth, one per frame, read 6"
    )


@pytest.mark.parametrize(
    "benchmark", [b.name for b in BENCHMARKS if b.layout not in ("vot", "uav20l")]
)
def test_other_layouts_are_refused_in_one_line(data, benchmark):
    (data / "some" / "thing").mkdir(parents=True)
    with pytest.raises(SequenceError) as raised:
        load(data, benchmark)
    assert "\n" not in str(raised.value)


def test_flags_of_another_length_are_named(data):
    for name in ("airplane-1", "airplane-9"):
        write_frames(data / "airplane" / name / "img")
        write_rows(data / "airplane" / name / "groundtruth.txt", boxes_along(T))
    (data / "airplane" / "airplane-9" / "out_of_view.txt").write_text("0,0\n")
    found, (problem,) = load(data, "lasot")
    assert list(found) == ["airplane-1"]
    assert (
        str(problem)
        == "airplane-9: skipped: expected 6 values in out_of_view.txt, one per frame, read 2"
    )


def test_targets_without_ground_truth_are_named(data):
    write_frames(data / "frames/abc")
    write_rows(data / "anno/def.txt", boxes_along(1))
    targets, (problem,) = find_targets(data, get_benchmark("trackingnet"))
    assert [t.name for t in targets] == ["def"] and problem.sequence == "abc"
