"""Layouts: what is read of small trees of each, with the traps of the real sets."""

import json
import shutil

import cv2
import numpy as np
import pytest

from siamjax.config import PrepareConfig
from siamjax.data.crops import crop_target, encode_jpeg
from siamjax.data.formats.annotations import NO_LINE, LayoutError
from siamjax.data.formats.cutting import (
    LOOKS_NORMALISED,
    OTHER_SIZE,
    REACHES_FAR,
    category_number,
    cut_clips,
)
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.layouts import LAYOUTS, detect, find_clips
from siamjax.data.formats.mot import NO_TARGET, NOT_CONSIDERED
from siamjax.images import decode_image
from tests.data import trees

FRAMES = PrepareConfig(keep="frames")


def cut(layout, root, settings=FRAMES):
    drops = Drops()
    return list(cut_clips(find_clips(layout, root), 0, settings, drops)), drops


def boxes_of(pictures):
    return [tuple(np.asarray(b, float)) for p in pictures for b in p.frame_xywh]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kept_box_lies_on_its_block(layout, tmp_path):
    """The bright block, found in the image itself, is the box to a pixel or half of one."""
    count = trees.WRITERS[layout](tmp_path)
    assert detect(tmp_path) == layout
    pictures, _ = cut(layout, tmp_path)
    assert sum(len(p.targets) for p in pictures) == count
    found = 0
    for picture in pictures:
        bright = decode_image(picture.image).min(-1) > 200
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        block = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
        found += any(np.allclose(b, block, atol=1.01) for b in picture.frame_xywh)
    assert found == len(pictures) or layout in ("otb", "imagenet_vid", "mot")
    assert found >= 3 or layout in ("got10k", "lasot", "pascal_voc", "yolo")


@pytest.mark.parametrize(
    "layout", ["otb", "vot", "lasot", "pascal_voc", "coco", "mot", "crops"]
)
def test_first_pixel(layout, tmp_path):
    """Sets that count from 1 are moved, those that count from 0 are not: exactly."""
    trees.WRITERS[layout](tmp_path)
    pictures, _ = cut(layout, tmp_path)
    assert tuple(map(float, trees.moving(0))) in boxes_of(pictures)


def test_what_is_dropped_is_counted(tmp_path):
    """By layout: reasons, how often, and an example."""
    expected = {
        "otb": {"there is no box": 2, NO_LINE: 1},
        "vot": {"there is no box": 1, "the target is flagged hidden": 1},
        "got10k": {"the target is flagged absent": 1, "the target is flagged hidden": 1},
        "lasot": {"the target is flagged absent": 1, "the target is flagged hidden": 1},
        "trackingnet": {"the image is missing": 3},
        "imagenet_det": {"the box has no size": 3, "nothing is annotated in it": 1},
        "coco": {
            "the target is flagged crowd": 1,
            "the box has no size": 1,
            "the image is missing": 1,
        },
        "youtube_bb": {
            "the target is flagged absent": 1,
            "the line is malformed": 1,
            "the image is missing": 1,
        },
        "yolo": {"there is no box": 1, "the image is missing": 1},
        "mot": {
            "the target is flagged hidden": 1,
            NOT_CONSIDERED: 3,
            f"{NO_TARGET} (MOT's 11, full occluder)": 3,
        },
        "crops": {"the image is missing": 1},
    }
    for layout, reasons in expected.items():
        root = tmp_path / layout
        root.mkdir()
        trees.WRITERS[layout](root)
        _, drops = cut(layout, root)
        for reason, count in reasons.items():
            assert drops.counts.get(reason) == count, (layout, drops.counts)
        assert all(drops.examples[r] for r in drops.counts)


def test_youtube_bb_boxes_are_pixels(tmp_path):
    """The trap of the published json: boxes stay fractions, and every aspect is wrong."""
    trees.youtube_bb(tmp_path)
    pictures, _ = cut("youtube_bb", tmp_path)
    np.testing.assert_allclose(boxes_of(pictures), [trees.moving(n) for n in range(3)])
    crops, _ = cut("youtube_bb", tmp_path, PrepareConfig())
    for crop in crops:
        w, h = np.diff(crop.targets[0]["box_xyxy"].reshape(2, 2), axis=0)[0]
        assert w / h == pytest.approx(24 / 16, rel=1e-4)
    # a track's frame numbers are seconds
    assert [p.targets[0]["frame"] for p in pictures] == [238, 239, 240]


