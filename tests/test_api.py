import json
import logging
import shutil

import cv2
import jax
import numpy as np
import pytest

import siamjax
from siamjax.config import ConfigError
from siamjax.errors import InputError
from siamjax.model import Model
from siamjax.models import build
from siamjax.models.build import build_network
from siamjax.models.siamese import SiameseRPN
from siamjax.tracking.tracker import Tracker
from siamjax.training.checkpoints import CheckpointError, save_variables
from siamjax.training.workdir import write_config
from siamjax.weights import WeightsError
from tests.tracking.networks import random_variables, small_config
from tests.tracking.test_batch import film


@pytest.fixture(scope="module")
def config():
    return small_config()


@pytest.fixture(scope="module")
def variables(config):
    return random_variables(build_network(config.model), config)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, config, variables):
    folder = tmp_path_factory.mktemp("run") / "small"
    save_variables(folder, variables, config)
    return folder


@pytest.fixture(scope="module")
def model(config, workdir):
    return siamjax.load_model(config, workdir)


def same(variables, other):
    np.testing.assert_array_equal(
        variables["params"]["backbone"]["conv1"]["kernel"],
        other["params"]["backbone"]["conv1"]["kernel"],
    )


def test_a_template_is_encoded_once_and_scores_searches(model, config, rng):
    template = rng.uniform(0, 255, (2, 63, 63, 3)).astype(np.float32)
    features = model.encode_template(template)
    for _ in range(2):
        prediction = model.predict(features, rng.uniform(0, 255, (2, 143, 143, 3)))
        assert prediction.cls_logits.shape == (2, 13, 13, 5, 2)
        assert prediction.loc.shape == (2, 13, 13, 5, 4)
        assert prediction.cls_logits.dtype == prediction.loc.dtype == np.float32


def test_it_computes_what_the_network_does(model, variables, rng):
    template = rng.uniform(0, 255, (1, 63, 63, 3)).astype(np.float32)
    search = rng.uniform(0, 255, (1, 143, 143, 3)).astype(np.float32)
    ours = model.predict(model.encode_template(template), search)
    joint = jax.jit(model.network.apply)(variables, template, search)
    np.testing.assert_allclose(ours.cls_logits, joint.cls_logits, atol=1e-4)
    np.testing.assert_allclose(ours.loc, joint.loc, atol=1e-4)


def test_images_may_be_bytes_and_rgb(model, rng):
    template = rng.integers(0, 256, (1, 63, 63, 3), dtype=np.uint8)
    search = rng.integers(0, 256, (1, 143, 143, 3), dtype=np.uint8)
    bgr = model.predict(model.encode_template(template), search)
    features = model.encode_template(template[..., ::-1].astype(np.float32), color="rgb")
    rgb = model.predict(features, search[..., ::-1], color="rgb")
    np.testing.assert_array_equal(bgr.cls_logits, rgb.cls_logits)


def test_images_of_another_shape_are_refused(model):
    blank = np.zeros((1, 63, 63, 3), np.float32)
    for wrong in (np.uint16, np.int32, bool):
        with pytest.raises(
            ValueError, match=r"must be uint8, or floating: grey levels 0\.\.255"
        ):
            model.encode_template(blank.astype(wrong))
    with pytest.raises(ValueError, match=r"templates of `small` are \(b, 63, 63, 3\)"):
        model.encode_template(np.zeros((1, 127, 127, 3)))
    with pytest.raises(ValueError, match=r"must be \(b, n, n, 3\)"):
        model.encode_template(blank[0])
    features = model.encode_template(blank)
    for shape in [(1, 143, 151, 3), (2, 143, 143, 3)]:
        with pytest.raises(ValueError, match=r"expected: \(1, n, n, 3\)"):
            model.predict(features, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="`color`"):
        model.encode_template(blank, color="grey")


@pytest.mark.parametrize("part", ["", "checkpoints", "checkpoints/0"])
def test_weights_are_a_workdir_or_a_checkpoint_in_it(workdir, variables, part):
    loaded = siamjax.load_model(None, workdir / part)  # and its config.json is found
    assert loaded.config.name == "small"
    same(loaded.variables, variables)


