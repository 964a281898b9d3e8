"""`siamjax export --format onnx`: the graphs give what the networks give."""

import dataclasses
import importlib.util
import re
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest

import siamjax
from siamjax.cli import main
from siamjax.config import Config, DistractorConfig, LongTermConfig
from siamjax.config_files import load_config
from siamjax.errors import InputError
from siamjax.model import Model
from siamjax.models.build import build_network
from siamjax.shipped import read_example
from siamjax.tracking.frames import FrameError
from siamjax.video import open_frames
from tests.conftest import ROOT
from tests.tracking.networks import random_variables, small_config
from tests.tracking.test_batch import film

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Every kind of network and backbone, narrow where that is a number in its configuration.
NETWORKS = {
    "siamfc": {},
    "siamrpn_alexnet": {"backbone.width": 0.25},
    "dasiamrpn": {"backbone.width": 0.25},
    "siamrpnpp_alexnet": {"backbone.width": 0.25},
    "siamrpnpp_mobilenetv2_half": {"backbone.width": 0.25, "channels": (16, 24, 32)},
    "siamrpnpp_r50": {"backbone.width": 0.125, "channels": (16, 24, 32)},
    "siammask_r50": {"backbone.width": 0.25, "channels": (32,)},
}
DAILY = ("siamfc", "siamrpnpp_alexnet")  # of the tests of a dynamic batch


def narrow(name: str) -> Config:
    config = load_config(ROOT / "configs" / f"{name}.py", to_track=True)
    values = dict(NETWORKS[name])
    if width := values.pop("backbone.width", None):
        values["backbone"] = dataclasses.replace(config.model.backbone, width=width)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **values))


def model_of(config: Config) -> Model:
    network = build_network(config.model)
    return Model(network, random_variables(network, config), config)


def stored(array) -> np.ndarray:
    """An array with channels last as the graphs have it: batch, channels, rows, columns."""
    array = np.asarray(array)
    axes = (0, *range(array.ndim - 1, 2, -1), 1, 2) if array.ndim > 3 else range(array.ndim)
    return np.ascontiguousarray(array.transpose(*axes))


