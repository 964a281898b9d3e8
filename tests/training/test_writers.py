"""Metrics on disk survive a resume; progress says how far, how fast and how long."""

import io
import json

import pytest

from siamjax.training.writers import JsonLines, Progress

VALUES = {
    "loss": 0.51234,
    "learning_rate": 0.005,
    "pairs_per_second": 93.21,
    "data_wait": 0.034,
}


def steps_in(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def write(path, start, *steps):
    writer = JsonLines(path, start)
    for step in steps:
        writer.scalars(step, {"loss": step / 2})
    writer.close()


def test_lines_are_appended_and_those_after_the_resumed_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 2, 4, 6, 8)
    assert json.loads(path.read_text().splitlines()[1]) == {"step": 4, "loss": 2.0}
    write(path, 5, 6, 8)
    assert steps_in(path) == [2, 4, 6, 8]
    write(path, 0, 1)
    assert steps_in(path) == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 2, 4)
    path.write_text(path.read_text()[:-7])
    write(path, 4, 6)
    assert steps_in(path) == [2, 6]


def test_lines_are_on_disk_at_once(tmp_path):
    writer = JsonLines(tmp_path / "metrics.jsonl", 0)
    writer.scalars(2, {"loss": 1.0})
    assert steps_in(tmp_path / "metrics.jsonl") == [2]
    writer.close()


def test_a_full_disk_names_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = JsonLines(path, 0)
    writer._file.close()
    writer._file = full = open("/dev/full", "w")
    with pytest.raises(OSError, match=r"No space left on device: .*metrics\.jsonl"):
        writer.scalars(2, {"loss": 1.0})
    with pytest.raises(OSError):
        full.close()


def test_progress_without_a_terminal_is_a_line():
    stream = io.StringIO()
    progress = Progress(100, 1100, stream)
    progress._start_time -= 20  # 20 s for 200 of 1000 steps leave 80 s for the other 800
    progress.scalars(300, VALUES)
    progress.close()
    assert stream.getvalue() == (
        "step 300/1100: loss 0.5123, lr 0.00500, 93.2 pairs/s, data 3%, 01:20 left\n"
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_is_a_bar():
    stream = Terminal()
    progress = Progress(100, 1100, stream)
    progress.scalars(300, VALUES)
    progress.close()
    last = stream.getvalue().split("\r")[-1]
    assert last.startswith("300/1100 ")
    assert "loss 0.5123, lr 0.00500, 93.2 pairs/s, data 3%" in last and "left" in last
