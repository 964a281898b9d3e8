"""Batches: their shapes and content, and that they depend on seed and step alone."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from siamjax.config import ConfigError, DataConfig, PrepareConfig, SourceConfig
from siamjax.config_files import config_to_dict
from siamjax.data.formats.prepare import prepare
from siamjax.data.pipeline import make_batches
from siamjax.data.schema import Batch, batch_shapes
from siamjax.data.sources import RecordError, RecordSource, SourceError
from siamjax.geometry.anchors import anchor_grid, anchor_sizes, decode
from siamjax.geometry.boxes import cxcywh_to_xyxy
from tests.conftest import ROOT
from tests.data import trees


def take(config, cache_dir, count, **options):
    with make_batches(config, cache_dir=cache_dir, **options) as batches:
        return [next(batches) for _ in range(count)]


def test_import_leaves_opencv_its_threads():
    program = (
        "import cv2\n"
        "cv2.setNumThreads(2)\n"
        "import siamjax.data, siamjax.data.augment, siamjax.data.rendering.scene\n"
        "print(cv2.getNumThreads())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert told.stdout == "2\n"


def test_opencv_gets_its_threads_back_when_the_last_batches_close(config, cache_dir):
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        first = make_batches(config, cache_dir=cache_dir)
        second = make_batches(config, cache_dir=cache_dir)
        first.close()
        assert cv2.getNumThreads() < 2
        second.close()
        second.close()
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def same(first, second):
    return all(
        np.array_equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def changed(config, **data):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, **data))


@pytest.fixture(scope="module")
def batches(config, cache_dir):
    """The first ten batches, read in this process."""
    return take(config, cache_dir, 10, num_workers=0)


def test_batches_follow_the_schema(batches):
    for batch in batches:
        for name, (shape, dtype) in batch_shapes(4, 63, 143, 13, 5)._asdict().items():
            array = getattr(batch, name)
            assert (array.shape, array.dtype) == (shape, dtype), name
            assert np.all(np.isfinite(array)), name


def test_pairs_are_what_they_claim(batches, prepared, config):
    index = RecordSource(prepared).index
    joined = Batch(*(np.concatenate(column) for column in zip(*batches, strict=True)))
    for number in range(len(joined.records)):
        template, search = joined.records[number]
        label = joined.label_cls[number]
        if joined.is_negative_pair[number]:
            assert index.video[template] != index.video[search]
            assert not (label == 1).any() and 0 < (label == 0).sum() <= 16
            assert not joined.label_loc_weight[number].any()
        else:
            assert index.video[template] == index.video[search]
            assert abs(index.frame[template] - index.frame[search]) <= 4
            assert (label == 1).sum() <= 16 and (label == 0).sum() <= 64
            positive = joined.label_loc_weight[number] > 0
            np.testing.assert_array_equal(positive, label == 1)
            # moved by their targets, all chosen anchors land on the box
            sizes = anchor_sizes(8, config.model.anchors.ratios, (4.0,))
            anchors = anchor_grid(sizes, 8, 13, center=71)
            boxes = cxcywh_to_xyxy(decode(joined.label_loc[number], anchors))[positive]
            expected = np.broadcast_to(joined.box_xyxy[number], boxes.shape)
            np.testing.assert_allclose(boxes, expected, atol=1e-3)
    assert 0 < joined.is_negative_pair.mean() < 0.7


def test_template_shows_the_target_of_the_record(config, cache_dir, prepared):
    """Undisturbed, a template is the middle of its stored crop."""
    from siamjax.config import AugmentConfig
    from siamjax.images import decode_image

    still = AugmentConfig(color=0)
    calm = changed(config, template=still, search=still, gray_prob=0)
    (batch,) = take(calm, cache_dir, 1)
    source = RecordSource(prepared)
    for image, (record, _) in zip(batch.template, batch.records, strict=True):
        crop = decode_image(source.read(int(record))["image"])
        np.testing.assert_array_equal(image, crop[96:159, 96:159])


@pytest.mark.parametrize(("workers", "start"), [(1, 0), (4, 7)])
def test_workers_change_nothing(config, cache_dir, batches, workers, start):
    ours = take(config, cache_dir, 3, num_workers=workers, start_step=start)
    assert same(ours, batches[start : start + 3])


def test_threads_change_nothing(config, cache_dir, batches):
    for threads in (1, 5):
        ours = take(changed(config, num_threads=threads), cache_dir, 3)
        assert same(ours, batches[:3])


def test_resumes_at_any_step(config, cache_dir, batches):
    for step in (1, 6):
        assert same(take(config, cache_dir, 3, start_step=step), batches[step : step + 3])


def test_seed_decides(config, cache_dir, batches):
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=6))
    assert not same(take(other, cache_dir, 2), batches[:2])


def test_an_epoch_shows_every_video_and_goes_on_differently(config, cache_dir):
    """Four videos, batches of four: each batch is a pass over all of them."""
    positive = changed(config, negative_prob=0)
    drawn = take(positive, cache_dir, 4)
    for batch in drawn:
        assert sorted(batch.records[:, 0] // 6) == [0, 1, 2, 3]
    assert len({tuple(batch.records[:, 0] // 6) for batch in drawn}) > 1


def test_sources_mix_by_weight(config, cache_dir, prepared, tmp_path):
    second = shutil.copytree(prepared, tmp_path / "second")
    mixed = changed(
        config,
        sources=(
            SourceConfig(path=str(prepared), frame_range=4, weight=3),
            SourceConfig(path=str(second), frame_range=0, weight=1),
        ),
        negative_prob=0,
    )
    records = np.concatenate([batch.records for batch in take(mixed, tmp_path, 20)])
    from_second = records[:, 0] >= 24
    assert from_second.mean() == pytest.approx(0.25, abs=0.02)
    # records of the second source are numbered on, and its own range is kept
    assert np.all(records[from_second, 0] == records[from_second, 1])
    assert records.max() < 48


def test_unreadable_records_are_replaced_and_reported(
    config, cache_dir, prepared, batches, monkeypatch, caplog
):
    used = np.concatenate([batch.records for batch in batches[:4]])
    lost = int(used[0, 0])
    cut = next(int(record) for record in used[1:, 1] if record != lost)
    real = RecordSource.read

    def read(self, record):
        if record == lost:
            raise RecordError("lost")
        content = real(self, record)
        return content | {"image": content["image"][:500]} if record == cut else content

    monkeypatch.setattr(RecordSource, "read", read)
    results = []
    for _ in range(2):
        with make_batches(config, cache_dir=cache_dir) as stream:
            results.append([next(stream) for _ in range(10)])
            assert stream.unreadable == {(str(prepared), lost), (str(prepared), cut)}
    assert same(*results)
    records = np.concatenate([batch.records for batch in results[0]])
    assert not np.isin([lost, cut], records).any()
    # pairs that did not need them are untouched
    clean = ~np.isin(used, [lost, cut]).any(1)
    np.testing.assert_array_equal(records[:16][clean], used[clean])
    reported = [r for r in caplog.records if "cannot be read and is skipped" in r.message]
    assert len(reported) == 4  # each record once a run


def test_a_set_without_one_readable_record_stops(config, cache_dir, monkeypatch):
    def read(self, record):
        raise RecordError("lost")

    monkeypatch.setattr(RecordSource, "read", read)
    with make_batches(config, cache_dir=cache_dir) as stream:
        with pytest.raises(SourceError, match="100 pairs in a row cannot be read"):
            next(stream)


def test_boxes_without_size_are_reported(config, cache_dir, prepared, tmp_path, caplog):
    from siamjax.data.sources import read_index, write_index

    folder = shutil.copytree(prepared, tmp_path / "copy")
    index = read_index(folder)
    index.box_wh[:2] = 0
    write_index(folder, index)
    own = changed(config, sources=(SourceConfig(path=str(folder)),))
    drawn = take(own, tmp_path, 10)
    assert not np.isin([0, 1], np.concatenate([b.records for b in drawn])).any()
    assert "2 of 24 records" in caplog.text


def test_settings_that_make_no_sense(config, cache_dir, prepared, tmp_path):
    with pytest.raises(ConfigError, match=r"`data.sources` is empty"):
        make_batches(changed(config, sources=()), cache_dir=cache_dir)
    absent = SourceConfig(path=str(tmp_path / "absent"))
    with pytest.raises(SourceError, match="does not exist"):
        make_batches(changed(config, sources=(absent,)), cache_dir=cache_dir)
    lone = dataclasses.replace(config.data.sources[0].synthetic, sequences=1)
    single = changed(config, sources=(SourceConfig(synthetic=lone),))
    with pytest.raises(ConfigError, match="needs at least two videos"):
        make_batches(single, cache_dir=tmp_path)
    assert len(take(changed(single, negative_prob=0), tmp_path, 1)) == 1


def test_a_set_cut_for_another_template_is_refused(config, prepared, tmp_path):
    model = dataclasses.replace(config.model, template_size=71, search_size=151)
    other = dataclasses.replace(
        changed(config, sources=(SourceConfig(path=str(prepared)),)),
        model=model,
        tracker=dataclasses.replace(config.tracker, search_size=151),
    )
    with pytest.raises(ConfigError, match=r"templates of 63 pixels, and .* have 71"):
        make_batches(other, cache_dir=tmp_path)


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_read_their_own_rows(config, cache_dir, batches, hosts):
    """Put behind each other, they are the batch of one host; so no pair is read twice."""
    streams = [
        take(config, cache_dir, 3, host=host, hosts=hosts, start_step=2)
        for host in range(hosts)
    ]
    joined = [
        Batch(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        for parts in zip(*streams, strict=True)
    ]
    assert same(joined, batches[2:5])


def test_two_processes_as_two_hosts(config, cache_dir, batches, tmp_path):
    """Two programs that know nothing of each other; one has a worker of its own."""
    (tmp_path / "config.json").write_text(json.dumps(config_to_dict(config)))
    program = tmp_path / "host.py"
    program.write_text(
        "import sys\n"
        "import numpy as np\n"
        "from absl import flags\n"
        "from siamjax.config_files import load_config\n"
        "from siamjax.data.pipeline import make_batches\n"
        "if __name__ == '__main__':\n"
        "    flags.FLAGS.mark_as_parsed()\n"
        "    config, cache, host, out = sys.argv[1:]\n"
        "    options = {'host': int(host), 'hosts': 2, 'num_workers': int(host)}\n"
        "    with make_batches(load_config(config), cache_dir=cache, **options) as batches:\n"
        "        np.savez(out, **next(batches)._asdict())\n"
    )
    running = [
        subprocess.Popen(
            [
                sys.executable,
                str(program),
                str(tmp_path / "config.json"),
                str(cache_dir),
                str(host),
                str(tmp_path / f"{host}.npz"),
            ],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        for host in range(2)
    ]
    assert [process.wait() for process in running] == [0, 0]
    halves = [np.load(tmp_path / f"{host}.npz") for host in range(2)]
    for name in Batch._fields:
        expected = getattr(batches[0], name)
        np.testing.assert_array_equal(np.concatenate([h[name] for h in halves]), expected)
    pairs = [set(map(tuple, half["records"].tolist())) for half in halves]
    assert pairs[0].isdisjoint(pairs[1])


def test_hosts_that_make_no_sense(config, cache_dir):
    with pytest.raises(ConfigError, match=r"`host` \(=2\)"):
        make_batches(config, cache_dir=cache_dir, host=2, hosts=2)
    with pytest.raises(ConfigError, match="divisible by the 3 hosts"):
        make_batches(config, cache_dir=cache_dir, hosts=3)


def test_num_use_decides_the_share(config, prepared, tmp_path):
    """Sources of 4 and 4 videos; a pass takes 12 of the one and each once of the other."""
    second = shutil.copytree(prepared, tmp_path / "second")
    uses = (
        SourceConfig(path=str(prepared), num_use=12),
        SourceConfig(path=str(second), num_use=-1),
    )
    mixed = changed(config, sources=uses, negative_prob=0)
    records = np.concatenate([batch.records for batch in take(mixed, tmp_path, 20)])
    assert (records[:, 0] >= 24).mean() == pytest.approx(4 / 16, abs=0.02)
    # the repeated source shows its videos equally often
    videos = np.bincount(records[records[:, 0] < 24, 0] // 6)
    assert np.ptp(videos) <= 1


def test_sources_without_weight_or_use():
    with pytest.raises(ConfigError, match="must be positive"):
        SourceConfig(path="a", weight=0.0)
    with pytest.raises(ConfigError, match="`num_use` is given for some"):
        DataConfig(sources=(SourceConfig(path="a", num_use=3), SourceConfig(path="b")))
    with pytest.raises(ConfigError, match="their sum"):
        DataConfig(same_category_prob=0.7, other_category_prob=0.4)
    with pytest.raises(ConfigError, match="to be 'ranked'"):
        DataConfig(finish_on="device")


def test_prepared_crops_and_frames_give_the_same_pairs(config, tmp_path):
    """Stored crops, of which a part is decoded, and crops cut from frames on the fly."""
    for number in range(3):
        trees.frames(tmp_path / f"in/v{number}/img", [f"{n:04d}.jpg" for n in range(1, 5)])
        rows = [",".join(map(str, trees.moving(n))) for n in range(4)]
        trees.text(tmp_path / f"in/v{number}/groundtruth_rect.txt", rows)
    results = []
    for keep in ("crops", "frames"):
        settings = PrepareConfig(keep=keep, crop_size=255, template_size=63)
        prepare("otb", tmp_path / "in", tmp_path / keep, settings)
        source = SourceConfig(path=str(tmp_path / keep), frame_range=4)
        results.append(take(changed(config, sources=(source,)), tmp_path, 4))
    for crops, frames in zip(*results, strict=True):
        np.testing.assert_array_equal(crops.records, frames.records)
        np.testing.assert_array_equal(crops.label_cls, frames.label_cls)
        np.testing.assert_allclose(crops.box_xyxy, frames.box_xyxy, atol=1e-3)
        assert np.abs(crops.search - frames.search).mean() < 3  # JPEG


def test_still_images_make_positive_pairs(config, tmp_path):
    """Template and search image of an image are the same record, augmented differently."""
    trees.coco(tmp_path / "in")
    prepare(
        "coco",
        tmp_path / "in",
        tmp_path / "out",
        PrepareConfig(crop_size=255, template_size=63),
    )
    source = SourceConfig(path=str(tmp_path / "out"), frame_range=0)
    stills = changed(config, sources=(source,), negative_prob=0)
    for batch in take(stills, tmp_path, 3):
        np.testing.assert_array_equal(batch.records[:, 0], batch.records[:, 1])
        middle = batch.box_xyxy.reshape(-1, 2, 2).mean(1)
        assert np.ptp(middle, axis=0).max() > 4