def test_vid_keeps_both_parts_of_a_track(tmp_path):
    """The trap of the reference preparation: a later part of a track replaces an earlier."""
    trees.imagenet_vid(tmp_path)
    pictures, _ = cut("imagenet_vid", tmp_path)
    own = [t for p in pictures for t in p.targets if t["video"] == 0 and t["track"] == 0]
    assert [t["frame"] for t in own] == [0, 1, 3, 5]
    assert {t["category"] for t in own} == {category_number("dog")}


def test_vid_crop_is_the_reference_recipe(tmp_path):
    """Written out: middle and size of the corners as they stand in the file."""
    trees.imagenet_vid(tmp_path)
    crops, _ = cut("imagenet_vid", tmp_path, PrepareConfig())
    (first,) = [
        c for c in crops if (c.targets[0]["frame"], c.targets[0]["track"]) == (0, 0)
        and c.targets[0]["video"] == 0
    ]  # fmt: skip
    x1, y1, x2, y2 = trees.pixels(0)
    w, h = x2 - x1, y2 - y1
    context = (w + h) / 2
    side = np.sqrt((w + context) * (h + context)) * 511 / 127
    a, b = 510 / side, np.array([(x1 + x2) / 2, (y1 + y2) / 2]) - side / 2
    root = tmp_path / "Data/VID/train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
    frame = cv2.imread(str(root / "000000.JPEG"))
    expected = cv2.warpAffine(
        frame,
        np.array([[a, 0, -a * b[0]], [0, a, -a * b[1]]]),
        (511, 511),
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=frame.mean((0, 1)).tolist(),
    )
    away = np.abs(decode_image(first.image).astype(int) - expected)
    assert away.mean() < 1  # JPEG


def test_flags_are_kept_on_request(tmp_path):
    trees.lasot(tmp_path)
    pictures, drops = cut("lasot", tmp_path, PrepareConfig(keep="frames", drop=()))
    assert len(pictures) == 4 and not drops.total
    none = PrepareConfig(keep="frames", drop=("occluded",))
    root = tmp_path / "vid"
    trees.imagenet_vid(root)
    pictures, _ = cut("imagenet_vid", root, none)
    assert sum(len(p.targets) for p in pictures) == 5


def _tell_size(layout, root, width, height):
    """Writes the size of the images into a tree's annotations, where the layout has it."""
    if layout == "mot":
        text = f"[Sequence]\nimWidth={width}\nimHeight={height}\n"
        (root / "train" / "MOT17-02" / "seqinfo.ini").write_text(text)
    for file in root.rglob("*.json"):
        content = json.loads(file.read_text())
        for image in content["images"]:
            image |= {"width": width, "height": height}
        file.write_text(json.dumps(content))
    for file in root.rglob("*.xml"):
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        file.write_text(file.read_text().replace("<annotation>", f"<annotation>{size}"))


@pytest.mark.parametrize(
    "layout", ["coco", "mot", "pascal_voc", "imagenet_vid", "imagenet_det"]
)
def test_pictures_that_were_resized_after_they_were_annotated(layout, tmp_path):
    count = trees.WRITERS[layout](tmp_path)
    # the last is what tools write that did not look; sizes may be off by rounding
    told = ((trees.WIDTH, trees.HEIGHT), (trees.WIDTH + 1, trees.HEIGHT - 1), (0, 0))
    for size in (*told, (2 * trees.WIDTH, 2 * trees.HEIGHT), (trees.HEIGHT, trees.WIDTH)):
        shutil.rmtree(tmp_path)
        trees.WRITERS[layout](tmp_path)
        _tell_size(layout, tmp_path, *size)
        pictures, drops = cut(layout, tmp_path)
        kept = sum(len(p.targets) for p in pictures)
        assert (kept, drops.counts.get(OTHER_SIZE, 0)) == (
            (count, 0) if size in told else (0, count)
        )


