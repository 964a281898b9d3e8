"""Small folders in each set's own layout, with the odd things that the real sets contain.

Every image is a smooth gradient with a bright block, of which the true region is returned.
"""

import json

import cv2
import numpy as np

WIDTH, HEIGHT = 96, 64


def picture(path, number=0, box=(20, 16, 24, 16)):
    """Writes an image with a bright block at `box` (left, top, width, height)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.dstack([x + number, 2 * y, np.full_like(x, 40 + number)]).astype(np.uint8)
    x0, y0, w, h = box
    image[y0 : y0 + h, x0 : x0 + w] = 250
    path.parent.mkdir(parents=True, exist_ok=True)
    # PNG keeps the pixels, whatever the suffix says
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def moving(number):
    """The block's region in frame `number`."""
    return (10 + 3 * number, 12 + 2 * number, 24, 16)


def frames(folder, names):
    for number, name in enumerate(names):
        picture(folder / name, number, moving(number))


def text(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def otb(root):
    """Commas, tabs and blanks; two targets; the first pixel is 1, 1."""
    for name, separator in (("Alpha", ","), ("Beta", "\t")):
        frames(root / name / "img", [f"{n:04d}.jpg" for n in range(1, 5)])
        rows = [(x + 1, y + 1, w, h) for x, y, w, h in map(moving, range(4))]
        text(root / name / "groundtruth_rect.txt", [separator.join(map(str, r)) for r in rows])
    (root / "Beta" / "groundtruth_rect.txt").rename(root / "Beta" / "groundtruth_rect.1.txt")
    text(root / "Beta" / "groundtruth_rect.2.txt", ["5 5 20 20", "NaN NaN NaN NaN", "0,0,0,0"])
    return 4 + 4 + 1


def vot(root):
    """A polygon, a rectangle, a frame without one, an occluded one, no colour folder."""
    frames(root / "bag" / "color", [f"{n:08d}.jpg" for n in range(1, 5)])
    x, y, w, h = moving(0)
    polygon = (x, y, x + w, y, x + w, y + h, x, y + h)
    text(
        root / "bag" / "groundtruth.txt",
        [",".join(map(str, r)) for r in (polygon, moving(1), moving(2))] + ["nan,nan,nan,nan"],
    )
    text(root / "bag" / "occlusion.tag", ["0", "0", "1", "0"])
    frames(root / "book", ["00000001.jpg"])
    text(root / "book" / "groundtruth.txt", [",".join(map(str, moving(0)))])
    text(root / "list.txt", ["bag", "book"])
    return 2 + 1


def got10k(root):
    folder = root / "train" / "GOT-10k_Train_000001"
    frames(folder, [f"{n:08d}.jpg" for n in range(1, 5)])
    rows = [(x + 1, y + 1, w, h) for x, y, w, h in map(moving, range(4))]
    text(folder / "groundtruth.txt", [",".join(f"{v:.4f}" for v in row) for row in rows])
    text(folder / "absence.label", ["0", "0", "1", "0"])
    text(folder / "cover.label", ["8", "5", "0", "0"])
    text(folder / "meta_info.ini", ["[METAINFO]", "url: x", "object_class: Water Buffalo"])
    text(root / "train" / "list.txt", [folder.name])
    return 2


def lasot(root):
    folder = root / "airplane" / "airplane-1"
    frames(folder / "img", [f"{n:08d}.jpg" for n in range(1, 5)])
    rows = [(x + 1, y + 1, w, h) for x, y, w, h in map(moving, range(4))]
    text(folder / "groundtruth.txt", [",".join(map(str, r)) for r in rows])
    text(folder / "full_occlusion.txt", ["0,0,1,0"])
    text(folder / "out_of_view.txt", ["0,0,0,1"])
    return 2


def trackingnet(root):
    """Frames from 0, ten of them and more, so that names do not sort as they count."""
    names = [f"{n}.jpg" for n in range(12)]
    frames(root / "TRAIN_0" / "frames" / "abc-1", names)
    rows = [",".join(f"{v:.1f}" for v in moving(n)) for n in range(12)]
    text(root / "TRAIN_0" / "anno" / "abc-1.txt", rows)
    text(root / "TRAIN_0" / "anno" / "lost-2.txt", rows[:3])  # its video was never had
    (root / "TEST" / "anno").mkdir(parents=True)
    return 12


def xml(path, objects, filename=""):
    parts = [f"<annotation><filename>{filename}</filename>"]
    for fields in objects:
        box = "".join(
            f"<{k}>{v}</{k}>"
            for k, v in zip(("xmin", "ymin", "xmax", "ymax"), fields.pop("box"), strict=True)
        )
        inside = "".join(f"<{k}>{v}</{k}>" for k, v in fields.items())
        parts.append(f"<object>{inside}<bndbox>{box}</bndbox></object>")
    text(path, ["".join(parts) + "</annotation>"])


def pixels(number):
    """First and last pixel of the block: xmin, ymin, xmax, ymax, 0-based."""
    x, y, w, h = moving(number)
    return x, y, x + w - 1, y + h - 1


def imagenet_vid(root):
    """A track that is away for a while, an occluded one, a frame without objects."""
    inside = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
    frames(root / "Data/VID" / inside, [f"{n:06d}.JPEG" for n in range(6)])
    for number in range(6):
        objects = [{"trackid": 1, "name": "n02691156", "occluded": 1, "box": (40, 20, 80, 60)}]
        if number != 2:
            box = {"box": pixels(number)}
            objects.append({"trackid": 0, "name": "n02084071", "occluded": 0} | box)
        if number == 4:
            objects = []
        xml(root / "Annotations/VID" / inside / f"{number:06d}.xml", objects)
    video = "val/ILSVRC2015_val_00000000"
    picture(root / "Data/VID" / video / "000000.JPEG")
    box = {"box": (20, 16, 43, 31)}
    xml(root / "Annotations/VID" / video / "000000.xml", [{"trackid": 0, "name": "n0"} | box])
    return 5 + 4 + 1


def imagenet_det(root):
    """2013's folders of categories, 2014's flat ones, val; an image without objects."""
    names = [
        "train/ILSVRC2013_train/n01/n01_1",
        "train/ILSVRC2014_train_0000/x",
        "val/v",
        "val/e",
    ]
    for name in names:
        picture(root / "Data/DET" / f"{name}.JPEG")
        objects = [
            {"name": "n01", "box": (20, 16, 43, 31)},
            {"name": "n02", "box": (5, 5, 5, 20)},
        ]
        xml(root / "Annotations/DET" / f"{name}.xml", objects if name != "val/e" else [])
    return 3


def coco(root):
    """A crowd, a box without size, an annotation of an image that is not listed."""
    for split, count in (("train2017", 3), ("val2017", 1)):
        images, annotations = [], []
        for number in range(count):
            name = f"{number + 1:012d}.jpg"
            picture(root / split / name, number, moving(number))
            images.append({"id": number + 1, "file_name": name, "width": 96, "height": 64})
            box = {"image_id": number + 1, "category_id": 18, "iscrowd": 0}
            annotations.append(box | {"bbox": list(moving(number))})
        if count > 1:
            annotations += [
                {"image_id": 1, "category_id": 1, "iscrowd": 1, "bbox": [0, 0, 96, 64]},
                {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [9, 9, 0, 5]},
                {"image_id": 99, "category_id": 1, "iscrowd": 0, "bbox": [9, 9, 20, 20]},
            ]
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        }
        text(root / "annotations" / f"instances_{split}.json", [json.dumps(content)])
    text(root / "annotations" / "captions_train2017.json", ['{"images": []}'])
    return 4


