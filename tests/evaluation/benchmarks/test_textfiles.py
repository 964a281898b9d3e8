"""Boxes as text: tolerant of separators, strict about everything else, atomic."""

import numpy as np
import pytest

from siamjax.evaluation.benchmarks.textfiles import read_boxes
from siamjax.text import TextError


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4\n5,6,7,8.5\n",
        "1\t2\t3\t4\n5\t6\t7\t8.5",
        "1 2 3 4\r\n5 6   7 8.5\r\n\r\n",
        "1, 2, 3, 4\n5,\t6, 7, 8.5\n",
        "1;2;3;4\n5;6;7;8.5\n",
        "\ufeff1,2,3,4\n5,6,7,8.5\n",
    ],
)
def test_separators(tmp_path, text):
    file = tmp_path / "boxes.txt"
    file.write_bytes(text.encode())
    np.testing.assert_array_equal(read_boxes(file), [[1, 2, 3, 4], [5, 6, 7, 8.5]])


def test_nan_is_a_number(tmp_path):
    file = tmp_path / "boxes.txt"
    file.write_text("1,2,3,4\nnan,NaN,nan,nan\n")
    assert np.isnan(read_boxes(file)[1]).all()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"1,2,3,4\n1,2,3\n", "line 2: 3 values"),
        (b"1,2,3,4\n\n1,2,3,4\n", "line 2: no values"),
        (b"1,2,3,4,5,6,7,8\n", r"line 1: 8 values .*, a polygon"),
        (b"1,2,3,4\n1,2,x,4\n", "not a number"),
        (b"\xff\xd8\xff\xe0\x00\x10", "not a text"),
        (None, "cannot read"),
    ],
)
def test_what_is_no_box_file_is_named(tmp_path, content, message):
    file = tmp_path / "boxes.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TextError, match=message) as raised:
        read_boxes(file)
    assert "boxes.txt" in str(raised.value)