def test_small_flat_and_strange_boxes(tmp_path):
    """Fractions and corners where pixels and sizes are expected, NaN, and what is too small."""
    names = [f"{n:04d}.jpg" for n in range(1, 7)]
    trees.frames(tmp_path / "a" / "img", names)
    rows = ["50,40,3,30", "2,2,90,5", "0.1,0.2,0.5,0.4", "60,50,90,60", "nan,1,2,3", "9,9,9,9"]
    trees.text(tmp_path / "a" / "groundtruth_rect.txt", rows)
    settings = PrepareConfig(keep="frames", min_side=4)
    # counted from 1, the third is moved; written as VOT, it is not
    trees.text(tmp_path / "v" / "groundtruth.txt", rows)
    trees.frames(tmp_path / "v", names)
    pictures, drops = cut("vot", tmp_path / "v", settings)
    assert len(pictures) == 1
    assert drops.counts == {
        "the box is too small": 1,
        "the box is too flat": 1,
        LOOKS_NORMALISED: 1,
        REACHES_FAR: 1,
        "there is no box": 1,
    }


def test_own_videos_as_coco(tmp_path):
    """Tracks through frames, as video files in COCO's format tell them."""
    images, annotations = [], []
    for number in range(3):
        trees.picture(tmp_path / "images" / f"v/{number}.jpg", number, trees.moving(number))
        image = {
            "id": number,
            "file_name": f"v/{number}.jpg",
            "video_id": 4,
            "frame_id": number,
        }
        images.append(image)
        box = {"image_id": number, "category_id": 0, "track_id": 11}
        annotations.append(box | {"bbox": trees.moving(number)})
    content = {"images": images, "annotations": annotations, "categories": []}
    (tmp_path / "own.json").write_text(json.dumps(content))
    pictures, _ = cut("coco", tmp_path)
    assert [(p.targets[0]["track"], p.targets[0]["frame"]) for p in pictures] == [
        (11, 0), (11, 1), (11, 2),
    ]  # fmt: skip


def test_damaged_annotations_spare_the_rest(tmp_path):
    """Missing, no numbers, cut short: one clip is left out, and the reason names the file."""
    trees.otb(tmp_path)
    (tmp_path / "Alpha" / "groundtruth_rect.txt").write_text("1,2,three,4\n")
    trees.frames(tmp_path / "Gamma" / "img", ["0001.jpg"])
    pictures, drops = cut("otb", tmp_path)
    assert len(pictures) == 4
    assert drops.counts["the annotation cannot be read"] == 2
    assert (
        "line 1: 'three' is not a number" in drops.examples["the annotation cannot be read"][0]
    )
    voc = tmp_path / "voc"
    trees.pascal_voc(voc)
    file = voc / "Annotations" / "000000.xml"
    file.write_text(file.read_text()[:60])
    pictures, drops = cut("pascal_voc", voc)
    assert len(pictures) == 1 and drops.counts == {"the annotation cannot be read": 1}
    with pytest.raises(LayoutError, match="not in COCO's layout"):
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "x.json").write_text('{"images": [1]}')
        find_clips("coco", tmp_path / "c")


@pytest.mark.parametrize("row", ["nan,1,5,5,20,20,1,1,1", "1,inf,5,5,20,20,1,1,1"])
def test_numbers_that_are_none(row, tmp_path):
    """A frame or a track without a number: the clip is left out, and named."""
    trees.mot(tmp_path)
    file = tmp_path / "train/MOT17-02/gt/gt.txt"
    file.write_text(file.read_text() + row + "\n")
    pictures, drops = cut("mot", tmp_path)
    assert not pictures and drops.counts == {"the annotation cannot be read": 1}
    assert "line 13: " in drops.examples["the annotation cannot be read"][0]
    assert "not a 64-bit integer" in drops.examples["the annotation cannot be read"][0]


def test_xml_that_expands_is_refused(tmp_path):
    """A file of a few lines must not become gigabytes."""
    trees.pascal_voc(tmp_path)
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
    (tmp_path / "Annotations" / "000000.xml").write_text(bomb)
    (tmp_path / "Annotations" / "000001.xml").write_bytes(bomb.encode("utf-16"))
    pictures, drops = cut("pascal_voc", tmp_path)
    assert not pictures
    assert all("entities" in e for e in drops.examples["the annotation cannot be read"])


def test_pictures_that_are_none(tmp_path):
    trees.otb(tmp_path)
    images = tmp_path / "Alpha" / "img"
    (images / "0001.jpg").write_bytes(b"this is no image")
    (images / "0002.jpg").write_bytes(b"")
    (images / "0003.jpg").write_bytes((images / "0003.jpg").read_bytes()[:40])
    _, drops = cut("otb", tmp_path)
    assert drops.counts["the image cannot be read"] == 3