def youtube_bb(root):
    """Fractions, in the order xmin, xmax, ymin, ymax; absent is -1; a malformed line."""
    folder = root / "yt_bb_detection_train"
    rows = []
    for number in range(3):
        x, y, w, h = moving(number)
        box = (x / WIDTH, (x + w) / WIDTH, y / HEIGHT, (y + h) / HEIGHT)
        time = 238000 + 1000 * number
        rows.append(f"AAB6lO-XiKE,{time},0,person,0,present," + ",".join(map(str, box)))
        name = f"AAB6lO-XiKE+0+0/{time}.jpg"
        picture(folder / "0" / name, number, moving(number))
    rows.append("AAB6lO-XiKE,241000,0,person,0,absent,-1.0,-1.0,-1.0,-1.0")
    rows.append("AAB6lO-XiKE,242000,0,person,0,present,0.1,0.5")
    rows.append("-gone-video,1000,2,bicycle,0,present,0.1,0.5,0.1,0.5")
    text(root / "yt_bb_detection_train.csv", rows)
    return 3


def pascal_voc(root):
    """The first pixel is 1, 1, and the last belongs to the box."""
    for number in range(2):
        picture(root / "JPEGImages" / f"00000{number}.jpg", number, moving(number))
        x1, y1, x2, y2 = (v + 1 for v in pixels(number))
        target = {"name": "cat", "difficult": number, "box": (x1, y1, x2, y2)}
        xml(root / "Annotations" / f"00000{number}.xml", [target], f"00000{number}.jpg")
    return 2


