"""`siamjax export`: what it writes can be served without siamjax."""

import json
import re

import jax
import numpy as np
import pytest

from siamjax.cli import main
from siamjax.config import Config, LongTermConfig, TrackerConfig
from siamjax.models.build import build_network
from siamjax.tracking.exported import ExportError, check_export, export
from siamjax.tracking.tracker import Tracker
from siamjax.training.checkpoints import save_variables
from tests.conftest import ROOT
from tests.tracking.networks import SeesBrightness, random_variables, small_config
from tests.tracking.test_batch import film

pytest.importorskip("flatbuffers")

EMPTY = {"params": {}, "batch_stats": {}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config = small_config()
    folder = tmp_path_factory.mktemp("run") / "weights"
    save_variables(folder, random_variables(build_network(config.model), config), config)
    return folder


@pytest.fixture(scope="module")
def served(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "served"
    arguments = ["--weights", str(weights), "--width", "200", "--height", "150"]
    assert main(["export", "--out", str(folder), *arguments]) == 0
    return folder


def test_the_documented_example_serves_what_the_tracker_gives(served, weights):
    text = (ROOT / "docs" / "export.md").read_text()
    program, _ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "siamjax" not in program
    names = {}
    exec(program, names)
    server = names["Served"](served)
    config = small_config()
    network = build_network(config.model)
    follower = Tracker(network, random_variables(network, config), config)
    frames = film(5, 190, 140, length=4)
    for one in (server, follower):
        one.init(frames[0], (60, 40, 30, 24))
    for frame in frames[1:]:
        box, score = server.update(frame)
        follower.update(frame)
        np.testing.assert_allclose(box, follower.box_xywh, atol=1e-3)
        np.testing.assert_allclose(score, follower.score, atol=1e-4)


def test_the_folder_says_what_it_holds(served):
    names = {"init.stablehlo", "update.stablehlo", "variables.npz", "manifest.json"}
    assert {path.name for path in served.iterdir()} == names
    manifest = json.loads((served / "manifest.json").read_text())
    assert manifest["frame"] == [256, 256, 3]  # the bucket of 200 x 150
    assert manifest["platforms"] == ["cpu"] and manifest["color"] == "bgr"
    assert manifest["updates"] == {"143": "update.stablehlo"}
    assert manifest["lost_score"] == small_config().tracker.lost_score


def test_other_weights_are_noticed(served):
    config = small_config()
    network = build_network(config.model)
    variables = random_variables(network, config)
    changed = jax.tree.map(lambda x: x * np.float32(1.3), variables)
    with pytest.raises(ExportError, match="differs by"):
        check_export(served, network, changed, config)
    assert check_export(served, network, variables, config) < 1e-2


def test_a_long_term_tracker_has_an_update_for_each_size(tmp_path):
    rules = LongTermConfig(search_size=319, search_step=32)
    config = Config(name="test", tracker=TrackerConfig(long_term=rules))
    network = SeesBrightness()
    export(
        tmp_path / "out", network, EMPTY, config, width=99, height=99, platforms=("cpu", "cuda")
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["search_sizes"] == [255, 287, 319]
    assert manifest["updates"] == {
        "255": "update.stablehlo",
        "287": "update_287.stablehlo",
        "319": "update_319.stablehlo",
    }
    assert check_export(tmp_path / "out", network, EMPTY, config) < 1e-2


def test_what_cannot_be_exported_is_refused(weights, tmp_path, capsys):
    good = ["export", "--weights", str(weights)]
    assert main([*good, "--out", str(tmp_path)]) == 1
    assert "exists" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "out")]
    assert main([*good, *out, "--width", "0"]) == 1
    assert "`--width` (=0)" in capsys.readouterr().err
    assert main(["export", "--weights", str(tmp_path / "gone"), *out]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
