"""Training monitoring: TensorBoard's curves and images, traces, the report's page."""

import dataclasses
import importlib.util
import json

import jax
import numpy as np
import pytest

from siamjax.commands.report import report
from siamjax.config import ConfigError
from siamjax.models.siamese import Prediction
from siamjax.training import loop
from siamjax.training.loop import train
from siamjax.training.monitoring import Profiler
from siamjax.training.pair_images import FOUND, TARGET, TRUE, draw_pairs
from tests.evaluation.report.test_page import Page
from tests.training.test_loop import Validation, at, feed, use_tiny
from tests.training.tiny import CONFIG, make_batch, with_train

MODEL = CONFIG.model


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    use_tiny(monkeypatch)


def one_pair(**fields):
    """One pair on grey, with the object at 12..28 x 16..32 and one positive anchor."""
    cells = (1, 5, 5, 2)
    label_cls = np.full(cells, -1, np.int32)
    label_cls[0, 0, 0] = 0
    label_cls[0, 2, 2, 1] = 1
    values = {
        "template": np.full((1, 16, 16, 3), 100.0, np.float32),
        "search": np.full((1, 48, 48, 3), 60.0, np.float32),
        "label_cls": label_cls,
        "box_xyxy": np.array([[12, 16, 28, 32]], np.float32),
        "is_negative_pair": np.array([False]),
    }
    batch = make_batch(0, with_train(batch_size=1))
    return batch._replace(**{**values, **fields})


def where(image, color):
    """Left, top, right, bottom of the pixels of a colour; None where there are none."""
    y, x = np.nonzero((image == color).all(-1))
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else None


def test_an_image_shows_the_pair_its_targets_and_labels():
    picture = draw_pairs(one_pair(), MODEL)
    assert picture.shape == (48, 3 * 48 + 2 * 4, 3) and picture.dtype == np.uint8
    template, search, labels = picture[:, :48], picture[:, 52:100], picture[:, 104:]
    assert (template[:16, :16] == 100).all() and (template[16:] == 255).all()
    assert where(search, TRUE) == (12, 16, 28, 32)
    # ratio 2 at stride 8 and scale 8: 40 x 80 pixels about the centre, 24
    assert where(search, TARGET)[::2] == (4, 44)
    assert where(labels, TARGET) == (20, 20, 29, 29)  # the third of five cells
    assert where(labels, (40, 80, 190)) == (0, 0, 10, 10)


def test_a_negative_pair_has_no_box():
    pair = one_pair(
        is_negative_pair=np.array([True]), label_cls=np.zeros((1, 5, 5, 2), np.int32)
    )
    picture = draw_pairs(pair, MODEL)
    assert where(picture, TRUE) is None and where(picture, TARGET) is None


def test_an_image_shows_the_network_s_best_box_and_its_scores():
    cls_logits = np.zeros((1, 5, 5, 2, 2), np.float32)
    cls_logits[..., 0] = 9
    cls_logits[0, 1, 3, 0] = (0, 9)  # the anchor of ratio 0.5, 88 x 40, at (32, 16)
    loc = np.zeros((1, 5, 5, 2, 4), np.float32)
    loc[0, 1, 3, 0] = (-0.125, 0.1, np.log(0.25), np.log(0.5))  # at (21, 20), 22 x 20
    picture = draw_pairs(one_pair(), MODEL, Prediction(cls_logits, loc))
    search, scores = picture[:, 52:100], picture[:, 156:]
    assert where(search, FOUND) == (10, 10, 32, 30)
    assert (scores[10:19, 29:38, 0] == 255).all() and scores[:9, :, 0].max() == 0


def test_a_box_that_is_infinite_is_not_drawn():
    loc = np.full((1, 5, 5, 2, 4), 1e3, np.float32)
    picture = draw_pairs(one_pair(), MODEL, Prediction(np.zeros((1, 5, 5, 2, 2)), loc))
    assert where(picture[:, 52:100], FOUND) is None