def yolo(root):
    """Box, polygon, an image without labels, labels without an image."""
    for number in range(3):
        picture(root / "images" / "train" / f"a{number}.jpg", number, moving(number))
    x, y, w, h = moving(0)
    box = ((x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT)
    text(root / "labels" / "train" / "a0.txt", ["1 " + " ".join(map(str, box))])
    x, y, w, h = moving(1)
    corners = (x, y, x + w, y, x + w, y + h, x, y + h)
    polygon = [v / (WIDTH, HEIGHT)[i % 2] for i, v in enumerate(corners)]
    text(root / "labels" / "train" / "a1.txt", ["0 " + " ".join(map(str, polygon))])
    text(root / "labels" / "train" / "gone.txt", ["0 0.5 0.5 0.2 0.2"])
    text(root / "classes.txt", ["bird", "fox"])
    return 2


def mot(root):
    """Two people, one hidden for a frame; a line that is not to be considered; a car park."""
    folder = root / "train" / "MOT17-02"
    frames(folder / "img1", [f"{n:06d}.jpg" for n in range(1, 4)])
    rows = []
    for number in range(3):
        x, y, w, h = moving(number)
        rows.append(f"{number + 1},1,{x + 1},{y + 1},{w},{h},1,1,1.0")
        rows.append(f"{number + 1},7,41,21,20,30,1,1,{(1.0, 0.0, 0.4)[number]}")
        rows.append(f"{number + 1},9,1,1,20,30,0,1,1.0")
        rows.append(f"{number + 1},10,1,1,20,30,1,11,1.0")
    text(folder / "gt" / "gt.txt", rows)
    (root / "test" / "MOT17-01" / "img1").mkdir(parents=True)
    return 5


def crops(root):
    """Boxes from the centre of the first pixel; a file that is not there; bare lines; video."""
    lines = []
    for number in range(4):
        x, y, w, h = moving(number)
        name = f"crops/own/{number}.jpg"
        if number != 3:
            picture(root / name, number, moving(number))
        lines.append({"file": name, "box_xywh_in_crop": [x - 0.5, y - 0.5, w, h]})
    about = {"source": "own", "category": "fox"}
    lines[1] |= about | {"video": "v", "frame": "000004", "object": 2, "is_video": True}
    lines[2] |= about | {"video": "v", "frame": "000007", "object": 2, "is_video": True}
    text(root / "index.jsonl", [json.dumps(line) for line in lines] + [""])
    return 3


WRITERS = {
    f.__name__: f
    for f in (
        otb, vot, got10k, lasot, trackingnet, imagenet_vid, imagenet_det, coco, youtube_bb,
        pascal_voc, yolo, mot, crops,
    )
}  # fmt: skip
