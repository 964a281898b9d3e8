"""What ships, with a stand-in for the file: `test_shipped_tracker.py` is about the real one."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

import siamjax
from siamjax import shipped
from siamjax.cli import main
from siamjax.config import ConfigError
from siamjax.errors import InputError
from siamjax.models.build import build_network
from siamjax.models.folding import fold_batch_norm
from siamjax.weights.release import write_release
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config
from tests.tracking.test_batch import film

ABOUT = {
    "speed": "44 frames/s on 640 x 480, two cores",
    "scores": {"success AUC": 0.62, "precision at 20 px": 0.8},
    "licence": "Apache-2.0",
    "summary": "Stands in.",
}


@pytest.fixture(scope="module")
def config():
    return dataclasses.replace(small_config(), name="standin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("shipped")
    variables = random_variables(build_network(config.model), config)
    provenance = {"pairs": 1, "sources": [{"name": "none", "terms": "CC0"}]}
    path = folder / "standin.safetensors"
    write_release(path, config, fold_batch_norm(config.model, variables)[1], provenance)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    trackers = {"standin": {"file": path.name, "sha256": digest, **ABOUT}}
    (folder / "shipped.json").write_text(json.dumps({"trackers": trackers}))
    return folder


@pytest.fixture
def ships(folder, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", folder)
    return folder


@pytest.mark.parametrize(
    "arguments", [(), ("standin",), (None, "standin"), ("standin", "standin")]
)
def test_it_is_what_comes_without_arguments_and_by_its_name(ships, config, arguments):
    model = siamjax.load_model(*arguments)
    assert model.config == config and model.folded() is model
    tracker = siamjax.load_tracker(*arguments)
    frames = film(0, 160, 120, length=2)
    tracker.init(frames[0], (60, 40, 30, 24))
    tracker.update(frames[1])
    assert np.isfinite(tracker.box_xywh).all()


def test_loading_traces_nothing(ships, monkeypatch):
    def never(*_):
        raise AssertionError("traced")

    monkeypatch.setattr("jax.eval_shape", never)
    assert siamjax.load_tracker().config.name == "standin"


def test_a_configuration_of_its_network_takes_its_weights(ships, config):
    tracker = dataclasses.replace(config.tracker, window_influence=0.1)
    tuned = dataclasses.replace(config, name="tuned", tracker=tracker)
    assert siamjax.load_model(tuned).config == tuned


def test_another_configuration_without_weights_says_how(ships):
    with pytest.raises(ConfigError, match=r"network of `quickstart` \(with weights: `standin`"):
        siamjax.load_tracker(ROOT / "configs" / "quickstart.py")


def test_a_path_goes_before_a_name(ships, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "standin").mkdir()
    with pytest.raises(ConfigError, match=r"no config\.json beside `weights`"):
        siamjax.load_model(weights="standin")


def test_models_lists_it(ships, capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("standin\n")
    size = (ships / "standin.safetensors").stat().st_size / 1e6
    for text in (
        f"{size:.1f} MB",
        "44 frames/s",
        "success AUC 0.62",
        "Apache-2.0",
        "Stands in.",
    ):
        assert text in printed


def broken(folder, tmp_path, change):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change(tmp_path)
    return tmp_path


def flip(folder):
    path = folder / "standin.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip, r"standin\.safetensors, which ships with siamjax, is damaged \(its sha256 is"),
        (lambda f: (f / "standin.safetensors").unlink(), r"cannot be read \(No such file"),
        (lambda f: (f / "standin.safetensors").write_bytes(b""), "is damaged"),
        (lambda f: (f / "shipped.json").unlink(), r"shipped\.json.* cannot be read"),
        (lambda f: (f / "shipped.json").write_text("["), r"shipped\.json.* cannot be read"),
        (lambda f: (f / "shipped.json").write_text("[1]"), r"shipped\.json.* cannot be read"),
        (
            lambda f: (f / "shipped.json").write_text('{"trackers": {"x": {}}}'),
            "cannot be read",
        ),
    ],
)
def test_a_damaged_installation_says_so(folder, tmp_path, monkeypatch, change, message, capsys):
    monkeypatch.setattr(shipped, "FOLDER", broken(folder, tmp_path, change))
    with pytest.raises(InputError, match=message) as error:
        siamjax.load_tracker()
    assert "reinstall siamjax" in str(error.value)
    assert main(["models"]) == 1
    assert "reinstall siamjax" in capsys.readouterr().err


def test_a_copy_without_weights_says_what_to_give(tmp_path, monkeypatch, capsys):
    (tmp_path / "shipped.json").write_text("{}")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(InputError, match="ships no weights; give `weights`"):
        siamjax.load_tracker()
    assert main(["models"]) == 0
    assert "ships no trackers" in capsys.readouterr().out