def test_rows_beyond_the_last_picture(tmp_path):
    trees.trackingnet(tmp_path)
    for number in (10, 11):
        (tmp_path / "TRAIN_0" / "frames" / "abc-1" / f"{number}.jpg").unlink()
    pictures, drops = cut("trackingnet", tmp_path)
    assert len(pictures) == 10
    assert drops.counts["the image is missing"] == 3 + 2


def _own_video(root, pictures, boxes):
    for number in pictures:
        trees.text(root / "a" / "img" / f"{number:04d}.jpg", ["no matter"])
    rows = [f"{n},1,9,9" for n in range(1, boxes + 1)]
    trees.text(root / "a" / "groundtruth_rect.txt", rows)
    (clip,) = find_clips("otb", root)
    return clip


@pytest.mark.parametrize(
    ("pictures", "boxes", "kept"),
    [
        ((1, 2, 4, 5), 5, {1: 0, 2: 1, 4: 3, 5: 4}),  # x is the number of the box, from 0
        ((0, 1, 3), 4, {0: 0, 1: 1, 3: 3}),
        ((1, 3), 5, {1: 0, 3: 2}),  # the end is missing as well
        ((7, 9), 3, {7: 0, 9: 2}),
        ((7, 9), 2, {7: 0, 9: 1}),  # as many as boxes: nothing is missing
        ((1, 2), 3, {1: 0, 2: 1}),
    ],
)
def test_a_missing_picture_moves_no_box(pictures, boxes, kept, tmp_path):
    found = _own_video(tmp_path, pictures, boxes).read()
    assert len(found) == boxes
    assert {int(s.image.stem): s.box_xywh[0] for s in found if s.image.is_file()} == kept


@pytest.mark.parametrize(("pictures", "boxes"), [((2, 3, 4), 4), ((1, 5), 4), ((7, 8), 5)])
def test_missing_pictures_that_nobody_can_tell_are_refused(pictures, boxes, tmp_path):
    message = f"{len(pictures)} images, {pictures[0]} to {pictures[-1]}, and {boxes} are"
    with pytest.raises(LayoutError, match=message):
        _own_video(tmp_path, pictures, boxes).read()


def test_more_pictures_than_boxes(tmp_path):
    """The first images are meant, but not in OTB's David."""
    for name, pictures, boxes in (("Football1", 6, 4), ("David", 770, 471)):
        for number in range(1, pictures + 1):
            trees.text(tmp_path / name / "img" / f"{number:04d}.jpg", ["no matter"])
        trees.text(tmp_path / name / "groundtruth_rect.txt", ["1,1,9,9"] * boxes)
    david, football = (clip.read() for clip in find_clips("otb", tmp_path))
    assert [s.box_xywh is not None for s in football] == [True] * 4 + [False] * 2
    annotated = [s.image.name for s in david if s.box_xywh is not None]
    assert (annotated[0], annotated[-1], len(annotated)) == ("0300.jpg", "0770.jpg", 471)


def test_pictures_as_youtube_bb_utility_saves_them(tmp_path):
    """All of a class in one folder, in both of its spellings; a video's lines apart."""
    lines, folder = [], tmp_path / "yt_bb_detection_train"
    for number, name in enumerate(("a-_b_1000_7_1.jpg", "a-_b+7+1+2000.jpg")):
        x, y, w, h = trees.moving(number)
        trees.picture(folder / "7" / name, number, (x, y, w, h))
        box = (x / 96, (x + w) / 96, y / 64, (y + h) / 64)
        lines.append(f"a-_b,{1000 * (number + 1)},7,cat,1,present," + ",".join(map(str, box)))
    lines.insert(1, "other,0,7,cat,1,absent,-1.0,-1.0,-1.0,-1.0")
    trees.text(tmp_path / "yt_bb_detection_train.csv", lines)
    pictures, drops = cut("youtube_bb", tmp_path)
    np.testing.assert_allclose(boxes_of(pictures), [trees.moving(0), trees.moving(1)])
    assert drops.counts == {"the target is flagged absent": 1}