def test_the_configuration_may_be_a_path(workdir, config):
    assert siamjax.load_model(str(workdir / "config.json"), str(workdir)).config == config


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"negative_prob": 2.0}, r"`data.negative_prob` \(=2.0\) must lie in \[0, 1\]"),
        ("data", {"positives": 100}, r"`data.positives` \(=100\) must be positive and at most"),
        ("data", {"sources": [{}]}, "a source needs either `path`"),
        ("data", {"labels": "anchor"}, "did you mean 'anchors'"),
        ("data", {"crop_size": 100}, r"`data.crop_size` \(=100\) must be at least"),
        ("train", {"epochs": 0}, r"`train.epochs` \(=0\)"),
    ],
)
def test_what_only_training_reads_is_checked_for_training_alone(
    workdir, config, variables, tmp_path, section, values, message
):
    shutil.copytree(workdir, tmp_path / "run")
    stated = json.loads((workdir / "config.json").read_text())
    stated[section] |= values
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(stated))
    for given in (None, path):
        model = siamjax.load_model(given, path.parent)
        assert (model.config.model, model.config.tracker) == (config.model, config.tracker)
        same(model.variables, variables)
    model.save(tmp_path / "small.safetensors")
    released = siamjax.load_model(weights=tmp_path / "small.safetensors")
    assert released.config == model.config
    with pytest.raises(ConfigError, match=message):
        siamjax.train(released.config, tmp_path / "next")
    with pytest.raises(ConfigError, match=message):
        siamjax.train(path, tmp_path / "next")
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize("section", ["model", "tracker"])
def test_what_tracking_reads_is_checked_for_tracking(workdir, tmp_path, section):
    stated = json.loads((workdir / "config.json").read_text())
    stated[section]["search_size"] = 144
    path = tmp_path / "config.json"
    path.write_text(json.dumps(stated))
    with pytest.raises(ConfigError, match=r"config\.json: .* by a multiple of the stride"):
        siamjax.load_model(path, workdir)


def test_a_tracker_is_loaded_alike_without_its_batch_norms(model, workdir, config, variables):
    tracker = siamjax.load_tracker(None, workdir)
    assert isinstance(tracker, Tracker) and tracker.config == config
    assert not tracker.variables["batch_stats"]
    assert "bn1" not in tracker.variables["params"]["backbone"]
    same(model.variables, variables)  # the model keeps them
    with_norms = Tracker(model.network, variables, config)
    frames = film(0, 160, 120, length=3)
    for follower in (tracker, with_norms):
        follower.init(frames[0], (60, 40, 30, 24))
        for frame in frames[1:]:
            follower.update(frame)
    np.testing.assert_allclose(tracker.box_xywh, with_norms.box_xywh, atol=1e-3)
    np.testing.assert_allclose(tracker.score, with_norms.score, atol=1e-4)


