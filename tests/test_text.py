"""Text that people bring: what is a number, a line and a file, and what is refused."""

import json
import math
import os

import hypothesis
import pytest
from hypothesis import strategies as st

from siamjax import text
from siamjax.errors import InputError
from siamjax.text import TextError
from tests import fuzzing


@pytest.mark.parametrize(
    "line",
    ["1,2,3,4.5", "1, 2,3 ,\t4.5", "1 2  3 4.5", "1\t2\t3\t4.5\t", "1;2;3; 4.5",
     " 1.,2e0,+3,45e-1,", "1\t2  3; 4.5"],
)  # fmt: skip
def test_separators(line):
    assert text.parse_numbers(line) == [1, 2, 3, 4.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("12,5;3,4;1;2", "commas and semicolons"),
        ("12,5 3,4 1,0 2,0", "commas and blanks"),
        ("12,5\t3,4\t1,0\t2,0", "commas and blanks"),
        ("12,5, 3,4, 1,0, 2,0", "decimal commas"),
        ("1,2 3,4", "commas and blanks"),
        ("1,,3,4", "an empty cell"),
        (",1,2,3", "an empty cell"),
        ("1;;3;4", "an empty cell"),
        ("1\t\t3\t4", "an empty cell"),
        ("0x10,1,1,1", "'0x10' is not a number"),
        ("1_0 1 1 1", "'1_0' is not a number"),
        ("٣ 1 1 1", "is not a number"),
        ("1,2,3,four", "'four' is not a number"),
        ("x,y,w,h", "'x' is not a number"),
        ("# 1 2 3", "'#' is not a number"),
        ("[1, 2, 3, 4]", "'\\[1' is not a number"),
        ("1e999,1,1,1", "beyond"),
        ("9" * 400, "beyond"),
    ],
)
def test_what_is_no_line_of_numbers(line, message):
    with pytest.raises(TextError, match=message):
        text.parse_numbers(line)


def test_what_is_not_finite_is_a_number():
    assert math.isnan(text.parse_number("NaN")) and math.isnan(text.parse_number("-nan"))
    assert text.parse_number("-inf") == -math.inf


def test_encodings(tmp_path):
    """UTF-8 and UTF-16 where they are marked, whatever ends a line; nothing else is guessed."""
    file = tmp_path / "boxes.txt"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        for end in ("\n", "\r\n", "\r"):
            file.write_bytes(f"1 2\t3 4{end}5,6,7,8{end} {end}".encode(encoding))
            assert text.read_boxes(file) == [[1, 2, 3, 4], [5, 6, 7, 8]]
        file.write_bytes("1 2 3 4\n\n9 9 9 9".encode(encoding))
        with pytest.raises(TextError, match=r"boxes.txt' line 2: no values"):
            text.read_boxes(file)
    for content in (
        "1,2,3,4\n".encode("utf-16-le"),
        "1,2,3,ä\n".encode("latin-1"),
        b"\x89PNG\0",
    ):
        file.write_bytes(content)
        with pytest.raises(TextError, match=r"boxes.txt' is not a text file.*save it as UTF-8"):
            text.read_boxes(file)


def test_what_is_no_file(tmp_path):
    with pytest.raises(TextError, match="No such file"):
        text.read_lines(tmp_path / "absent")
    with pytest.raises(TextError, match="not a regular file"):
        text.read_lines(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # which nobody writes: reading would wait for ever
    with pytest.raises(TextError, match="not a regular file"):
        text.read_lines(tmp_path / "pipe")
    for name in ("a\0b", "x" * 300, "\ud800"):
        with pytest.raises(TextError, match="cannot read"):
            text.read_lines(tmp_path / name)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 6, 7, 8, 9, 10])
def test_boxes_have_four_numbers(columns, tmp_path):
    file = tmp_path / "boxes.txt"
    file.write_text("1,2,3,4\n" + ",".join(map(str, range(columns))) + "\n")
    with pytest.raises(TextError, match=rf"line 2: {columns} values \('0.*x, y, w, h"):
        text.read_boxes(file)


def test_regions(tmp_path):
    """Codes, boxes, polygons; a frame's number in front makes no corner of a polygon."""
    file = tmp_path / "regions.txt"
    rows = [[1], [1, 2, 3, 4], [0, 0, 5, 0, 5, 5, 0, 5], list(range(10))]
    file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    assert text.read_regions(file) == rows
    for columns in (2, 3, 5, 6, 7, 9, 11):
        file.write_text("1,2,3,4\n" + " ".join(["7"] * columns) + "\n")
        with pytest.raises(TextError, match=f"line 2: {columns} values"):
            text.read_regions(file)
    counted = [f"{frame},-1,10,20,30,40,1,-1,-1,-1\n" for frame in range(1, 6)]
    file.write_text("".join(counted))
    with pytest.raises(TextError, match=r"10 values .*the first column counts the frames"):
        text.read_regions(file)
    file.write_text("m3,4,10,20,1,2,3\n1,2,3,4\n")
    assert text.read_regions(file, masks=True) == [[3, 4, 10, 20], [1, 2, 3, 4]]
    with pytest.raises(TextError, match="'m3' is not a number"):
        text.read_regions(file)
    file.write_text("m3,4\n")
    with pytest.raises(TextError, match="line 1: 'm3,4' is not a mask"):
        text.read_regions(file, masks=True)


