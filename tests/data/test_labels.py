"""Annotations as people really bring them: nothing is guessed, nothing is lost without a word.

Each input is small and made here; the right value is counted by hand.
"""

import json
import os

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from siamjax.config import PrepareConfig
from siamjax.data.formats.annotations import NO_IDENTITY, NO_LINE, LayoutError
from siamjax.data.formats.coco import NO_BOX
from siamjax.data.formats.cutting import UNREADABLE, category_number, cut_clips
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.layouts import detect, find_clips
from siamjax.data.formats.mot import NO_TARGET, NO_TRACK, NOT_CONSIDERED, PLACED
from siamjax.data.formats.prepare import prepare
from siamjax.data.formats.yolo import PIXELS
from siamjax.errors import InputError
from tests import fuzzing
from tests.data import trees

FRAMES = PrepareConfig(keep="frames")
BOX = (20, 16, 24, 16)


def cut(layout, root):
    """Targets as (frame, track, box), and what was left out."""
    drops = Drops()
    found = [
        (target["frame"], target["track"], tuple(map(float, box)))
        for picture in cut_clips(find_clips(layout, root), 0, FRAMES, drops)
        for target, box in zip(picture.targets, picture.frame_xywh, strict=True)
    ]
    return found, drops


def unreadable(layout, root):
    """Why the only clip of a folder cannot be read."""
    found, drops = cut(layout, root)
    assert not found and drops.counts == {UNREADABLE: 1}, drops.counts
    return drops.examples[UNREADABLE][0]


def sequence(root, truth, rows):
    """Four images and what is said of them."""
    folder = root / "img" if truth == "groundtruth_rect.txt" else root
    trees.frames(folder, [f"{n:04d}.jpg" for n in range(1, 5)])
    trees.text(root / truth, rows)


@pytest.mark.parametrize("layout", ["otb", "vot", "got10k", "lasot", "trackingnet"])
@pytest.mark.parametrize("columns", [3, 5, 6, 7, 9])
def test_surplus_columns_are_refused(layout, columns, tmp_path):
    """A frame's number in front, or anything else: which four are the box, nobody knows."""
    names = [f"{n:04d}.jpg" for n in range(1, 5)]
    inside = {"otb": "img", "lasot": "img", "trackingnet": "frames/a"}.get(layout, "")
    truth = {"otb": "groundtruth_rect.txt", "trackingnet": "anno/a.txt"}
    trees.frames(tmp_path / inside, names)
    if layout == "trackingnet":
        (tmp_path / "anno").mkdir()
    file = tmp_path / truth.get(layout, "groundtruth.txt")
    rows = [[n, *trees.moving(n - 1), 1, 1, 1, 1][:columns] for n in range(1, 5)]
    trees.text(file, [" ".join(map(str, row)) for row in rows])
    shown = ", ".join(map(str, rows[0]))
    assert f"{file.name}' line 1: {columns} values ('{shown}')" in unreadable(layout, tmp_path)


@pytest.mark.parametrize("columns", [8, 10])
def test_polygons_are_vots_alone(columns, tmp_path):
    x, y, w, h = BOX
    polygon = [x, y, x + w, y, x + w, y + h, x + 9, y + h, x, y + h][-columns:]
    polygon[:2] = x, y
    rows = [",".join(map(str, polygon))] * 4
    sequence(tmp_path / "otb" / "a", "groundtruth_rect.txt", rows)
    sequence(tmp_path / "vot" / "a", "groundtruth.txt", rows)
    assert f"line 1: {columns} values" in unreadable("otb", tmp_path / "otb")
    found, drops = cut("vot", tmp_path / "vot")
    assert not drops.total and len(found) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("20,5;16,5;24,0;16,0", "commas and semicolons"),
        ("20,5 16,5 24,0 16,0", "commas and blanks"),
        ("20,,24,16", "an empty cell"),
        ("20,16,24,1e999", "beyond"),
        ("", "no values"),
        ("12,3", "2 values"),
        ("x,y,w,h", "not a number"),
    ],
)
def test_a_line_that_can_be_read_in_two_ways(row, message, tmp_path):
    sequence(tmp_path / "a", "groundtruth.txt", ["20,16,24,16", row, *["20,16,24,16"] * 2])
    said = unreadable("vot", tmp_path)
    assert "groundtruth.txt' line 2" in said and message in said