def test_of_random_weights_the_seed_decides(config, monkeypatch, caplog):
    # Real initial values compile for seconds; which key they get is what matters.
    def drawn(network, key, model_config):
        assert network == build_network(model_config)
        return {"params": {"x": jax.random.normal(key, (3,))}, "batch_stats": {}}

    monkeypatch.setattr("siamjax.api.init_variables", drawn)
    with caplog.at_level(logging.WARNING):
        model = siamjax.load_model(config, "random")
    assert "learnt nothing" in caplog.text
    expected = jax.random.normal(jax.random.key(config.train.seed), (3,))
    np.testing.assert_allclose(model.variables["params"]["x"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"), [("release", 0), ("workdir", 1), ("pysot", 1), ("random", 1)]
)
def test_a_network_is_traced_once_at_most(
    tmp_path, monkeypatch, model, workdir, kind, expected
):
    config = siamjax.load_config("siamrpnpp_alexnet") if kind == "pysot" else model.config
    weights = {"workdir": workdir, "random": "random"}.get(kind)
    if kind == "release":
        weights = tmp_path / "small.safetensors"
        model.save(weights)
    elif kind == "pysot":
        weights = tmp_path / "alexnet.pth"
        drawn = random_variables(build_network(config.model), config)
        Model(build_network(config.model), drawn, config).save_pysot(weights)
    traced = []
    encode_template = SiameseRPN.encode_template

    def counted(network, *arguments, **options):
        traced.append(network)
        return encode_template(network, *arguments, **options)

    monkeypatch.setattr(SiameseRPN, "encode_template", counted)
    build._shapes.cache_clear()
    siamjax.load_model(config, weights)
    assert len(traced) == expected


def test_what_is_missing_is_named(tmp_path, config, workdir):
    gone = tmp_path / "gone"
    with pytest.raises(ValueError, match=r"gone'\) does not exist; give a training's work"):
        siamjax.load_model(config, gone)
    with pytest.raises(ValueError, match=r"gone'\) does not exist"):
        siamjax.load_model(None, gone)
    with pytest.raises(ConfigError, match="no weights ship for the network of `small`") as told:
        siamjax.load_model(config)
    assert '"random" gives an untrained network' in str(told.value)
    with pytest.raises(ConfigError, match="random weights need a `config`"):
        siamjax.load_model(weights="random")
    with pytest.raises(ConfigError, match=r"no config\.json beside"):
        siamjax.load_tracker(None, tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        siamjax.load_tracker(config, tmp_path)


def test_a_file_that_holds_no_weights_is_refused(tmp_path, config):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"hello")
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        siamjax.load_model(config, file)
    write_config(tmp_path, config)
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        siamjax.load_model(None, file)  # the configuration was found beside it


BOXES = (60, 40, 30, 24), (20, 30, 40, 40)


def test_every_tracker_of_a_model_gives_the_same_results(model):
    first, *rest = film(0, 160, 120, length=3)
    one, several, slots = model.tracker(), model.multi_tracker(), model.batch_tracker(slots=2)
    one.init(first, BOXES[0])
    several.init(first, BOXES)
    for slot, box in enumerate(BOXES):
        slots.init(slot, first, box)
    tracked = model.track([first, *rest], BOXES[0])
    assert next(tracked).score == 1
    for frame in rest:
        result = one.update(frame)
        assert isinstance(result, siamjax.Result) and result.problem is None
        many, batch = several.update(frame), slots.update({1: frame, 0: frame})
        assert list(batch) == [1, 0]
        for other in (many[0], batch[0], next(tracked)):
            np.testing.assert_allclose(other.box_xywh, result.box_xywh, atol=1e-3)
            np.testing.assert_allclose(other.score, result.score, atol=1e-4)
    assert next(tracked, None) is None


def test_a_long_term_tracker_is_asked_for(model):
    assert model.tracker().config.tracker.long_term is None
    for follower in (model.tracker(long_term=True), model.batch_tracker(2, long_term=True)):
        assert follower.config.tracker.long_term is not None


def test_a_video_is_tracked_by_its_name(model, tmp_path):
    frames = film(0, 160, 120, length=3)
    for t, frame in enumerate(frames, 1):
        cv2.imwrite(str(tmp_path / f"{t:04d}.png"), frame)
    ours = [result.box_xywh for result in model.track(tmp_path, BOXES[0])]
    expected = [result.box_xywh for result in model.track(frames, BOXES[0])]
    np.testing.assert_array_equal(ours, expected)


def test_what_is_saved_tracks_alike(model, tmp_path):
    said = {"pairs": 8, "sources": [{"name": "drawn", "terms": "CC0"}]}
    model.save(tmp_path / "a.safetensors", provenance=said)
    again = siamjax.load_model(weights=tmp_path / "a.safetensors")
    assert again.config == model.config and again.provenance == said
    frames = film(0, 160, 120, length=3)
    for ours, theirs in zip(
        model.track(frames, BOXES[0]), again.track(frames, BOXES[0]), strict=True
    ):
        np.testing.assert_allclose(ours.box_xywh, theirs.box_xywh, atol=1e-3)
    again.save(tmp_path / "b.safetensors")
    assert siamjax.load_model(weights=tmp_path / "b.safetensors").provenance == said
    with pytest.raises(WeightsError, match=r"batch norms of `small` are folded, and PySOT"):
        again.save_pysot(tmp_path / "c.pth")


def test_a_model_is_evaluated(model, tmp_path):
    frames = film(0, 160, 120, length=3)
    folder = tmp_path / "data" / "Film"
    (folder / "img").mkdir(parents=True)
    for t, frame in enumerate(frames, 1):
        cv2.imwrite(str(folder / "img" / f"{t:04d}.png"), frame)
    boxes = [result.box_xywh for result in model.track(frames, BOXES[0])]
    rows = [
        ",".join(str(value) for value in np.add(box, (1, 1, 0, 0)).tolist()) for box in boxes
    ]
    (folder / "groundtruth_rect.txt").write_text("\n".join(rows) + "\n")
    report = siamjax.evaluate(model, "otb", data=tmp_path / "data", out=tmp_path / "out")
    # Its own boxes are the ground truth: right in every frame, at 20 of the 21 thresholds.
    assert report.overall["precision_20px"] == 1
    assert report.overall["success_auc"] == pytest.approx(20 / 21)
    assert report.sequences["Film"] == report.overall
    assert report.problems == [] and report.page.is_file()
    with pytest.raises(InputError, match=r"`slots` \(=-1\) must lie between"):
        siamjax.evaluate(model, "otb", data=tmp_path / "data", out=tmp_path / "no", slots=-1)


def test_a_training_is_told_what_to_override(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'lr'"):
        siamjax.train("quickstart", tmp_path / "run", overrides={"optim.lrr": 0.02})
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        siamjax.train("quickstrat", tmp_path / "run")
    assert not (tmp_path / "run").exists()
