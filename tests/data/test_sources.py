"""Prepared sets: made once and whole, read at random, refused when they are damaged."""

import contextlib
import dataclasses
import pickle
import shutil

import numpy as np
import pytest

from siamjax.config import SyntheticConfig
from siamjax.data.crops import crop_target
from siamjax.data.formats import synthetic as builder
from siamjax.data.formats.synthetic import prepare_synthetic, render_records
from siamjax.data.rendering.scene import Sequence
from siamjax.data.sources import (
    Index,
    RecordError,
    RecordSource,
    SourceError,
    read_index,
    write_index,
)
from siamjax.images import decode_image

SMALL = SyntheticConfig(sequences=2, frames=4, frame_step=2, width=128, height=96)


@pytest.fixture
def copied(prepared, tmp_path):
    """A copy of the prepared set that a test may damage."""
    return shutil.copytree(prepared, tmp_path / "copy")


def record_file(folder):
    (file,) = folder.glob("*.array_record*")
    return file


def test_records_are_the_rendered_crops(prepared, config):
    source = RecordSource(prepared)
    settings = config.data.sources[0].synthetic
    assert len(source) == settings.sequences * 6
    for number in (0, 5, 6, 23):
        record = source.read(number)
        video, frame = divmod(number, 6)
        assert (record["video"], record["frame"]) == (video, 2 * frame)
        sequence = Sequence(settings, video)
        assert (record["track"], record["category"]) == (0, sequence.category)
        picture, box = sequence.render(2 * frame)
        crop, box_xyxy = crop_target(picture, box, 255, 63)
        np.testing.assert_allclose(record["box_xyxy"], box_xyxy, rtol=1e-6)
        assert np.abs(decode_image(record["image"]).astype(int) - crop).mean() < 8
        np.testing.assert_allclose(
            source.index.box_wh[number], box_xyxy[2:] - box_xyxy[:2], rtol=1e-5
        )
    np.testing.assert_array_equal(source.index.video, np.repeat(range(4), 6))
    np.testing.assert_array_equal(source.index.frame, np.tile(range(0, 12, 2), 4))


def test_source_survives_pickling(prepared):
    source = RecordSource(prepared)
    other = pickle.loads(pickle.dumps(source))
    assert other.read(3)["image"] == source.read(3)["image"]


def test_preparation_happens_once_and_gives_the_same_bytes(tmp_path, monkeypatch):
    first = prepare_synthetic(SMALL, 127, 31, tmp_path / "a")
    again = prepare_synthetic(SMALL, 127, 31, tmp_path / "b")
    assert record_file(first).read_bytes() == record_file(again).read_bytes()
    monkeypatch.setattr(builder, "render_records", None)  # would fail if called
    assert prepare_synthetic(SMALL, 127, 31, tmp_path / "a") == first


def test_every_setting_has_its_own_folder(tmp_path):
    folders = {
        prepare_synthetic(config, size, 31, tmp_path)
        for config in (SMALL, dataclasses.replace(SMALL, seed=1))
        for size in (96, 127)
    }
    assert len(folders) == 4


def test_interrupted_preparation_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*arguments):
        yield from list(render_records(*arguments))[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "render_records", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_synthetic(SMALL, 127, 31, tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert len(RecordSource(prepare_synthetic(SMALL, 127, 31, tmp_path))) == 4


def test_full_disk_leaves_nothing_behind(tmp_path, run_on_full_disk):
    """Files may not grow beyond a few images."""
    told = run_on_full_disk(
        50_000,
        "from siamjax.config import SyntheticConfig",
        "from siamjax.data.formats.synthetic import prepare_synthetic",
        "config = SyntheticConfig(sequences=8, frames=4, frame_step=2, width=128, height=96)",
        f"prepare_synthetic(config, 255, 63, {str(tmp_path)!r})",
    )
    assert "cannot be written" in told
    assert not list(tmp_path.iterdir())


def test_half_written_folder_is_made_again(tmp_path):
    folder = prepare_synthetic(SMALL, 127, 31, tmp_path)
    before = record_file(folder).read_bytes()
    (folder / "index.npz").unlink()
    record_file(folder).write_bytes(b"half")
    assert prepare_synthetic(SMALL, 127, 31, tmp_path) == folder
    assert record_file(folder).read_bytes() == before


def test_missing_folder_names_its_neighbours(prepared):
    with pytest.raises(SourceError, match=r"does not exist.*synthetic-train"):
        RecordSource(prepared.parent / "absent")


def test_folder_without_index(copied):
    (copied / "index.npz").unlink()
    with pytest.raises(SourceError, match=r"has no index.npz"):
        RecordSource(copied)


def test_unreadable_index(copied):
    (copied / "index.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SourceError, match=r"index.npz cannot be read"):
        RecordSource(copied)


def test_empty_set(copied):
    write_index(copied, Index(*(column[:0] for column in read_index(copied))))
    with pytest.raises(SourceError, match="is empty"):
        RecordSource(copied)


def test_index_of_another_length(copied):
    write_index(copied, Index(*(column[:-1] for column in read_index(copied))))
    with pytest.raises(SourceError, match="holds 24 records, but its index names 23"):
        RecordSource(copied)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_record_file_cut_short(copied, keep):
    file = record_file(copied)
    data = file.read_bytes()
    file.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(SourceError, match="missing or truncated"):
        RecordSource(copied)


def test_record_file_missing(copied):
    record_file(copied).unlink()
    with pytest.raises(SourceError, match="missing or truncated"):
        RecordSource(copied)


def test_description_missing(copied):
    (copied / "dataset_info.json").unlink()
    with pytest.raises(SourceError, match="cannot be opened"):
        RecordSource(copied)


def test_one_damaged_record_does_not_hurt_the_others(copied):
    damage(copied, 7)
    source = RecordSource(copied)
    with pytest.raises(RecordError, match="record 7 of"):
        source.read(7)
    assert decode_image(source.read(6)["image"]).shape == (255, 255, 3)
    assert decode_image(source.read(8)["image"]).shape == (255, 255, 3)


def damage(folder, number):
    """Overwrites bytes on disk, place after place, until a record cannot be read."""
    file = record_file(folder)
    whole = file.read_bytes()
    for place in range(0, len(whole), 2000):
        file.write_bytes(whole[:place] + bytes(20) + whole[place + 20 :])
        with contextlib.suppress(SourceError):
            try:
                RecordSource(folder).read(number)
            except RecordError:
                return
    raise AssertionError("no damage hurts the record")


def test_boxes_without_size_are_left_out(copied):
    index = read_index(copied)
    index.box_wh[3] = 0, 10
    index.box_wh[8] = np.nan
    write_index(copied, index)
    source = RecordSource(copied)
    assert source.num_degenerate == 2
    assert sorted(source.track_index().record) == [n for n in range(24) if n not in (3, 8)]
    index.box_wh[:] = 0
    write_index(copied, index)
    with pytest.raises(SourceError, match="no record with a box"):
        RecordSource(copied)