def test_a_polygon_with_a_hole_in_its_numbers_is_no_box(tmp_path):
    """The smallest of some numbers and NaN depends on their order."""
    sequence(tmp_path / "a", "groundtruth.txt", ["5,5,nan,5,30,30,5,30", *["20,16,24,16"] * 3])
    found, drops = cut("vot", tmp_path)
    assert len(found) == 3 and drops.counts == {"there is no box": 1}


def test_flags_of_another_length_are_refused(tmp_path):
    for layout, trim in (
        ("got10k", "train/GOT-10k_Train_000001/absence.label"),
        ("got10k", "train/GOT-10k_Train_000001/cover.label"),
        ("vot", "bag/occlusion.tag"),
    ):
        root = tmp_path / trim.replace("/", "-")
        trees.WRITERS[layout](root)
        trees.text(root / trim, ["0", "0", "0"])
        _, drops = cut(layout, root)
        assert "holds 3 values for 4 boxes" in drops.examples[UNREADABLE][0]


def test_pictures_behind_the_last_line_are_counted_apart(tmp_path):
    sequence(tmp_path / "a", "groundtruth.txt", ["20,16,24,16"] * 3)
    assert cut("vot", tmp_path)[1].counts == {NO_LINE: 1}


def test_an_empty_truth_beside_others_is_no_target(tmp_path):
    """OTB's Human4 has one."""
    sequence(tmp_path / "a", "groundtruth_rect.1.txt", [])
    sequence(tmp_path / "a", "groundtruth_rect.2.txt", ["20,16,24,16"] * 4)
    trees.frames(tmp_path / "a" / "img", [f"{n:04d}.jpg" for n in range(1, 5)])
    (tmp_path / "a" / "._groundtruth_rect.3.txt").write_bytes(b"\0\5\x16\7")
    found, drops = cut("otb", tmp_path)
    assert not drops.total and {track for _, track, _ in found} == {1}


# --- MOT


def mot(root, rows, pictures=range(1, 5), name="{:06d}.jpg"):
    trees.frames(root / "img1", [name.format(n) for n in pictures])
    trees.text(root / "gt" / "gt.txt", rows)


def moved(number, frame, *more, track=1):
    x, y, w, h = trees.moving(number)
    return ",".join(map(str, (frame, track, x + 1, y + 1, w, h, *more)))


@pytest.mark.parametrize(
    "more",
    [
        (),
        (1,),
        (0.5, 11),  # somebody's own class
        (1, 8.2, 12.5, 0.4),  # MOT15: places in the world
        (1, -3.2, 0.2, 0.5),
        (1, 2.5, 0, 0.5),
        (1, -1, -1, -1),
        (1, 8, 0, 2),  # VisDrone: class, truncation, occlusion
        (1, 11, 1.0),  # with visibility, but no video of MOT's own
    ],
)
def test_columns_behind_the_box_are_taken_for_what_they_are(more, tmp_path):
    mot(tmp_path / "mine", [moved(n, n + 1, *more) for n in range(4)])
    found, drops = cut("mot", tmp_path)
    assert not drops.total
    assert found == [(n + 1, 1, tuple(map(float, trees.moving(n)))) for n in range(4)]


def test_what_mot_leaves_out_is_counted(tmp_path):
    rows = [moved(0, 1, 1, kind, 1.0, track=kind) for kind in range(1, 14)]
    rows += [moved(0, 2, 0, 1, 1.0), moved(0, 3, 1, 1, 0.0), moved(0, 4, 1, 1, 1.0, track=-1)]
    mot(tmp_path / "MOT17-02-DPM", rows)
    mot(tmp_path / "mine", rows)
    found, drops = cut("mot", tmp_path)
    no_target = {k: n for k, n in drops.counts.items() if k.startswith(NO_TARGET)}
    assert len(no_target) == 6 and set(no_target.values()) == {1}
    others = {NOT_CONSIDERED: 2, NO_TRACK: 2, "the target is flagged hidden": 2}
    assert {k: n for k, n in drops.counts.items() if k not in no_target} == others
    assert len(found) == 7 + 13


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((1, 2, 3, 4, 5), "11 columns"),
        ((2, 1, 3), "no class and visibility"),  # UAVDT: the last is a class
        ((1, 1.5, 1), "no class and visibility"),
    ],
)
def test_columns_that_nobody_knows(more, message, tmp_path):
    mot(tmp_path / "a", [moved(n, n + 1, *more) for n in range(4)])
    said = unreadable("mot", tmp_path)
    assert "gt.txt' line 1" in said and message in said and "11, 13, 24, 16" in said


