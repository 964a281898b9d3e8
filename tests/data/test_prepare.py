"""Preparing sets: the same bytes every time, going on after a stop, and what stays usable."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from siamjax.config import Config, DataConfig, PrepareConfig, SourceConfig, TrainConfig
from siamjax.data.crops import crop_target
from siamjax.data.formats import cutting, writer
from siamjax.data.formats.annotations import LayoutError
from siamjax.data.formats.layouts import LAYOUTS
from siamjax.data.formats.prepare import prepare
from siamjax.data.pipeline import make_batches
from siamjax.data.sources import RecordSource
from siamjax.errors import InputError
from siamjax.images import decode_image, read_image
from tests.conftest import ROOT
from tests.data import trees

SMALL = PrepareConfig(crop_size=127, template_size=31)


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture
def many(tmp_path):
    """Ten videos of four frames: two files of records."""
    root = tmp_path / "many"
    for number in range(10):
        trees.frames(root / f"v{number}" / "img", [f"{n:04d}.jpg" for n in range(1, 5)])
        rows = [",".join(map(str, trees.moving(n))) for n in range(4)]
        trees.text(root / f"v{number}" / "groundtruth_rect.txt", rows)
    return root


@pytest.mark.parametrize("layout", [k for k, v in LAYOUTS.items() if v.index_base is not None])
@pytest.mark.parametrize("base", [0, 1, None])
def test_index_base_against_drawn_frames(layout, base, tmp_path):
    """A block drawn at a known place, its box written from 0 and from 1."""
    trees.WRITERS[layout](tmp_path / "in")  # counts as the layout's makers do
    own = LAYOUTS[layout].index_base
    prepare(layout, tmp_path / "in", tmp_path / "out", SMALL, index_base=base)
    source = RecordSource(tmp_path / "out")
    moved = own - (own if base is None else base)
    x, y, w, h = trees.moving(0)
    assert (
        np.isclose(source.index.frame_xywh, [x + moved, y + moved, w, h], atol=0.01)
        .all(-1)
        .any()
    )


def test_clips_that_count_from_zero(tmp_path):
    """The default takes one off and is a pixel wrong; the option makes another set."""
    box = (11, 7, 30, 20)
    trees.picture(tmp_path / "in/clip/img/0001.jpg", box=box)
    trees.text(tmp_path / "in/clip/groundtruth_rect.txt", [",".join(map(str, box))])
    drawn = read_image(tmp_path / "in/clip/img/0001.jpg").min(-1) > 200
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    truth = [columns[0], rows[0], len(columns), len(rows)]
    for base, moved in ((0, 0), (1, 1), (None, 1)):
        out = tmp_path / f"out-{base}"
        prepare("otb", tmp_path / "in", out, SMALL, index_base=base)
        (found,) = RecordSource(out).index.frame_xywh
        np.testing.assert_allclose(found, np.subtract(truth, [moved, moved, 0, 0]), atol=0.01)
    prepare("otb", tmp_path / "in", tmp_path / "out-1", SMALL)  # the same as the default
    with pytest.raises(InputError, match=r"differs in \['index_base'\]"):
        prepare("otb", tmp_path / "in", tmp_path / "out-0", SMALL)
    with pytest.raises(InputError, match=r"--index-base.*'coco'.*defines"):
        prepare("coco", tmp_path / "in", tmp_path / "coco", SMALL, index_base=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_end_to_end(layout, tmp_path):
    count = trees.WRITERS[layout](tmp_path / "in")
    done = prepare(layout, tmp_path / "in", tmp_path / "out", SMALL)
    source = RecordSource(tmp_path / "out")
    assert done.targets == len(source) == count
    assert source.template_size == pytest.approx(31, rel=1e-3)
    for number in range(count):
        record = source.read(number)
        assert decode_image(record["image"]).shape == (127, 127, 3)
        np.testing.assert_allclose(record["box_xyxy"], source.index.box_xyxy[number])
        for name in ("video", "track", "frame", "category"):
            assert record[name] == getattr(source.index, name)[number]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]  # nothing is left over


def test_same_bytes_whatever_the_number_of_processes(many, tmp_path):
    prepare("otb", many, tmp_path / "one", SMALL, jobs=1)
    prepare("otb", many, tmp_path / "two", SMALL, jobs=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(list((tmp_path / "one").glob("*.array_record*"))) == 2


def test_goes_on_where_it_stopped(many, tmp_path, monkeypatch):
    prepare("otb", many, tmp_path / "whole", SMALL)
    real, seen = cutting.read_image, []

    def stopping(path):
        seen.append(path)
        if len(seen) == 35:  # in the second file of records
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(cutting, "read_image", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare("otb", many, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
    done = prepare("otb", many, tmp_path / "out", SMALL)
    assert len(seen) == 35 + 8  # the first file was not made again
    assert done.targets == 40
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGINT, signal.SIGINT]])
def test_an_ended_run_leaves_what_a_later_one_uses(signals, many, tmp_path):
    """kill -9, or an impatient Ctrl-C: the workers end, too, and the next run is whole."""
    program = (
        "import signal, sys\n"
        "from siamjax.data.formats import prepare as p\n"
        "from siamjax.config import PrepareConfig\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    p.prepare('otb', sys.argv[1], sys.argv[2], PrepareConfig(), jobs=2)\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program)
    running = subprocess.Popen(
        [sys.executable, str(file), str(many), str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in signals:
        os.kill(running.pid, number)
        time.sleep(0.1)
    running.communicate(timeout=60)  # until the workers have closed the pipe as well
    assert not (tmp_path / "out").exists()
    prepare("otb", many, tmp_path / "out", PrepareConfig())
    prepare("otb", many, tmp_path / "fresh", PrepareConfig())
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_full_disk_keeps_what_is_whole(many, tmp_path, run_on_full_disk):
    """Files may not grow beyond the small second file of records."""
    settings = PrepareConfig(crop_size=255, template_size=63)
    told = run_on_full_disk(
        60_000,
        "from siamjax.data.formats.prepare import PrepareConfig, prepare",
        "settings = PrepareConfig(crop_size=255, template_size=63)",
        f"prepare('otb', {str(many)!r}, {str(tmp_path / 'out')!r}, settings)",
    )
    assert "records cannot be written" in told and "the same command" in told
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.partial"))
    done = prepare("otb", many, tmp_path / "out", settings)
    assert done.targets == 40


def test_done_is_done(many, tmp_path, monkeypatch):
    first = prepare("otb", many, tmp_path / "out", SMALL)
    monkeypatch.setattr(writer, "write_parts", None)  # would fail if called
    monkeypatch.setattr(cutting, "read_image", None)
    again = prepare("otb", many, tmp_path / "out", SMALL)
    assert again[:3] == first[:3] and again.drops.counts == first.drops.counts


def test_other_contents_are_not_overwritten(many, tmp_path):
    prepare("otb", many, tmp_path / "out", SMALL)
    with pytest.raises(ValueError, match=r"differs in \['frame_step'\]"):
        other = PrepareConfig(crop_size=127, template_size=31, frame_step=2)
        prepare("otb", many, tmp_path / "out", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is not a prepared set"):
        prepare("otb", many, tmp_path / "mine", SMALL)


def test_a_source_without_one_usable_target(many, tmp_path):
    for file in many.rglob("*.jpg"):
        file.write_bytes(b"nothing")
    with pytest.raises(LayoutError, match=r"no target could be used:\n +40 +the image cannot"):
        prepare("otb", many, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_file_of_records_may_be_empty(many, tmp_path):
    """All eight videos of the first file are damaged; the set has one file."""
    for number in range(8):
        (many / f"v{number}" / "groundtruth_rect.txt").unlink()
    done = prepare("otb", many, tmp_path / "out", SMALL)
    assert done.targets == 8 and done.drops.total == 8
    assert len(list((tmp_path / "out").glob("*.array_record*"))) == 1
    assert set(RecordSource(tmp_path / "out").index.video) == {8, 9}


def test_frames_are_kept_as_they_are(tmp_path):
    """One image for all its targets, its bytes untouched, and any target of it readable."""
    trees.imagenet_vid(tmp_path / "in")
    prepare("imagenet_vid", tmp_path / "in", tmp_path / "out", PrepareConfig(keep="frames"))
    source = RecordSource(tmp_path / "out")
    assert len(source) == 10 and source.index.picture.max() + 1 == 6
    folder = next((tmp_path / "in/Data/VID/train").glob("*/*"))
    records = [source.read(n) for n in range(len(source))]
    shared = [r for r in records if (r["video"], r["frame"]) == (0, 0)]
    assert [r["track"] for r in shared] == [0, 1]
    for record in shared:
        assert record["image"] == (folder / "000000.JPEG").read_bytes()
    np.testing.assert_allclose(shared[1]["box_xyxy"], [40.5, 20.5, 80.5, 60.5])


def test_crops_and_frames_show_the_same(tmp_path):
    trees.coco(tmp_path / "in")
    prepare("coco", tmp_path / "in", tmp_path / "crops", SMALL)
    prepare("coco", tmp_path / "in", tmp_path / "frames", PrepareConfig(keep="frames"))
    crops, frames = RecordSource(tmp_path / "crops"), RecordSource(tmp_path / "frames")
    for number in range(len(crops)):
        stored, whole = crops.read(number), frames.read(number)
        box = whole["box_xyxy"]
        xywh = np.r_[box[:2], box[2:] - box[:2]]
        crop, box_xyxy = crop_target(decode_image(whole["image"]), xywh, 127, 31)
        np.testing.assert_allclose(box_xyxy, stored["box_xyxy"], atol=1e-3)
        assert np.abs(decode_image(stored["image"]).astype(int) - crop).mean() < 2


def test_real_sequences(shared, tmp_path):
    """Two sequences of OTB and one of VOT, and their boxes in the middle of their crops."""
    for layout, names in (("otb", ["Man", "Vase"]), ("vot", ["bag"])):
        root = tmp_path / layout
        root.mkdir()
        for name in names:
            (root / name).symlink_to(shared / "sequences" / layout / name)
        settings = PrepareConfig(crop_size=255, template_size=63, frame_step=20)
        done = prepare(layout, root, tmp_path / f"{layout}-out", settings)
        assert done.videos == len(names) and not done.drops.total
        source = RecordSource(tmp_path / f"{layout}-out")
        middle = source.index.box_xyxy.reshape(-1, 2, 2).mean(1)
        np.testing.assert_allclose(middle, 127, atol=1e-3)


def test_real_training_crops(shared, tmp_path):
    """Pixels and middle stay; then pairs of them and of real videos, mixed."""
    root = shared / "training"
    if not root.is_dir():
        pytest.skip("the training data are not here")
    settings = PrepareConfig(crop_size=383)
    done = prepare("crops", root, tmp_path / "out", settings, only=["raccoon/*", "amenity/*"])
    assert done[:3] == (45, 62, 62) and not done.drops.total
    source = RecordSource(tmp_path / "out")
    assert source.template_size == pytest.approx(127, rel=1e-3)
    middle = source.index.box_xyxy.reshape(-1, 2, 2).mean(1)
    np.testing.assert_allclose(middle, 191, atol=1e-3)
    with open(root / "index.jsonl") as opened:
        file = next(e["file"] for e in map(json.loads, opened) if e["source"] == "amenity")
    away = np.abs(decode_image(source.read(0)["image"]).astype(int) - read_image(root / file))
    assert away.mean() < 1  # encoded once more

    names = ["blackswan", "camel"]
    prepare("otb", root / "davis", tmp_path / "davis", PrepareConfig(frame_step=20), only=names)
    sources = (
        SourceConfig(path=str(tmp_path / "out"), frame_range=0, weight=3),
        SourceConfig(path=str(tmp_path / "davis")),
    )
    config = Config(
        name="real", data=DataConfig(sources=sources), train=TrainConfig(batch_size=8)
    )
    with make_batches(config, cache_dir=tmp_path) as batches:
        batch = next(batches)
    assert np.isfinite(batch.search).all() and (batch.label_cls == 1).any()
    assert (batch.records[:, 0] < 62).sum() == 6  # three quarters
    still = ~batch.is_negative_pair & (batch.records[:, 0] < 62)
    np.testing.assert_array_equal(*batch.records[still].T)


def test_real_training_videos(shared, tmp_path):
    """Frames without the object have nan boxes there: counted, not fatal."""
    davis = shared / "training" / "davis"
    if not davis.is_dir():
        pytest.skip("the training data are not here")
    names = sorted(p.name for p in davis.iterdir() if p.is_dir())[:3]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).symlink_to(davis / name)
    settings = PrepareConfig(keep="frames", frame_step=10)
    done = prepare("otb", tmp_path / "in", tmp_path / "out", settings)
    assert done.videos == len(names)
    assert set(done.drops.counts) <= {"there is no box", "the box is too small"}
    record = RecordSource(tmp_path / "out").read(0)
    first = sorted((davis / names[0] / "img").iterdir())[0]
    assert record["image"] == first.read_bytes()
    assert read_image(first).shape[2] == 3
