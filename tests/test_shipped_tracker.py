"""The tracker that ships, as it was released."""

import subprocess
import sys

import numpy as np
import pytest

import siamjax
from siamjax import shipped
from siamjax.evaluation.metrics.ope import overlaps
from siamjax.text import read_boxes
from siamjax.video import open_frames
from siamjax.weights.release import read_about
from tests.conftest import ROOT

# Of the release: what is in the metadata, and the mean overlap with the boxes that were drawn
# by hand on the example clip, in 0-based pixels, a line a frame.
RECORDED = {"name": "siamjax_small", "megabytes": 6.5, "pairs": 48_000, "mean_overlap": 0.842}
CLIP = shipped.FOLDER / "example.mp4"
TRUTH = ROOT / "tests" / "goldens" / "example_boxes.txt"

pytestmark = pytest.mark.skipif(
    not shipped.catalogue(), reason="no tracker ships in this copy of siamjax"
)


def test_it_loads_and_is_what_was_released():
    path = shipped.weights_of()  # raises where its checksum is another one
    about = read_about(path)
    model = siamjax.load_model()
    assert next(iter(shipped.catalogue())) == about.config.name == RECORDED["name"]
    assert model.config == about.config
    assert model.config.model == siamjax.load_config(ROOT / "configs/siamjax_small.py").model
    assert path.stat().st_size <= 1e6 * RECORDED["megabytes"]
    assert about.provenance["pairs"] == RECORDED["pairs"]
    terms = [source["terms"].lower() for source in about.provenance["sources"]]
    assert not any("research" in term for term in terms)


@pytest.mark.skipif(
    not (CLIP.is_file() and TRUTH.is_file()), reason="the example clip is not here"
)
def test_it_follows_the_example():
    truth = np.array(read_boxes(TRUTH))
    frames = [frame for frame in open_frames(str(CLIP))]
    assert len(frames) == len(truth)
    tracker = siamjax.load_tracker()
    tracker.init(frames[0], truth[0])
    boxes = [truth[0]]
    for frame in frames[1:]:
        tracker.update(frame)
        boxes.append(tracker.box_xywh)
    measured = overlaps(truth, np.array(boxes)).mean()
    assert measured == pytest.approx(RECORDED["mean_overlap"], abs=0.02)


def test_nothing_of_training_is_imported_for_it():
    program = """
import sys, siamjax
siamjax.load_tracker()
unwanted = {"optax", "orbax", "grain", "tensorflow_datasets", "torch", "siamjax.training"}
print(*sorted(unwanted & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
