"""`siamjax check`: what it says of good and bad sets, and its exit code."""

import shutil

import cv2
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.config import PrepareConfig
from siamjax.data.formats.layouts import LAYOUTS
from siamjax.data.formats.prepare import prepare
from siamjax.data.sources import Index, read_index, write_index
from tests.data import trees

SMALL = PrepareConfig(crop_size=127, template_size=31)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prepared(tmp_path):
    trees.otb(tmp_path / "in")
    prepare("otb", tmp_path / "in", tmp_path / "set", SMALL)
    return tmp_path / "set"


def shown(capsys):
    return capsys.readouterr().out


def test_a_good_set(prepared, capsys, tmp_path):
    assert main(["check", str(prepared)]) == 0
    out = shown(capsys)
    for line in ("9  targets", "3  tracks", "1  tracks of length one", "0  unreadable"):
        assert line in out
    for title in ("size, sqrt(w h), pixels of the frame", "aspect, w / h", "motion per frame"):
        assert title in out
    assert "there is no box: Beta" in out  # what was left out when it was prepared
    assert "\nfit for training" in out
    # the blocks are 24 x 16 pixels: one bar
    assert "16 to 32             9  100.0%" in out
    sheet = cv2.imread(str(tmp_path / "set_check.jpg"))
    assert sheet.shape == (2 * 192, 6 * 192, 3)
    green = sheet[..., 1].astype(int) - sheet[..., [0, 2]].max(-1) > 40
    assert green.sum() > 9 * 40  # nine boxes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_raw_folders_are_recognised(layout, tmp_path, capsys):
    trees.WRITERS[layout](tmp_path / "in")
    main(["check", str(tmp_path / "in")])
    assert f"layout: {layout}" in shown(capsys)


def test_damaged_sets(prepared, capsys):
    """Boxes without size, like fractions, targets that are listed twice."""
    index = read_index(prepared)
    for columns, message in (
        ({"box_wh": index.box_wh * 0, "frame_xywh": index.frame_xywh * 0}, "without size"),
        ({"box_wh": index.box_wh / 127}, "look like fractions"),
        ({"frame": index.frame * 0, "track": index.track * 0}, "are listed twice"),
        ({"video": index.video * 0}, "only one video"),
    ):
        if message == "without size":  # all of them cannot even be opened
            columns = {k: np.r_[v[:1], getattr(index, k)[1:]] for k, v in columns.items()}
        write_index(prepared, Index(**(index._asdict() | columns)))
        assert main(["check", str(prepared)]) == 2
        out = shown(capsys)
        assert "PROBLEM: " in out and message in out and "NOT fit" in out


def test_unreadable_images(prepared, capsys):
    (file,) = prepared.glob("*.array_record*")
    data = bytearray(file.read_bytes())
    places = [i for i in range(len(data) - 3) if data[i : i + 3] == b"\xff\xd8\xff"]
    for place in places[:3]:
        data[place : place + 2] = b"\0\0"
    file.write_bytes(data)
    assert main(["check", str(prepared)]) == 2
    assert "3 of 9 images cannot be read" in shown(capsys)


def test_identical_images_are_counted(tmp_path, capsys):
    trees.coco(tmp_path / "in")
    shutil.copy(
        tmp_path / "in/train2017/000000000001.jpg", tmp_path / "in/val2017/000000000001.jpg"
    )
    prepare("coco", tmp_path / "in", tmp_path / "set", SMALL)
    assert main(["check", str(tmp_path / "set")]) == 0
    out = shown(capsys)
    assert "1  identical images" in out and "every track has one frame" in out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0.1,0.2,0.4,0.4"] * 4, "multiply them by the frame's width and height"),
        (["60,30,84,46", "70,40,94,56", "65,35,90,50", "9,9,20,20"], "are they corners"),
        (["nan,nan,nan,nan"] * 4, "no target can be used"),
    ],
)
def test_raw_folders_that_are_not_fit(rows, message, tmp_path, capsys):
    for name in "ab":
        trees.frames(tmp_path / "in" / name, [f"{n}.jpg" for n in range(4)])
        trees.text(tmp_path / "in" / name / "groundtruth.txt", rows)
    assert main(["check", str(tmp_path / "in")]) == 2
    assert message in shown(capsys)


def test_corners_within_the_frame(tmp_path, capsys, rng):
    """Corners of which hardly any box is outside, when they are taken for sizes."""
    for name in "ab":
        names = [f"{n:02d}.jpg" for n in range(30)]
        trees.frames(tmp_path / "in" / name, names)
        first = rng.integers([0, 0], [60, 40], (30, 2))
        rows = np.c_[first, first + rng.integers(8, 24, (30, 2))]
        trees.text(
            tmp_path / "in" / name / "groundtruth.txt", [",".join(map(str, r)) for r in rows]
        )
    assert main(["check", str(tmp_path / "in")]) == 2
    assert "PROBLEM: many boxes reach beyond" in shown(capsys)
    out = tmp_path / "set"
    prepare(
        "vot", tmp_path / "in", out, PrepareConfig(crop_size=127, template_size=31, min_side=1)
    )
    assert main(["check", str(out)]) == 2
    assert "are they corners" in shown(capsys)


def test_bad_arguments(prepared, tmp_path, capsys):
    for arguments, message in (
        ([str(tmp_path / "absent")], "in none of the layouts"),
        ([str(prepared), "--layout", "otb"], "`--layout`"),
        ([str(prepared), "--limit", "0"], "`--limit`"),
        ([str(prepared), "--sheet", "x.nothing"], "`--sheet`"),
    ):
        assert main(["check", *arguments]) == 1
        assert message in capsys.readouterr().err
    for file, message in (("dataset_info.json", "cannot be opened"), ("index.npz", "no index")):
        (prepared / file).unlink()
        assert main(["check", str(prepared)]) == 1
        assert message in capsys.readouterr().err


def test_a_sheet_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path, prepared, capsys
):
    for place in ("sheet.txt", prepared / "index.npz" / "sheet.jpg"):
        assert main(["check", str(prepared), "--sheet", str(place)]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert str(place) in err