@pytest.mark.parametrize(
    "row", ["1,1,5,5,20", "1,1,5,5,20,20,1", "1.5,1,5,5,20,20", "1,x,5,5,9,9"]
)
def test_lines_of_mot_that_are_none(row, tmp_path):
    mot(tmp_path / "a", [moved(n, n + 1) for n in range(3)] + [row])
    assert "gt.txt' line 4" in unreadable("mot", tmp_path)


@pytest.mark.parametrize(
    ("pictures", "frames"),
    [
        (range(1, 5), range(1, 5)),
        (range(0, 4), range(1, 5)),  # matched by order
        (range(0, 4), range(0, 4)),
        (range(1, 5), range(0, 4)),  # by order, from 0
        (range(100, 104), range(1, 5)),
        (range(100, 104), range(100, 104)),  # by name
        (range(0, 8, 2), range(0, 8, 2)),
        (range(1, 9, 2), range(1, 9, 2)),
    ],
)
def test_frames_are_matched_where_one_way_fits(pictures, frames, tmp_path):
    rows = [moved(n, frame) for n, frame in enumerate(frames)]
    mot(tmp_path / "a", rows, pictures, "frame_{:06d}.PNG")
    found, drops = cut("mot", tmp_path)
    assert not drops.total
    by_place = [*pictures] != [*frames]
    assert drops.remarks == ({PLACED: 4} if by_place else {})
    assert [box for *_, box in found] == [tuple(map(float, trees.moving(n))) for n in range(4)]
    bright = find_clips("mot", tmp_path)[0].read()
    assert [s.image.name for s in bright] == [f"frame_{n:06d}.PNG" for n in pictures]


@pytest.mark.parametrize(
    ("pictures", "frames", "ranges"),
    [
        (range(0, 4), range(1, 4), "frames 1 to 3 in gt.txt for 4 images named 0 to 3"),
        (range(0, 4), range(0, 5), "frames 0 to 4 in gt.txt for 4 images named 0 to 3"),
        (range(1, 5), range(0, 5), "frames 0 to 4 in gt.txt for 4 images named 1 to 4"),
        (range(2, 6), range(2, 5), "frames 2 to 4 in gt.txt for 4 images named 2 to 5"),
        (range(1, 9, 2), range(1, 5), "frames 1 to 4 in gt.txt for 4 images named 1 to 7"),
        ((1, 2, 4, 5), range(1, 4), "frames 1 to 3 in gt.txt for 4 images named 1 to 5"),
        (
            range(9, 13),
            range(40, 44),
            "frames 40 to 43 in gt.txt for 4 images named 9 to 12",
        ),
    ],
)
def test_frames_that_may_be_others_are_refused(pictures, frames, ranges, tmp_path):
    mot(tmp_path / "a", [moved(0, frame) for frame in frames], pictures)
    assert ranges in unreadable("mot", tmp_path)


def test_cvats_frames_count_from_one(tmp_path):
    """The list of labels beside the ground truth says who wrote it and names the classes."""
    rows = [moved(n + 1, n + 2, 1, 2, 1.0) for n in range(2)]
    mot(tmp_path / "a", rows, range(0, 4), "frame_{:06d}.PNG")
    trees.text(tmp_path / "a" / "gt" / "labels.txt", ["car", "fox"])
    (clip,) = find_clips("mot", tmp_path)
    found = clip.read()
    assert [s.image.name for s in found] == ["frame_000001.PNG", "frame_000002.PNG"]
    assert {s.category for s in found} == {"fox"}


def test_frames_beyond_the_pictures_are_missing_pictures(tmp_path):
    mot(tmp_path / "a", [moved(0, frame) for frame in (1, 2, 7)])
    assert cut("mot", tmp_path)[1].counts == {"the image is missing": 1}
    mot(tmp_path / "b", [moved(0, 1)], [1, 2], "{}_000003.jpg")
    _, drops = cut("mot", tmp_path)
    assert "or share one" in drops.examples[UNREADABLE][0]


# --- YOLO

X, Y, W, H = (20 + 12) / 96, (16 + 8) / 64, 24 / 96, 16 / 64
YOLO = f"0 {X} {Y} {W} {H}"


