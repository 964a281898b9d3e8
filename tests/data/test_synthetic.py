"""Rendered sequences: repeatable, true to their boxes, hard enough, and safely on disk."""

import dataclasses
import errno
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from siamjax.commands.render import render
from siamjax.config import SyntheticConfig
from siamjax.data.rendering import objects
from siamjax.data.rendering.scene import Sequence
from siamjax.data.synthetic import write_otb
from siamjax.files import scratch_folder

CONFIG = SyntheticConfig(sequences=3, frames=4, width=160, height=120)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def test_frames_do_not_depend_on_what_was_rendered_before():
    forward, backward = Sequence(CONFIG, 1), Sequence(CONFIG, 1)
    first = {t: forward.render(t) for t in (0, 1, 7, 30)}
    for frame in (30, 7, 0, 1):
        image, box = backward.render(frame)
        np.testing.assert_array_equal(image, first[frame][0])
        np.testing.assert_array_equal(box, first[frame][1])
    assert image.shape == (120, 160, 3) and image.dtype == np.uint8
    assert box.shape == (4,) and box.dtype == np.float32


def test_splits_seeds_and_numbers_share_nothing():
    """No background and no sprite of one sequence appears in another."""
    seen = set()
    for split in ("train", "test"):
        for seed in (0, 1):
            config = dataclasses.replace(CONFIG, split=split, seed=seed)
            for index in range(4):
                sequence = Sequence(config, index)
                own = {digest(sequence._background)} | {
                    digest(part.sprite[0]) for a in sequence._actors for part in a.parts
                }
                assert not own & seen
                seen |= own


@pytest.mark.parametrize("index", range(8))
def test_box_is_the_silhouette(index):
    """Coverage measured from the image itself, once over black and once over white."""
    sequence = Sequence(SyntheticConfig(split="test"), index)
    target = sequence._actors[sequence._target]
    for frame in (0, 13, 37):
        over = []
        for shade in (0, 255):
            image = np.full((240, 320, 3), shade, np.uint8)
            target.draw(image, frame, sequence._shake(frame), exposure=0)
            over.append(image.astype(int))
        covered = (255 - (over[1] - over[0]).max(-1)) > 127
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        left, top = columns[0], rows[0]
        expected = [left, top, columns[-1] - left + 1, rows[-1] - top + 1]
        _, box = sequence.render(frame)
        # overlapping soft edges of two parts may round to the other side of one half
        np.testing.assert_allclose(box, expected, atol=1)


def boxes_of(index, frames=60):
    sequence = Sequence(SyntheticConfig(split="test"), index)
    # boxes depend neither on the background nor on exposure and noise, which take longest
    black = np.zeros((sequence.height, sequence.width, 3), np.uint8)
    sequence._render_background = lambda frame: black.copy()
    sequence._develop = lambda image, frame: image
    return np.array([sequence.render(t)[1] for t in range(frames)])


def test_motion_is_ample_and_can_be_followed():
    """A box that never moves scores badly; from frame to frame the target moves little."""
    scores, steps, sizes = [], [], []
    for index in range(15):
        boxes = boxes_of(index)
        low = np.maximum(boxes[:, :2], boxes[0, :2])
        high = np.minimum(boxes[:, :2] + boxes[:, 2:], boxes[0, :2] + boxes[0, 2:])
        shared = np.prod(np.maximum(high - low, 0), -1)
        area = np.prod(boxes[:, 2:], -1)
        overlap = shared / (area + area[0] - shared)
        scores.append(np.mean([(overlap > t).mean() for t in np.arange(0, 1.01, 0.05)]))
        centers = boxes[:, :2] + boxes[:, 2:] / 2
        steps += (np.hypot(*np.diff(centers, axis=0).T) / np.sqrt(area[1:])).tolist()
        sizes += np.sqrt(area).tolist()
        assert np.all(boxes[:, :2] >= 0)
        assert np.all(boxes[:, :2] + boxes[:, 2:] <= [320, 240])
    assert np.mean(scores) < 0.25
    assert np.mean(np.array(steps) < 0.25) > 0.97
    assert 18 < np.percentile(sizes, 1) and np.percentile(sizes, 99) < 110


