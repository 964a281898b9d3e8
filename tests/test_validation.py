"""Validation in training is the tracker's own evaluation, in one pass, of the first frames."""

import dataclasses

import cv2
import jax
import numpy as np
import pytest

from siamjax.config import ConfigError, ValidationConfig
from siamjax.evaluation import validation
from siamjax.evaluation.benchmarks.layouts import SequenceError
from siamjax.models.build import build_network, init_variables
from siamjax.tracking import batch
from siamjax.tracking.tracker import Tracker
from tests.training.test_end_to_end import SMALL

BOXES = np.array([60.0, 40.0, 24.0, 20.0]) + np.arange(6)[:, None] * np.array([3, 1, 0, 0])


def write_frames(folder, rng, count=6):
    folder.mkdir(parents=True)
    for t in range(count):
        frame = rng.integers(0, 80, (120, 160, 3)).astype(np.uint8)
        x, y, w, h = BOXES[t].astype(int)
        frame[y : y + h, x : x + w] = 200
        assert cv2.imwrite(str(folder / f"{t + 1:08d}.png"), frame)


@pytest.fixture
def folders(tmp_path, rng):
    """The same two videos in OTB layout and, their boxes written as polygons, in VOT's."""
    for name in ("A", "B"):
        write_frames(tmp_path / "otb" / name / "img", rng)
        np.savetxt(
            tmp_path / f"otb/{name}/groundtruth_rect.txt", BOXES + np.array([1, 1, 0, 0]), "%g"
        )
        write_frames(tmp_path / "vot" / name / "color", rng)
        for image in (tmp_path / "otb" / name / "img").iterdir():
            (tmp_path / "vot" / name / "color" / image.name).write_bytes(image.read_bytes())
        x, y, w, h = BOXES.T
        corners = np.stack([x, y, x + w, y, x + w, y + h, x, y + h], axis=1)
        np.savetxt(tmp_path / f"vot/{name}/groundtruth.txt", corners, "%g", delimiter=",")
    (tmp_path / "vot" / "list.txt").write_text("A\nB\n")
    return tmp_path


def make_validation(config):
    network = build_network(config.model)
    return validation.make_validation(
        config, lambda variables, slots: batch.BatchTracker(network, variables, config, slots)
    )


def with_validation(**values):
    return dataclasses.replace(SMALL, validation=ValidationConfig(**values))


@pytest.fixture(scope="module")
def variables():
    network = build_network(SMALL.model)
    options = {"xla_backend_optimization_level": 0}  # it runs once
    init = jax.jit(lambda k: init_variables(network, k, SMALL.model), compiler_options=options)
    return init(jax.random.key(3))


def success_of_one_tracker(variables, folder, frames):
    """Mean over videos of the mean over 21 thresholds of the frames that exceed them."""
    tracker = Tracker(build_network(SMALL.model), variables, SMALL)
    aucs = []
    for name in ("A", "B"):
        images = sorted((folder / "otb" / name / "img").iterdir())[:frames]
        images = [cv2.imread(str(path)) for path in images]
        tracker.init(images[0], BOXES[0])
        overlaps = [1.0]
        for t in range(1, frames):
            tracker.update(images[t])
            x, y, w, h = tracker.box_xywh
            tx, ty, tw, th = BOXES[t]
            across = max(0.0, min(x + w, tx + tw) - max(x, tx))
            common = across * max(0.0, min(y + h, ty + th) - max(y, ty))
            overlaps.append(common / (w * h + tw * th - common))
        passed = [[o > 0.05 * k for k in range(21)] for o in overlaps]
        aucs.append(np.mean(passed))
    return np.mean(aucs)


@pytest.mark.slow
def test_the_number_is_the_tracker_s_own(folders, variables, capsys):
    expected = success_of_one_tracker(variables, folders, 4)
    otb = make_validation(with_validation(data=str(folders / "otb"), max_frames=4))
    found = otb(variables)
    assert found.keys() == {"success_auc", "precision_20px", "norm_precision", "seconds"}
    assert found["success_auc"] == pytest.approx(expected, abs=1e-6)
    compiled = batch._advance._alone._cache_size()
    assert otb(variables)["success_auc"] == found["success_auc"]
    assert batch._advance._alone._cache_size() == compiled

    vot = with_validation(data=str(folders / "vot"), benchmark="vot2018", max_frames=4)
    # the start that VOT gives is the polygon's own rectangle, a little larger
    assert make_validation(vot)(variables)["success_auc"] == pytest.approx(expected, abs=0.15)
    assert capsys.readouterr().out == ""


def test_mistakes_show_before_training(folders):
    assert make_validation(SMALL) is None
    with pytest.raises(SequenceError, match="does not exist"):
        make_validation(with_validation(data=str(folders / "nothing")))
    with pytest.raises(SequenceError, match="names 'C', which is not among the 2 here"):
        make_validation(with_validation(data=str(folders / "otb"), sequences=("C",)))
    with pytest.raises(ConfigError, match=r"`validation\.benchmark` .* on a server"):
        make_validation(with_validation(data=str(folders), benchmark="got10k-test"))
    with pytest.raises(ConfigError, match=r"`validation\.max_frames` \(=1\)"):
        ValidationConfig(max_frames=1)


def test_a_sequence_that_cannot_be_used_is_named(folders, capsys):
    (folders / "otb" / "B" / "groundtruth_rect.txt").write_text("1,2,3\n")
    make_validation(with_validation(data=str(folders / "otb")))
    assert "validation: B: skipped:" in capsys.readouterr().out