@pytest.mark.parametrize("more", ["", " 0.91", " 7", " 0.91 1", " 0.87 12", " 1 0", " 0 3"])
def test_confidence_and_track_make_no_polygon(more, tmp_path):
    trees.picture(tmp_path / "images" / "p.jpg")
    trees.text(tmp_path / "labels" / "p.txt", [YOLO + more])
    found, drops = cut("yolo", tmp_path)
    assert not drops.total
    np.testing.assert_allclose(found[0][2], BOX)


@pytest.mark.parametrize(
    "row",
    [
        "0 0.2 0.2 0.8 0.2 0.5 0.9",  # a triangle: no track is 0.9
        "0 0.2 0.2 0.8 0.2 0.5 1",  # touches the lower border, and no such box would fit
        "0 .2 .2 .8 .2 .8 .9 .2 .9",
        "0 .2 .2 .8 .2 .8 .9 .5 .7 .2 .9",
    ],
)
def test_polygons_where_they_can_be_some(row, tmp_path):
    trees.picture(tmp_path / "images" / "p.jpg")
    trees.text(tmp_path / "labels" / "p.txt", [row])
    found, drops = cut("yolo", tmp_path)
    assert not drops.total
    bottom = 1.0 if row.endswith(" 1") else 0.9
    np.testing.assert_allclose(found[0][2], [19.2, 12.8, 57.6, (bottom - 0.2) * 64])


@pytest.mark.parametrize(
    "row",
    [
        "0 0.5 0.5 0.2",
        YOLO + " 1.5",
        YOLO + " -1",
        YOLO + " 1.5 3",
        YOLO + " 0.9 1 2",  # eight numbers
        "0 10 20 30 20 30 60 10 60",  # a polygon in pixels
        "-1" + YOLO[1:],
        "0.5" + YOLO[1:],
        "2" + YOLO[1:],  # two classes are named
        "cat" + YOLO[1:],
    ],
)
def test_lines_of_yolo_that_are_none(row, tmp_path):
    trees.picture(tmp_path / "images" / "p.jpg")
    trees.text(tmp_path / "labels" / "p.txt", [YOLO, row])
    trees.text(tmp_path / "classes.txt", ["cat", "dog"])
    assert "p.txt' line 2: " in unreadable("yolo", tmp_path)


def test_pixels_are_no_fractions(tmp_path):
    trees.picture(tmp_path / "images" / "p.jpg")
    trees.text(tmp_path / "labels" / "p.txt", ["0 32 24 24 16", YOLO])
    (tmp_path / "labels" / "._p.txt").write_bytes(b"\0\5\x16\7")
    found, drops = cut("yolo", tmp_path)
    assert len(found) == 1 and drops.counts == {PIXELS: 1}


# --- COCO


