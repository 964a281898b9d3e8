"""The report: complete in itself, well formed, honest about problems."""

import base64
import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from siamjax.errors import RefusedError
from siamjax.evaluation.benchmarks.sequences import Problem, load_sequences
from siamjax.evaluation.report.page import write_report
from siamjax.evaluation.report.strips import strip, worst_moments
from siamjax.evaluation.running import runner
from siamjax.evaluation.running.runner import Entrant, StaticTracker
from tests.evaluation.conftest import Scripted, boxes_along

VOID = {"meta", "img", "link", "br", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Collects text and attributes, and fails where tags do not close each other."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, name):
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture
def make(write_sequence, tmp_path, otb):
    def make(names=("A", "B"), trackers=None, problems=()):
        for i, name in enumerate(names):
            write_sequence(name, 20, boxes_along(20, step=(1, i)))
        sequences, _ = load_sequences(tmp_path / "data", otb)
        trackers = trackers or [Entrant("good", Scripted(boxes_along(20, step=(1, 0))), {})]
        trackers = [*trackers, Entrant("static", StaticTracker(), {})]
        scores = runner.compare(trackers, sequences, otb, tmp_path / "out" / "results")
        path = write_report(
            tmp_path / "out", otb, sequences, scores, list(problems), "A & B <i>"
        )
        return path, scores

    return make


def test_it_needs_nothing_beside_itself(make):
    path, _ = make()
    text = path.read_text()
    page = Page(text)
    assert "http" not in text and "@import" not in text and "<script" not in text
    assert all(src.startswith("data:image/jpeg;base64,") for src in page.all("src"))
    links = page.all("href") + page.all("xlink:href")
    assert links and all(link.startswith("#") for link in links)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert {name for name in re.findall(r"url\(#([^)]+)\)", text)} <= set(ids)
    assert "<i>" not in text and "A & B <i>" in "".join(page.text)


def test_it_shows_every_number(make):
    path, (good, static) = make()
    text = " ".join(Page(path.read_text()).text)
    for tracker in (good, static):
        for scores in (tracker.overall, *tracker.sequences.values()):
            for value in scores.values():
                assert f"{value:.3f}" in text
    # the first is perfect on A and worse on B, which moves down as well
    order = re.findall(r'href="#sequence-\d+">(\w+)<', path.read_text())
    assert order == ["B", "A"]


def test_the_summary_lies_beside_it(make, tmp_path):
    _, (good, _) = make()
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert content["trackers"]["good"]["overall"] == good.overall
    assert set(content["trackers"]) == {"good", "static"}


def test_problems_are_listed(make):
    path, _ = make(problems=[Problem("Broken", "skipped: <no> frames")])
    assert "skipped: &lt;no&gt; frames" in path.read_text()


def test_a_report_without_a_single_score(make):
    class Refuses(StaticTracker):
        def init(self, frame, box_xywh):
            raise RefusedError("never")

    path, (refused, _) = make(trackers=[Entrant("refuses", Refuses(), {})])
    text = " ".join(Page(path.read_text()).text)
    assert refused.overall == {}
    assert "not tracked: never" in text


def test_frames_that_cannot_be_read_are_left_out_of_the_strip(write_sequence, tmp_path, otb):
    write_sequence("A", 20)
    ((sequence,), _) = load_sequences(tmp_path / "data", otb)
    for path in sequence.frame_paths[1:]:
        path.unlink()
    assert strip(sequence, [(sequence.gt_xywh, "#112233")]) == []


def test_worst_moments_are_worst_first_and_apart():
    overlap = np.full(60, 0.9)
    overlap[20:40] = 0.0  # one long failure
    overlap[50] = 0.3
    overlap[5] = -1.0  # a frame that does not count
    counted = np.ones(60, bool)
    counted[5] = False
    chosen = worst_moments(overlap, counted, count=5)
    assert chosen[:2] == [20, 26] and 50 in chosen and 5 not in chosen and 0 not in chosen
    assert len(chosen) == 5
    assert np.diff(sorted(chosen)).min() >= 6
    assert (np.diff(overlap[chosen]) >= 0).all()


def test_boxes_are_drawn_where_they_are(write_sequence, tmp_path, otb):
    boxes = np.tile([20.0, 12, 24, 24], (6, 1))
    write_sequence("A", 6, boxes, size=(330, 240))
    ((sequence,), _) = load_sequences(tmp_path / "data", otb)
    predicted = boxes + np.array([200, 100, 0, 0])
    moment = strip(sequence, [(predicted, "#ff0000")])[0]
    assert (moment.number, moment.overlap) == (2, 0.0)
    jpeg = np.frombuffer(base64.b64decode(moment.jpeg), np.uint8)
    blue, green, red = np.moveaxis(cv2.imdecode(jpeg, cv2.IMREAD_COLOR).astype(int), 2, 0)
    is_true, is_red = green - red > 80, red - green > 80
    for mask, (x, y) in ((is_true, (20, 12)), (is_red, (220, 112))):
        rows, columns = np.nonzero(mask)
        np.testing.assert_allclose(
            [columns.min(), rows.min(), columns.max(), rows.max()],
            [x, y, x + 24, y + 24],
            atol=3,
        )
    assert blue.shape == (240, 330)


def test_boxes_of_other_trackers_that_are_missing_or_wild_do_not_matter(
    write_sequence, tmp_path, otb
):
    write_sequence("A", 6)
    ((sequence,), _) = load_sequences(tmp_path / "data", otb)
    wild = sequence.gt_xywh.copy()
    wild[2:4] = np.nan
    wild[4:] = 1e12
    assert len(strip(sequence, [(wild, "#ff0000")])) > 1
