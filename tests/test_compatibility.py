"""Files that siamjax wrote before the rebuild still load, with the same numbers.

tests/goldens/before/README.md says how they were made.
"""

import json
import tarfile

import jax
import numpy as np
import pytest
from jax import export

import siamjax
from siamjax.config_files import load_config
from siamjax.data.sources import RecordSource
from siamjax.images import decode_image
from siamjax.studies.runs import prepare_workdir
from siamjax.studies.study import Study, Variant
from siamjax.tracking.frames import pad_frames
from siamjax.tracking.served import read_variables
from tests.conftest import ROOT

GOLDENS = ROOT / "tests" / "goldens" / "before"
BOX = (50.0, 40.0, 30.0, 24.0)


def frames():
    """As goldens/before/make.py: a texture that moves, [4, 96, 128, 3] uint8."""
    texture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    return np.stack([np.roll(texture, (2 * t, 3 * t), (0, 1)) for t in range(4)])


def track(config, weights):
    """x, y, w, h and score in each frame but the first."""
    tracker = siamjax.load_tracker(config, weights)
    tracker.init(frames()[0], BOX)
    rows = []
    for frame in frames()[1:]:
        tracker.update(frame)
        rows.append([*np.ravel(tracker.box_xywh), float(tracker.score)])
    return np.array(rows)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The folder with one file of each kind."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(GOLDENS / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDENS / "expected.npz") as stored:
        return dict(stored)


def test_a_configuration(before):
    config = load_config(before / "run" / "config.json")
    assert (config.name, config.model.score_size, config.train.steps) == ("before", 9, 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (17, r"`model.score_size` \(=17\) must be .* \(111 - 63\) / 8 \+ 1 \+ 2 = 9"),
        ("9", r"`model.score_size` \(='9'\) must be"),
    ],
)
def test_a_score_size_that_does_not_follow_is_refused(before, tmp_path, value, message):
    values = json.loads((before / "run" / "config.json").read_text())
    values["model"]["score_size"] = value
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(siamjax.SiamjaxError, match=message):
        load_config(tmp_path / "config.json")


def test_a_checkpoint(before, expected):
    model = siamjax.load_model(weights=before / "run")
    template = model.encode_template(frames()[:1, 16:79, 32:95])
    search = np.pad(frames()[1:2], ((0, 0), (8, 7), (0, 0), (0, 0)))[:, :111, 8:119]
    prediction = model.predict(template, search)
    for name in ("cls_logits", "loc"):
        np.testing.assert_allclose(getattr(prediction, name), expected[name], atol=1e-4)


def test_a_run_tracks(before, expected):
    boxes = track(before / "run" / "config.json", before / "run")
    np.testing.assert_allclose(boxes, expected["run"], atol=1e-2)


def test_a_release(before, expected):
    boxes = track(None, before / "release.safetensors")
    np.testing.assert_allclose(boxes, expected["release"], atol=1e-2)


def test_an_export(before, expected):
    def program(name):
        return jax.jit(export.deserialize(bytearray((folder / name).read_bytes())).call)

    folder = before / "export"
    first, second = pad_frames(list(frames()[:2]))
    size, variables = np.float32([128, 96]), read_variables(folder)
    state = program("init.stablehlo")(variables, first, size, np.float32(BOX))
    _, output = program("update.stablehlo")(variables, state, second, size)
    found = [*output["box_xywh"], output["score"]]
    np.testing.assert_allclose(found, expected["release"][0], atol=1e-2)


def test_prepared_records(before, expected):
    source = RecordSource(before / "prepared")
    records = [source.read(number) for number in range(len(source))]
    boxes = [record["box_xyxy"] for record in records]
    np.testing.assert_array_equal(boxes, expected["boxes_xyxy"])
    means = [decode_image(record["image"]).mean((0, 1)) for record in records]
    np.testing.assert_allclose(means, expected["image_means"], atol=1)


def test_a_study(before):
    config = load_config(before / "run" / "config.json")
    study = Study(
        name="study",
        question="Is it read?",
        base="before",
        variants=(Variant(name="before", config=config),),
    )
    prepare_workdir(study, before / "study")
    variants = json.loads((before / "study" / "study.json").read_text())["variants"]
    assert variants.keys() == {"before", "faster"}
