"""Batches: their shapes and content, and that they depend on seed and step alone."""

import dataclasses
import shutil

import numpy as np
import pytest

from siamjax.config import ConfigError, SourceConfig
from siamjax.data.pipeline import make_batches
from siamjax.data.schema import Batch, batch_shapes
from siamjax.data.sources import RecordError, RecordSource, SourceError
from siamjax.geometry.anchors import anchor_grid, anchor_sizes, decode
from siamjax.geometry.boxes import cxcywh_to_xyxy


def take(config, cache_dir, count, **options):
    with make_batches(config, cache_dir=cache_dir, **options) as batches:
        return [next(batches) for _ in range(count)]


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
    from siamjax.data.crops import decode_jpeg

    still = AugmentConfig(color=0)
    calm = changed(config, template=still, search=still, gray_prob=0)
    (batch,) = take(calm, cache_dir, 1)
    source = RecordSource(prepared)
    for image, (record, _) in zip(batch.template, batch.records, strict=True):
        crop = decode_jpeg(source.read(int(record))["image"])
        np.testing.assert_array_equal(image, crop[96:159, 96:159])


@pytest.mark.parametrize(("workers", "start"), [(1, 0), (2, 7)])
def test_workers_change_nothing(config, cache_dir, batches, workers, start):
    ours = take(config, cache_dir, 3, num_workers=workers, start_step=start)
    assert same(ours, batches[start : start + 3])


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
    lost, cut = int(used[0, 0]), int(used[1, 1])
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
    with pytest.raises(ConfigError, match=r"templates of 63 pixels, and .* is 71"):
        make_batches(other, cache_dir=tmp_path)