def test_otb_folder(tmp_path):
    out = tmp_path / "set"
    names = write_otb(CONFIG, out)
    assert (out / "list.txt").read_text().split() == names and len(names) == 3
    for index, name in enumerate(names):
        frames = sorted((out / name / "img").iterdir())
        assert [f.name for f in frames] == ["0001.jpg", "0002.jpg", "0003.jpg", "0004.jpg"]
        boxes = np.loadtxt(out / name / "groundtruth_rect.txt", delimiter=",")
        sequence = Sequence(CONFIG, index)
        for number, (file, row) in enumerate(zip(frames, boxes, strict=True)):
            picture, box = sequence.render(number)
            # OTB counts pixels from one
            np.testing.assert_array_equal(row - [1, 1, 0, 0], box)
            stored = cv2.imread(str(file)).astype(int)
            assert np.abs(stored - picture).mean() < 12  # JPEG
    assert {p.name for p in out.iterdir()} == {*names, "list.txt", "rendered.json"}


def test_frame_step_keeps_every_other_frame(tmp_path):
    config = dataclasses.replace(CONFIG, sequences=1, frame_step=2)
    (name,) = write_otb(config, tmp_path / "set")
    boxes = np.loadtxt(tmp_path / "set" / name / "groundtruth_rect.txt", delimiter=",")
    sequence = Sequence(config, 0)
    expected = [sequence.render(t)[1] + np.array([1, 1, 0, 0]) for t in (0, 2)]
    np.testing.assert_array_equal(boxes, expected)


def test_interrupted_rendering_goes_on(tmp_path):
    out = tmp_path / "set"
    names = write_otb(CONFIG, out)
    before = {p: p.read_bytes() for p in out.rglob("*.*") if p.is_file()}
    (out / "list.txt").unlink()
    for file in (out / names[1] / "img").iterdir():
        file.unlink()
    (out / names[1] / "img").rmdir()
    (out / names[1] / "groundtruth_rect.txt").unlink()
    (out / names[1]).rmdir()
    kept = (out / names[0] / "img" / "0001.jpg").stat().st_mtime_ns
    write_otb(CONFIG, out)
    assert {p: p.read_bytes() for p in out.rglob("*.*") if p.is_file()} == before
    assert (out / names[0] / "img" / "0001.jpg").stat().st_mtime_ns == kept


def test_other_contents_are_not_mixed_in(tmp_path):
    write_otb(dataclasses.replace(CONFIG, sequences=1), tmp_path / "set")
    with pytest.raises(ValueError, match=r"differs in \['frames'\]"):
        write_otb(dataclasses.replace(CONFIG, sequences=1, frames=5), tmp_path / "set")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is no rendered set"):
        write_otb(CONFIG, tmp_path / "other")


def test_full_disk_leaves_no_half_sequence(tmp_path, monkeypatch):
    real, written = Path.write_bytes, []

    def write_bytes(self, data):
        written.append(self)
        if len(written) == 7:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    out = tmp_path / "set"
    with pytest.raises(OSError, match="No space left"):
        write_otb(CONFIG, out)
    # four frames of the first sequence, two of the second before the disk was full
    assert {p.name for p in out.iterdir()} == {"train-0-0000", "rendered.json"}
    monkeypatch.undo()
    assert len(write_otb(CONFIG, out)) == 3


def test_command(tmp_path, capsys):
    settings = SyntheticConfig(split="test", sequences=1, frames=2, width=128, height=96)
    render(tmp_path / "set", settings)
    assert "1 sequences of 2 frames" in capsys.readouterr().out
    assert (tmp_path / "set" / "test-0-0000" / "img" / "0002.jpg").is_file()


def test_what_a_killed_run_left_is_removed(tmp_path):
    """Folders of processes that are no more; those of others, running or elsewhere, stay."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "set"
    one = dataclasses.replace(CONFIG, sequences=1)
    write_otb(one, out)
    for name in list(out.iterdir()):
        if name.is_dir():
            shutil.rmtree(name)
    with scratch_folder(out) as mine:
        owner = mine.name.rsplit("-", 2)[0]
        stale = out / f"{owner}-{ended.pid}-abc"
        (stale / "half").mkdir(parents=True)
        elsewhere = out / f".unfinished-another_machine-{ended.pid}-abc"
        elsewhere.mkdir()
        write_otb(one, out)
        assert not stale.exists() and mine.exists() and elsewhere.exists()
    assert not mine.exists()


def test_objects_of_one_category_are_of_one_kind():
    """A body plan is known by its limbs, anything else by the shape of its body."""
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(200):
        design = objects.draw_design(rng)
        name = objects.CATEGORIES[objects.category_of(design)]
        similar = objects.similar_design(rng, design)
        if name in ("figure", "vehicle", "face"):
            assert objects.category_of(similar) == objects.category_of(design)
            assert len(design.limbs) == 5
        else:
            assert name == design.looks[0].shape
        seen.add(name)
    assert seen == set(objects.CATEGORIES)