def test_boxes_beyond_the_image_are_cut_at_its_border():
    pair = one_pair(box_xyxy=np.array([[-20, 40, 10, 90]], np.float32))
    search = draw_pairs(pair, MODEL)[:, 52:100]
    assert where(search, TRUE) == (0, 40, 10, 48)
    pair = one_pair(box_xyxy=np.array([[60, 60, 90, 90]], np.float32))
    assert where(draw_pairs(pair, MODEL), TRUE) is None


def test_tensorboard_gets_curves_and_images_and_changes_nothing(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    config = with_train(tensorboard=True, picture_every=6)
    state = train(config, tmp_path / "watched", validate=Validation())
    plain = train(CONFIG, tmp_path / "plain")
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(plain))
    found = {}
    for path in (tmp_path / "watched" / "tensorboard").iterdir():
        for event in records(path.read_bytes(), Event):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    assert [step for step, _ in found["training/loss"]] == [2, 4, 5, 6, 8, 10, 12]
    assert [v.simple_value for _, v in found["validation/success_auc"]] == [1, 2, 3]
    pictures = found["pairs"]
    assert [step for step, _ in pictures] == [6, 12]
    assert pictures[0][1].image.height == 4 * 48 + 3 * 4


def records(content, kind):
    """The events of a file: length (8 bytes), checksum (4), message, checksum (4)."""
    while content:
        length = int.from_bytes(content[:8], "little")
        yield kind.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def test_tensorboard_without_its_package_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(loop, "make_batches", None)
    with pytest.raises(ConfigError, match=r'pip install "siamjax\[tensorboard\]"'):
        train(with_train(tensorboard=True), tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_chosen_steps_are_traced(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda to: calls.append(("start", to)))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    feed(monkeypatch, lambda step, batch: calls.append(step + 1))
    train(CONFIG, tmp_path, profile=(3, 4))
    folder = tmp_path / "profile"
    assert calls == [1, 2, 3, ("start", folder), 4, "stop", *range(5, 13)]
    assert f"profiler trace: {folder}" in capsys.readouterr().out


def test_a_trace_is_written_when_the_run_breaks_off(tmp_path, monkeypatch):
    def fail():
        raise OSError("gone")

    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda to: calls.append("start"))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    feed(monkeypatch, at(3, fail))
    with pytest.raises(loop.TrainingError):
        train(CONFIG, tmp_path, profile=(2, 9))
    assert calls == ["start", "stop"]


def test_a_trace_is_a_file(tmp_path):
    profiler = Profiler(tmp_path, (1, 1))
    with profiler.before(1):
        done = jax.numpy.ones(3) + 1
    profiler.after(1, done)
    assert list(tmp_path.rglob("*.xplane.pb"))


@pytest.mark.parametrize("steps", [(0, 3), (5, 4)])
def test_steps_that_are_none_are_not_traced(tmp_path, steps):
    with pytest.raises(ConfigError, match="`--profile`"):
        train(CONFIG, tmp_path, profile=steps)


def test_the_report_tells_how_a_run_went(tmp_path, capsys):
    train(CONFIG, tmp_path, validate=Validation())
    report(tmp_path)
    assert f"report: {tmp_path / 'report.html'}" in capsys.readouterr().out
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert not [value for value in page.all("src") + page.all("href") if "//" in value]
    told = " ".join(" ".join(page.text).split())
    assert "step 12 of 12" in told and "best success AUC 3.000 at step 12" in told
    for name in ("loss", "learning rate", "gradient norm", "pairs/s", "validation"):
        assert f'aria-label="{name} plot"' in text


def test_the_report_of_a_run_without_validation_has_no_such_curve(tmp_path):
    train(CONFIG, tmp_path)
    report(tmp_path, out=tmp_path / "page.html")
    assert 'aria-label="validation plot"' not in (tmp_path / "page.html").read_text()


def test_there_is_no_report_without_metrics(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 3})[:-2])
    with pytest.raises(ValueError, match=r"holds no metrics\.jsonl with metrics"):
        report(tmp_path)


def test_what_is_watched_may_change_between_two_legs(tmp_path):
    train(CONFIG, tmp_path)
    other = dataclasses.replace(
        with_train(picture_every=3),
        validation=dataclasses.replace(CONFIG.validation, data="elsewhere"),
    )
    train(other, tmp_path)