def test_whole_numbers(tmp_path):
    file = tmp_path / "flags.txt"
    file.write_text("0,1,1\n2\n")
    assert text.read_flags(file) == [0, 1, 1, 2]
    file.write_text("0\n1.5\n")
    with pytest.raises(TextError, match=r"line 2: 1\.5 is not a 64-bit integer"):
        text.read_flags(file)
    assert [text.as_whole(v) for v in (3, 3.0, "3", 2**62, str(2**62))] == [
        3,
        3,
        3,
        2**62,
        2**62,
    ]
    for value in (True, None, "x", 1.5, math.nan, math.inf, 2**63, 10**400, "9" * 30, [], "²"):
        with pytest.raises(TextError):
            text.as_whole(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[1e999]", "beyond"),
        ("[" + "9" * 400 + "]", "beyond 64 bits"),
        ("[" + "9" * 5000 + "]", "beyond 64 bits"),
        ("[18446744073709551616]", "not a 64-bit integer"),
        (r'["\ud800"]', "lone surrogate"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_refused(content, message, tmp_path):
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(TextError, match=rf"x.json' is not valid json: .*{message}"):
        text.read_json(file)


def test_json_that_is_read(tmp_path):
    file = tmp_path / "x.json"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_bytes('{"ä": [1, 2.5, NaN, "\\ud83d\\ude00"]}'.encode(encoding))
        (values,) = text.read_json(file).values()
        assert values[:2] == [1, 2.5] and math.isnan(values[2]) and values[3] == "😀"


def test_settings(tmp_path):
    file = tmp_path / "meta.ini"
    file.write_text("[A]\nurl: http://x/y=z\nname = MOT\n; no\n\nempty:\nname=MOT\n")
    assert text.read_settings(file) == {"url": "http://x/y=z", "name": "MOT", "empty": ""}
    for content, message in (
        ("a: 1\na: 2\n", "'a' has two values"),
        ("abc\n", "line 1 is neither"),
    ):
        file.write_text(content)
        with pytest.raises(TextError, match=message):
            text.read_settings(file)


READERS = [
    text.read_lines,
    lambda file: list(text.read_rows(file)),
    text.read_boxes,
    text.read_regions,
    lambda file: text.read_regions(file, masks=True),
    text.read_flags,
    text.read_settings,
    text.read_json,
]


@pytest.mark.parametrize("read", READERS)
@fuzzing.quick
@hypothesis.given(content=fuzzing.contents)
def test_nothing_but_our_own_error_comes_of_a_file(read, content, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(content)
    try:
        read(file)
    except InputError as error:
        assert str(file) in str(error) and "\n" not in str(error)


@fuzzing.quick
@hypothesis.given(st.lists(fuzzing.words, min_size=1, max_size=6), st.sampled_from(",;\t "))
def test_numbers_come_back_or_are_refused(words, separator):
    """What Python's own `float` makes of the cells, or an error: never other numbers."""
    line = separator.join(words)
    try:
        numbers = text.parse_numbers(line)
    except TextError:
        return
    cells = line.replace(",", " ").replace(";", " ").split()
    assert [str(n) for n in numbers] == [str(float(cell)) for cell in cells]


@fuzzing.quick
@hypothesis.given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
        max_leaves=8,
    )
)
def test_json_of_anything(content):
    """As Python's own reader has it, but for lone surrogate."""
    written = json.dumps(content)
    try:
        ours = text.parse_json(written)
    except TextError as error:
        assert "surrogate" in str(error)
        return
    assert json.dumps(ours) == json.dumps(json.loads(written))


@pytest.mark.parametrize("behind", ["0.9,0,0", "-1,-1,-1"])
def test_frames_in_front_of_boxes_and_numbers_behind_are_no_polygons(tmp_path, behind):
    """MOT's columns without a track: frame, x, y, w, h, confidence, and more."""
    rows = [f"{n},{20 + n},40,30,30,{behind}" for n in range(1, 5)]
    (tmp_path / "truth.txt").write_text("\n".join(rows))
    with pytest.raises(TextError, match=r"line 1: 8 values .* the first column counts"):
        text.read_regions(tmp_path / "truth.txt")


def test_a_polygon_may_move_by_a_pixel_a_frame(tmp_path):
    rows = [f"{n},{n},{n + 9},{n},{n + 9},{n + 9},{n},{n + 9}" for n in range(1, 5)]
    (tmp_path / "truth.txt").write_text("\n".join(rows))
    assert len(text.read_regions(tmp_path / "truth.txt")) == 4
