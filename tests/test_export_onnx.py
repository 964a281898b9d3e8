"""`siamjax export --format onnx`: the graphs give what the networks give."""

import dataclasses

import jax
import numpy as np
import pytest

import siamjax
from siamjax.config import Config
from siamjax.config_files import load_config
from siamjax.model import Model
from siamjax.models.build import build_network
from tests.conftest import ROOT
from tests.tracking.networks import random_variables

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Every kind of network and backbone, narrow where that is a number in its configuration.
NETWORKS = {
    "siamfc": {},
    "siamrpn_alexnet": {"backbone.width": 0.25},
    "dasiamrpn": {"backbone.width": 0.25},
    "siamrpnpp_alexnet": {"backbone.width": 0.25},
    "siamrpnpp_mobilenetv2_half": {},
    "siamrpnpp_r50": {"backbone.width": 0.125, "channels": (16, 24, 32)},
    "siammask_r50": {"backbone.width": 0.25, "channels": (32,)},
}


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
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, given), strict=True))


def close(found: dict, expected: list) -> None:
    for (name, array), other in zip(found.items(), expected, strict=True):
        other = stored(other)
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
    close(found, jax.tree.leaves(kernels))
    prediction = model.predict(kernels, search)
    maps = run(tmp_path / "out" / "search.onnx", {**found, "image": stored(search)})
    close(maps, jax.tree.leaves(prediction))
    if config.model.mask:
        features = {name: maps[name] for name in maps if name.startswith("mask_")}
        last = prediction.cls_logits.shape[1] - 1
        for cell in ([0, last], [3, 11], [last, last]):
            cell = np.array([cell], np.int32)
            mask = run(tmp_path / "out" / "mask.onnx", {**features, "cell": cell})
            close(mask, [model.predict_mask(prediction, cell)])


def test_runtimes_need_no_transposition(tmp_path):
    siamjax.load_model().export(tmp_path / "out", format="onnx")
    for name in ("template.onnx", "search.onnx"):
        graph = onnx.load(tmp_path / "out" / name).graph
        assert not [node for node in graph.node if node.op_type == "Transpose"], name