def coco(root, images, annotations, **more):
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": images, "annotations": annotations, "categories": categories} | more
    for image in images:
        if isinstance(image.get("file_name"), str):
            trees.picture(root / "images" / image["file_name"].replace("\\", "/"), box=BOX)
    root.mkdir(exist_ok=True)
    (root / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def video(frames=3, **more):
    return [
        {"id": n, "file_name": f"v/{n}.jpg", "video_id": 1, "frame_id": n} | more
        for n in range(frames)
    ]


def test_videos_without_tracks_are_single_pictures(tmp_path):
    """Two boxes that change places in the list are no two tracks, but six targets."""
    one, two = {"bbox": list(BOX)}, {"bbox": [60, 30, 20, 20]}
    boxes = [
        {"image_id": n, "category_id": 1} | b
        for n in range(3)
        for b in (one, two)[:: 1 - 2 * (n % 2)]
    ]
    coco(tmp_path, video(), boxes)
    found, drops = cut("coco", tmp_path)
    assert not drops.total and len({track for _, track, _ in found}) == len(found) == 6
    assert drops.remarks == {NO_IDENTITY: 6} and "6  a target of a video" in next(drops.told())
    boxes = [box | {"instance_id": 7 + (box["bbox"] == two["bbox"])} for box in boxes]
    coco(tmp_path, video(), boxes)
    found, _ = cut("coco", tmp_path)
    assert {(track, box[0]) for _, track, box in found} == {(7, 20), (8, 60)}
    # one of them without: no track of another takes it in
    del boxes[3]["instance_id"]
    coco(tmp_path, video(), boxes)
    found, _ = cut("coco", tmp_path)
    assert sorted(track for _, track, _ in found) == [7, 7, 8, 8, 8, 9]


def test_tracks_may_have_names(tmp_path):
    boxes = [{"image_id": n, "track_id": t, "bbox": list(BOX)} for n in range(3) for t in "ab"]
    coco(tmp_path, video(), boxes)
    found, _ = cut("coco", tmp_path)
    assert sorted(track for _, track, _ in found) == [0, 0, 0, 1, 1, 1]


def test_frames_without_numbers_go_by_their_names(tmp_path):
    images = [{k: v for k, v in image.items() if k != "frame_id"} for image in video(12)]
    boxes = [{"image_id": n, "track_id": 1, "bbox": [20 + n, 16, 24, 16]} for n in range(12)]
    coco(tmp_path, images, boxes)
    assert [(f, b[0]) for f, _, b in cut("coco", tmp_path)[0]] == [
        (n, 20 + n) for n in range(12)
    ]
    coco(tmp_path, images[::-1], boxes)
    with pytest.raises(LayoutError, match="no `frame_id`, and are not in the order"):
        find_clips("coco", tmp_path)


def test_youtube_vis_own_form(tmp_path):
    """Videos with names of files, and annotations that are tracks with a box per frame."""
    names = [f"v1/{n:05d}.jpg" for n in range(3)]
    for name in names:
        trees.picture(tmp_path / "train" / "JPEGImages" / name)
    boxes = [[[20, 16, 24, 16], None, [26, 16, 24, 16]], [None, [60, 30, 20, 20], None]]
    content = {
        "videos": [{"id": 1, "file_names": names, "length": 3}],
        "annotations": [
            {"id": 5 + n, "video_id": 1, "category_id": 1, "iscrowd": 0, "bboxes": b}
            for n, b in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    found, drops = cut("coco", tmp_path)
    assert not drops.total
    assert found == [(0, 5, BOX), (1, 6, (60, 30, 20, 20)), (2, 5, (26, 16, 24, 16))]
    content["annotations"][0]["bboxes"].pop()
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(LayoutError, match="has 2 bboxes, and there is 3 file_names"):
        find_clips("coco", tmp_path)


def test_odd_things_in_cocos_form(tmp_path):
    """What can be meant in one way is read, the rest counted by reason."""
    names = ["a.jpg", "sub\\e.jpg", "猫 frame.JPG"]
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    box = {"bbox": list(BOX), "category_id": 1}
    polygon = [20, 16, 44, 16, 44, 32, 20, 32]
    good = [
        {"image_id": 0} | box,
        {"image_id": 0.0, "bbox": ["20", "16", "24", "16"], "category_id": "1"},
        {"image_id": "0", "category_id": 1.0, "segmentation": [polygon]},
        {"image_id": 1} | box,
        {"image_id": 2, "iscrowd": False} | box,
    ]
    bad = [
        {"image_id": 0, "bbox": [9.9, 8.5, 5.5, 0.0]},
        {"image_id": 0, "bbox": [9, 8, 5, -3]},
        {"image_id": 0, "bbox": None},
        {"image_id": 0, "bbox": [9, 8, None, 5]},
        {"image_id": 0, "segmentation": {"size": [64, 96], "counts": [0, 10]}},
        {"image_id": 0, "bbox": [1, 2, 3]},
        {"image_id": 0, "bbox": [True, 2, 3, 4]},
        {"image_id": 0, "bbox": "1 2 3 4"},
        {"image_id": 0, "bbox": {"x": 1}},
        {"image_id": 2, "iscrowd": True} | box,
        {"image_id": 77} | box,
    ]
    coco(tmp_path, images, good + bad)
    found, drops = cut("coco", tmp_path)
    assert [tuple(np.round(b)) for *_, b in found] == [BOX] * 5
    assert drops.counts == {
        "the box has no size": 2,
        "there is no box": 3,
        NO_BOX: 4,
        "the target is flagged crowd": 1,
        "the image is missing": 1,
    }
    clips = find_clips("coco", tmp_path)
    kept = {s.category for clip in clips for s in clip.read() if s.box_xywh == BOX}
    assert category_number("cat") in map(category_number, kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"id": 1}]}, r"`file_name` \(=None\) is not a file name"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}] * 2}, "two images have the id 1"),
        ({"images": {"id": 1}}, "`images` must be a list"),
        ({"images": [1]}, "each of `images` must be an object"),
        ({"annotations": [{"bbox": [1, 2, 3, 4]}]}, "`image_id` is missing"),
        ({"annotations": None}, "`annotations` must be a list"),
        ({"images": video(frame_id=3)}, "two images of video 1 have the frame_id 3"),
        ({"images": video(frame_id="x")}, "'x' is not a number"),
        ({"categories": [{"name": "cat"}]}, "`id` is missing"),
    ],
)
def test_what_is_not_cocos_form_is_named(change, message, tmp_path):
    trees.coco(tmp_path)
    content = {"images": [], "annotations": [], "categories": []} | change
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    with pytest.raises(
        LayoutError, match=f"COCO's layout: .*instances_val2017.json': .*{message}"
    ):
        find_clips("coco", tmp_path)