def run(path, given: dict) -> dict:
    """A graph's outputs by name, in ONNX Runtime, which OpenCV agrees with."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(None, given), strict=True))
    close(run_in_opencv(path, given, names), found.values())
    return found


def run_in_opencv(path, given: dict, names) -> dict:
    network = cv2.dnn.readNet(str(path))
    for name, array in given.items():
        network.setInput(array, name)
    return dict(zip(names, network.forward(list(names)), strict=True))


def close(found: dict, expected) -> None:
    """Within 1e-4, of the largest output where that exceeds one."""
    for (name, array), other in zip(found.items(), expected, strict=True):
        limit = 1e-4 * max(1.0, np.abs(other).max())
        np.testing.assert_allclose(array, other, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_gives_what_the_network_gives(name, tmp_path):
    config = narrow(name)
    model = model_of(config)
    rng = np.random.default_rng(3)
    sides = config.model.template_size, config.tracker.search_size
    template, search = (rng.uniform(0, 255, (1, s, s, 3)).astype(np.float32) for s in sides)
    model.export(tmp_path / "out", format="onnx")
    kernels = model.encode_template(template)
    found = run(tmp_path / "out" / "template.onnx", {"image": stored(template)})
    close(found, map(stored, jax.tree.leaves(kernels)))
    prediction = model.predict(kernels, search)
    maps = run(tmp_path / "out" / "search.onnx", {**found, "image": stored(search)})
    close(maps, map(stored, jax.tree.leaves(prediction)))
    if config.model.mask:
        features = {name: maps[name] for name in maps if name.startswith("mask_")}
        last = prediction.cls_logits.shape[1] - 1
        for cell in ([0, last], [3, 11], [last, last]):
            cell = np.array([cell], np.int32)
            mask = run(tmp_path / "out" / "mask.onnx", {**features, "cell": cell})
            close(mask, [model.predict_mask(prediction, cell)])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in DAILY else pytest.mark.nightly)
        for name in NETWORKS
    ],
)
def test_graphs_with_a_dynamic_batch_take_any_number_of_images(name, tmp_path):
    config = narrow(name)
    model = model_of(config)
    model.export(tmp_path / "out", format="onnx", dynamic_batch=True)
    rng = np.random.default_rng(3)
    sides = config.model.template_size, config.tracker.search_size
    encode, score = (
        onnxruntime.InferenceSession(tmp_path / "out" / f"{each}.onnx")
        for each in ("template", "search")
    )
    for count in (1, 3):
        shape = ((count, side, side, 3) for side in sides)
        template, search = (rng.uniform(0, 255, each).astype(np.float32) for each in shape)
        kernels = model.encode_template(template)
        names = [each.name for each in encode.get_outputs()]
        found = dict(zip(names, encode.run(None, {"image": stored(template)}), strict=True))
        close(found, map(stored, jax.tree.leaves(kernels)))
        names = [each.name for each in score.get_outputs()]
        maps = score.run(None, {**found, "image": stored(search)})
        prediction = model.predict(kernels, search)
        close(dict(zip(names, maps, strict=True)), map(stored, jax.tree.leaves(prediction)))


def test_several_targets_share_one_call_of_a_graph_with_a_dynamic_batch(tmp_path):
    config = small_config()
    model = model_of(config)
    model.export(tmp_path / "out", format="onnx", dynamic_batch=True)
    served = siamjax.load_model(weights=tmp_path / "out")
    rows, search = [], served.network._run["search.onnx"]
    served.network._run["search.onnx"] = lambda given: (
        rows.append(len(given["image"])) or search(given)
    )
    frames = film(0, 160, 120)
    boxes = np.array([[50, 40, 30, 24], [80, 60, 20, 30], [20, 30, 24, 24]], np.float32)
    ours, theirs = (each.multi_tracker() for each in (model, served))
    for tracker in (ours, theirs):
        tracker.init(frames[0], boxes)
    for frame in frames[1:]:
        pairs = zip(theirs.update(frame), ours.update(frame), strict=True)
        for found, expected in pairs:
            np.testing.assert_allclose(found.box_xywh, expected.box_xywh, atol=1e-2)
    assert rows == [3] * (len(frames) - 1)


def test_programs_have_no_dynamic_batch(tmp_path):
    with pytest.raises(InputError, match=r"`dynamic_batch` \(=True\) is for ONNX graphs"):
        model_of(small_config()).export(tmp_path / "out", dynamic_batch=True)


def test_runtimes_need_no_transposition(tmp_path):
    siamjax.load_model().export(tmp_path / "out", format="onnx")
    for name in ("template.onnx", "search.onnx"):
        graph = onnx.load(tmp_path / "out" / name).graph
        assert not [node for node in graph.node if node.op_type == "Transpose"], name


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Folders of the tracker that ships, by format."""
    root = tmp_path_factory.mktemp("shipped")
    for form in ("onnx", "stablehlo"):
        options = ["--width", "320", "--height", "320"]
        assert main(["export", "--format", form, "--out", str(root / form), *options]) == 0
    return root


def clip():
    example = read_example()
    return [float(x) for x in example.init.split(",")], list(open_frames(str(example.path)))


def test_the_documented_example_follows_as_the_tracker_does(shipped):
    text = (ROOT / "docs" / "export.md").read_text()
    _, program = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "siamjax" not in program and "jax" not in program
    names = {}
    exec(program, names)
    box, frames = clip()
    server, tracker = names["Served"](shipped / "onnx"), siamjax.load_tracker()
    for one in (server, tracker):
        one.init(frames[0], box)
    for frame in frames[1:]:
        found, score = server.update(frame)
        result = tracker.update(frame)
        np.testing.assert_allclose(found, result.box_xywh, atol=0.5)
        np.testing.assert_allclose(score, result.score, atol=1e-2)


@pytest.mark.parametrize(
    "form, engine",
    [("stablehlo", None), ("stablehlo", "jax"), ("onnx", None), ("onnx", "openvino")],
)
def test_a_folder_follows_as_the_tracker_does(shipped, form, engine):
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    box, frames = clip()
    tracker = siamjax.load_tracker()
    served = siamjax.load_tracker(weights=shipped / form, engine=engine)
    for one in (served, tracker):
        one.init(frames[0], box)
    for frame in frames[1:]:
        found, result = served.update(frame), tracker.update(frame)
        np.testing.assert_allclose(found.box_xywh, result.box_xywh, atol=0.5)
        np.testing.assert_allclose(found.score, result.score, atol=1e-3)
        assert found.is_lost == result.is_lost


def small(**settings) -> Model:
    config = small_config()
    tracker = dataclasses.replace(config.tracker, **settings)
    return model_of(dataclasses.replace(config, tracker=tracker))


def kinds() -> dict:
    """Models of which each needs something else of its folder."""
    rules = LongTermConfig(
        search_size=191, search_step=24, confidence_low=1.0, confidence_high=1.0
    )
    return {
        "short": lambda: small(),
        "long-term": lambda: small(long_term=rules),
        "distractors": lambda: small(distractors=DistractorConfig(min_score=0.0)),
        "siamfc": lambda: model_of(narrow("siamfc")),
        "siammask": lambda: model_of(narrow("siammask_r50")),
    }