def test_imagenets_categories_have_names(tmp_path):
    """VID's are known, DET's others are read from its own list, where it is there."""
    trees.imagenet_det(tmp_path)
    file = next((tmp_path / "Annotations/DET/val").glob("v.xml"))
    for number, name in (("n02121808", "cat"), ("n07739125", "apple")):
        file.write_text(file.read_text().replace("n01<", f"{number}<"))
        for known in (False, True):
            if known:
                lines = ["n07739125 5 apple", "n02121808 58 domestic_cat"]
                trees.text(tmp_path / "devkit/data/map_det.txt", lines)
            pictures, _ = cut("imagenet_det", tmp_path)
            drawn = pictures[-1].targets[0]["category"]
            wanted = name if known or name == "cat" else number
            assert drawn == category_number(wanted)
        (tmp_path / "devkit/data/map_det.txt").unlink()
        file.write_text(file.read_text().replace(f"{number}<", "n01<"))
    trees.text(tmp_path / "devkit/data/map_det.txt", ["no list"])
    with pytest.raises(LayoutError, match="line 1 names no category"):
        find_clips("imagenet_det", tmp_path)


def test_natural_order_of_frames(tmp_path):
    """10.jpg comes after 9.jpg, or the boxes belong to other images."""
    trees.trackingnet(tmp_path)
    pictures, _ = cut("trackingnet", tmp_path)
    np.testing.assert_allclose(boxes_of(pictures), [trees.moving(n) for n in range(12)])


def test_index_of_crops(tmp_path):
    """Crops made by the reference recipe, prepared at their own size, stay as they are."""
    root, side = tmp_path / "in", 255
    trees.picture(root / "frame.png")
    frame = cv2.imread(str(root / "frame.png"))
    crop, box_xyxy = crop_target(frame, np.array([20, 16, 24, 16], float), side, 63)
    x1, y1, x2, y2 = map(float, box_xyxy)
    half = np.array([x2 - x1, y2 - y1]) / 2 * (side - 1) / side  # as the pixels have it
    box = [*(side // 2 - half), *(2 * half)]
    (root / "a.png").write_bytes(cv2.imencode(".png", crop)[1].tobytes())
    entry = {"file": "../../a.png", "box_xywh_in_crop": box, "source": "s", "video": 7}
    trees.text(root / "index.jsonl", [json.dumps(entry)])
    pictures, drops = cut("crops", root, PrepareConfig(crop_size=side, template_size=63))
    assert not drops.total
    ours = decode_image(pictures[0].image)
    np.testing.assert_array_equal(ours, decode_image(encode_jpeg(crop)))
    np.testing.assert_allclose(pictures[0].targets[0]["box_xyxy"], box_xyxy, atol=0.2)
    for line in ('{"file": "a.png"}', "[]", "{", '{"file": "a.png", "box_xywh_in_crop": [1]}'):
        (root / "index.jsonl").write_text(line)
        with pytest.raises(LayoutError, match="line 1 is not a valid crop"):
            find_clips("crops", root)


def test_only_some_clips(tmp_path):
    trees.imagenet_vid(tmp_path)
    assert [c.name for c in find_clips("imagenet_vid", tmp_path, ["val/*", "x"])] == [
        "val/ILSVRC2015_val_00000000"
    ]
    with pytest.raises(LayoutError, match=r"no clip .* matches \['x'\]; its 2 clips are"):
        find_clips("imagenet_vid", tmp_path, ["x"])


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(LayoutError, match="does not exist"):
        find_clips("otb", tmp_path / "absent")
    with pytest.raises(LayoutError, match="holds nothing in the layout 'otb'"):
        find_clips("otb", tmp_path)
    trees.coco(tmp_path)
    with pytest.raises(LayoutError, match="it looks like 'coco'"):
        find_clips("mot", tmp_path)
    (tmp_path / "empty").mkdir()
    assert detect(tmp_path / "empty") is None


def test_settings_check_themselves():
    for values, match in (
        ({"drop": ("crwd",)}, "did you mean 'crowd'"),
        ({"frame_step": 0}, "frame_step"),
        ({"crop_size": 100}, "template_size"),
        ({"min_side": 0.0}, "min_side"),
        ({"max_aspect": 0.5}, "max_aspect"),
    ):
        with pytest.raises(ValueError, match=match):
            PrepareConfig(**values)


def test_categories_agree_between_sets():
    assert category_number("Dog") == category_number("dog") != category_number("cat")
    assert category_number("") == -1