def test_json_beside_videos_does_not_make_them_cocos(tmp_path):
    """PySOT's own lists lie beside OTB's folders."""
    trees.otb(tmp_path)
    (tmp_path / "OTB100.json").write_text('{"Alpha": {"gt_rect": []}}')
    assert detect(tmp_path) == "otb"


def test_other_json_is_named_by_its_keys(tmp_path):
    (tmp_path / "x.json").write_text('{"shapes": [], "imagePath": "a.jpg"}')
    with pytest.raises(LayoutError, match=r"x\.json'.*the file has the keys .*'shapes'"):
        find_clips("coco", tmp_path)
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(
        LayoutError, match=r"x\.json' is not valid json: it is nested too deeply"
    ):
        find_clips("coco", tmp_path)
    (tmp_path / "._y.json").write_bytes(b"\0\5\x16\7")  # what a Mac leaves
    (tmp_path / "x.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(LayoutError, match="holds nothing"):
        find_clips("coco", tmp_path)


# --- XML


@pytest.mark.parametrize("value", ["0x10", "1e999", "ten", "1,5", "٣"])
def test_numbers_in_xml_that_are_none(value, tmp_path):
    trees.pascal_voc(tmp_path)
    box = {"name": "cat", "box": (value, 5, 20, 20)}
    trees.xml(tmp_path / "Annotations" / "000000.xml", [box])
    found, drops = cut("pascal_voc", tmp_path)
    assert len(found) == 1 and drops.counts == {UNREADABLE: 1}
    assert "000000.xml' object 1: " in drops.examples[UNREADABLE][0]


def test_boxes_in_xml_without_size_are_counted(tmp_path):
    trees.pascal_voc(tmp_path)
    boxes = [(20, 5, 10, 20), ("", 5, 10, 20), ("nan", 5, 10, 20)]
    objects = [{"name": "cat", "occluded": "Unspecified", "box": box} for box in boxes]
    trees.xml(tmp_path / "Annotations" / "000000.xml", objects)
    _, drops = cut("pascal_voc", tmp_path)
    assert drops.counts == {"the box has no size": 1, "there is no box": 2}
    for encoding in ("foo", "utf-7", "big5"):
        head = f'<?xml version="1.0" encoding="{encoding}"?>'
        (tmp_path / "Annotations" / "000000.xml").write_text(head + "<annotation></annotation>")
        _, drops = cut("pascal_voc", tmp_path)
        assert set(drops.counts) <= {UNREADABLE, "nothing is annotated in it"}


def test_vid_objects_without_a_track_are_single_pictures(tmp_path):
    trees.imagenet_vid(tmp_path)
    folder = next((tmp_path / "Annotations/VID/train").glob("*/*"))
    for number in range(6):
        boxes = [trees.pixels(number), (40, 20, 80, 60)][:: 1 - 2 * (number % 2)]
        trees.xml(folder / f"{number:06d}.xml", [{"name": "n1", "box": box} for box in boxes])
    found, _ = cut("imagenet_vid", tmp_path)
    tracks = [track for _, track, _ in found]
    assert len(tracks) == 13 and len(set(tracks)) >= 12


# --- anything

TEXTS = [
    ("otb", "Alpha/groundtruth_rect.txt"),
    ("vot", "bag/groundtruth.txt"),
    ("vot", "bag/occlusion.tag"),
    ("got10k", "train/GOT-10k_Train_000001/groundtruth.txt"),
    ("got10k", "train/GOT-10k_Train_000001/meta_info.ini"),
    ("lasot", "airplane/airplane-1/out_of_view.txt"),
    ("trackingnet", "TRAIN_0/anno/abc-1.txt"),
    ("mot", "train/MOT17-02/gt/gt.txt"),
    ("mot", "train/MOT17-02/gt/labels.txt"),
    ("yolo", "labels/train/a0.txt"),
    ("yolo", "classes.txt"),
    ("youtube_bb", "yt_bb_detection_train.csv"),
    ("crops", "index.jsonl"),
    ("coco", "annotations/instances_val2017.json"),
    ("pascal_voc", "Annotations/000000.xml"),
    ("imagenet_det", "devkit/data/map_det.txt"),
]


def read_all(layout, root):
    """Reads a folder as a preparation does; only our own errors may come of it."""
    try:
        clips = find_clips(layout, root)
    except InputError:
        return
    list(cut_clips(clips, 0, FRAMES, Drops()))


@pytest.mark.parametrize(("layout", "name"), TEXTS)
@fuzzing.quick
@hypothesis.given(content=fuzzing.contents)
def test_nothing_but_our_own_error_comes_of_a_text(layout, name, content, tmp_path):
    root = tmp_path / "in"
    if not root.exists():
        trees.WRITERS[layout](root)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    read_all(layout, root)


JSON = {
    "coco": {
        "images": [
            {"id": 1, "file_name": "a.jpg", "video_id": 1, "frame_id": 0},
            {"id": 2, "file_name": "b.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "bbox": [1, 2, 9, 9], "category_id": 1, "track_id": 3},
            {"id": 2, "image_id": 2, "iscrowd": 0, "segmentation": [[1, 2, 30, 4, 5, 60]]},
        ],
        "categories": [{"id": 1, "name": "cat"}],
    },
    "youtube_vis": {
        "videos": [{"id": 1, "file_names": ["v/a.jpg", "v/b.jpg"]}],
        "annotations": [{"id": 4, "video_id": 1, "bboxes": [[1, 2, 9, 9], None]}],
    },
}


@pytest.mark.parametrize("form", JSON)
@fuzzing.quick
@hypothesis.given(data=st.data())
def test_nothing_but_our_own_error_comes_of_json(form, data, tmp_path):
    content = data.draw(fuzzing.damaged(JSON[form]))
    (tmp_path / "x.json").write_text(json.dumps(content))
    read_all("coco", tmp_path)


@fuzzing.quick
@hypothesis.given(
    fuzzing.damaged(
        {"file": "a.jpg", "box_xywh_in_crop": [1, 2, 3, 4], "frame": "4", "is_video": True,
         "object": 1, "source": "own", "video": "v", "category": "fox"}
    )
)  # fmt: skip
def test_nothing_but_our_own_error_comes_of_an_index(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("crops")
    (root / "index.jsonl").write_text(json.dumps(content) + "\n")
    read_all("crops", root)


@fuzzing.quick
@hypothesis.given(st.lists(st.lists(fuzzing.words, min_size=10, max_size=10), max_size=3))
def test_nothing_but_our_own_error_comes_of_a_csv(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("csv")
    text = "".join(",".join(row) + "\n" for row in rows).encode("utf-8", "surrogatepass")
    (root / "yt_bb_detection_train.csv").write_bytes(text)
    read_all("youtube_bb", root)


def test_names_that_are_no_text_are_shown_and_prepared(tmp_path):
    """Folders in another encoding, and with what a terminal would obey."""
    for name in (b"caf\xe9", b"two\nlines\x1b[31m"):
        folder = tmp_path / "in" / os.fsdecode(name)
        trees.frames(folder, ["1.jpg", "2.jpg"])
        trees.text(folder / "groundtruth.txt", ["20,16,24,16", "20,16,2,16"])
    done = prepare("vot", tmp_path / "in", tmp_path / "set", PrepareConfig(min_side=4))
    (line,) = done.drops.lines()
    assert "caf\\udce9, 2.jpg" in line and r"two\nlines\x1b[31m, 2.jpg" in line
    assert done.targets == 2


def test_numbers_of_tracks_that_records_cannot_keep(tmp_path):
    """Beyond 2 ** 53 two of them would be one: refused, or in COCO's form given others."""
    big = 2**60
    mot(tmp_path / "m", [moved(0, 1, track=big)])
    assert "the largest number of a frame or track" in unreadable("mot", tmp_path / "m")
    boxes = [
        {"image_id": n, "track_id": big + t, "bbox": list(BOX)}
        for n in range(2)
        for t in (0, 1)
    ]
    coco(tmp_path / "c", video(2), boxes)
    found, _ = cut("coco", tmp_path / "c")
    assert sorted(track for _, track, _ in found) == [0, 0, 1, 1]