def kinds_and_forms() -> list:
    """All of both at night; by day one of each form, and a state that changes its graph."""
    daily = [("short", "onnx"), ("long-term", "onnx"), ("short", "stablehlo")]
    pairs = [(kind, form) for kind in kinds() for form in ("onnx", "stablehlo")]
    return [
        pytest.param(*pair, marks=() if pair in daily else pytest.mark.nightly)
        for pair in pairs
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind, form", kinds_and_forms())
def test_several_targets_are_followed_from_a_folder(kind, form, tmp_path):
    model = kinds()[kind]()
    model.export(tmp_path / "out", format=form, width=190, height=140)
    served = siamjax.load_model(weights=tmp_path / "out")
    boxes = [(60, 40, 30, 24), (20, 30, 25, 40)]
    frames = film(5, 190, 140, length=4)
    pair = served.multi_tracker(), model.multi_tracker()
    for each in pair:
        each.init(frames[0], boxes)
    for frame in frames[1:]:
        for found, result in zip(*(each.update(frame) for each in pair), strict=True):
            np.testing.assert_allclose(found.box_xywh, result.box_xywh, atol=1e-2)
            np.testing.assert_allclose(found.score, result.score, atol=1e-4)
            assert (found.is_lost, found.steps_lost) == (result.is_lost, result.steps_lost)
            if result.mask is not None:
                np.testing.assert_allclose(found.mask, result.mask, atol=1e-3)
                np.testing.assert_allclose(found.polygon, result.polygon, atol=0.5)
    assert kind != "long-term" or result.steps_lost == 2
    batch = served.batch_tracker(3), model.batch_tracker(3)
    for each in batch:
        for slot, box in enumerate(boxes):
            each.init(slot, frames[0], box)
    found, result = (each.update({0: frames[1], 1: frames[1]}) for each in batch)
    for slot in (0, 1):
        np.testing.assert_allclose(found[slot].box_xywh, result[slot].box_xywh, atol=1e-2)


def test_what_a_folder_cannot_do_is_refused_by_name(shipped, tmp_path):
    onnx_folder, programs = shipped / "onnx", shipped / "stablehlo"
    with pytest.raises(InputError, match="`engine` \\(='jax'\\) cannot run onnx"):
        siamjax.load_model(weights=onnx_folder, engine="jax")
    with pytest.raises(InputError, match="`engine` \\(='openvino'\\) cannot run stablehlo"):
        siamjax.load_model(weights=programs, engine="openvino")
    with pytest.raises(InputError, match="`engine` \\(='openvino'\\) runs folders of"):
        siamjax.load_model(engine="openvino")
    with pytest.raises(InputError, match="leave `config` out"):
        siamjax.load_model(small_config(), onnx_folder)
    served = siamjax.load_model(weights=programs)
    with pytest.raises(InputError, match="exported as a short-term tracker"):
        served.tracker(long_term=True)
    with pytest.raises(InputError, match="cannot be written again"):
        served.export(tmp_path / "again")
    with pytest.raises(InputError, match="take whole frames"):
        served.encode_template(np.zeros((1, 111, 111, 3), np.uint8))
    with pytest.raises(FrameError, match="larger than the 512 x 512 pixels"):
        served.tracker().init(np.zeros((320, 600, 3), np.uint8), (10, 10, 50, 50))
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is none that this"):
        siamjax.load_model(weights=folder)


def test_an_unknown_primitive_is_named():
    from siamjax.tracking.onnx_graph import to_onnx

    shape = jax.ShapeDtypeStruct((2, 3), np.float32)
    with pytest.raises(InputError, match="`sort` has no ONNX form here"):
        to_onnx(lambda x: [jax.numpy.sort(x)], [shape], ["x"], ["y"])


def test_one_core_is_enough(shipped):
    """A callback that waits for the thread which it blocks would never end."""
    program = (
        "import os, sys, numpy as np, siamjax\n"
        "tracker = siamjax.load_tracker(weights=sys.argv[1])\n"
        "frame = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)\n"
        "tracker.init(frame, (100, 80, 60, 50))\n"
        "for _ in range(5):\n"
        "    print(tracker.update(frame).score)\n"
    )
    pinned = f"import os; os.sched_setaffinity(0, {{0}})\n{program}"
    subprocess.run(
        [sys.executable, "-c", pinned, str(shipped / "onnx")], check=True, timeout=120
    )
