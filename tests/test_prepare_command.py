"""`siamjax prepare` from its arguments to its report."""

import pytest

from siamjax.cli import main
from siamjax.commands.prepare import Source
from siamjax.config.data import Flag
from siamjax.data.formats import annotations
from siamjax.data.formats.layouts import LAYOUTS
from tests.data import trees

SMALL = ["--crop-size", "127", "--template-size", "31", "--jobs", "1"]


def test_choices_are_those_that_exist():
    assert set(Source.__args__) == set(LAYOUTS)
    flags = ("ABSENT", "HIDDEN", "OCCLUDED", "TRUNCATED", "CROWD", "DIFFICULT")
    assert set(Flag.__args__) == {getattr(annotations, name) for name in flags}


def test_prepares_and_reports(tmp_path, capsys):
    trees.coco(tmp_path / "in")
    command = [
        "prepare",
        "coco",
        "--input",
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "4 targets, 4 tracks, 4 videos or images" in shown
    assert "left out 3:" in shown and "1  the box has no size: " in shown
    assert "image 99" in shown  # an example
    assert main([*command, *SMALL]) == 0  # done already
    assert main([*command, *SMALL, "--frame-step", "2"]) == 1
    assert "differs in ['frame_step']" in capsys.readouterr().err


def test_hints_at_corners(tmp_path, capsys):
    trees.frames(tmp_path / "in/v", [f"{n}.jpg" for n in range(4)])
    corners = [(x, y, x + w, y + h) for x, y, w, h in map(trees.moving, range(4))]
    boxes = [(60, 30, 84, 46), (70, 40, 94, 56), (65, 35, 90, 50), corners[0]]
    trees.text(tmp_path / "in/v/groundtruth.txt", [",".join(map(str, b)) for b in boxes])
    command = [
        "prepare",
        "vot",
        "--input",
        str(tmp_path / "in"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, *SMALL]) == 0
    captured = capsys.readouterr()
    assert "3  most of the box is outside the frame" in captured.out
    assert "are they corners" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "absent"], "does not exist"),
        (["--jobs", "0"], "`--jobs`"),
        (["--crop-size", "20"], "`template_size`"),
    ],
)
def test_bad_input(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ["prepare", "otb", "--input", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*base, *arguments]) == 1
    assert message in capsys.readouterr().err
