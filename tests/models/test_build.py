"""Every configuration builds what it says, and those that cannot be are refused."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from siamjax.config import BackboneConfig
from siamjax.config_files import load_config
from siamjax.models.build import NetworkError, build_network, init_variables
from tests.models.networks import MODELS, quick_jit

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# Weights, biases and batch norms' affine parameters of the published networks.
PARAMETERS = {
    "siamrpnpp_r50": {"backbone": 45_528_128, "neck": 919_040, "head": 7_503_450, "fusion": 6},
    "siamrpnpp_r50_otb": {"backbone": 45_528_128, "neck": 919_040, "head": 7_503_450},
    "siamrpnpp_r50_lt": {
        "backbone": 45_528_128,
        "neck": 1_378_048,
        "head": 13_112_154,
        "fusion": 6,
    },
    "siammask_r50": {
        "backbone": 13_786_176,
        "neck": 262_656,
        "head": 2_501_150,
        "mask_head": 2_266_753,
        "refine_head": 2_665_317,
    },
    "siamrpnpp_mobilenetv2": {"backbone": 3_485_204, "neck": 161_792, "head": 7_503_450},
    "siamrpnpp_alexnet": {"backbone": 3_749_952, "head": 2_501_150},
    "siamrpn_alexnet": {"backbone": 3_749_952, "head": 18_882_980},
    "dasiamrpn": {"backbone": 3_749_952, "head": 18_882_980},
    "siamrpn_vot2018": {"backbone": 14_921_856, "head": 75_514_276},
    "siamfc": {"backbone": 2_336_320},
}
TOTALS = {
    "siamrpnpp_r50": 53_950_624,
    "siamrpnpp_r50_otb": 53_950_618,
    "siamrpnpp_r50_lt": 60_018_336,
    "siammask_r50": 21_482_052,
    "siamrpnpp_mobilenetv2": 11_150_446,
    "siamrpnpp_alexnet": 6_251_102,
    "siamrpn_alexnet": 22_632_932,
    "dasiamrpn": 22_632_932,
    "siamrpn_vot2018": 90_436_132,
    "siamfc": 2_336_320,
}


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda p: p.stem)
def test_configurations(path):
    """Training's and tracking's forward pass, shapes only; counts where they are published."""
    config = load_config(path)
    model = config.model
    network = build_network(model)
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, model), jax.random.key(0)
    )
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    if config.name in PARAMETERS:
        params = variables["params"]
        assert {room: count(tree) for room, tree in params.items()} == PARAMETERS[config.name]
        assert count(params) == TOTALS[config.name]

    def predict(variables, template, search):
        features = network.apply(variables, template, method=network.encode_template)
        return network.apply(variables, features, search, method=network.predict)

    side = config.tracker.search_size
    template, search = (jnp.zeros((2, side, side, 3)) for side in (model.template_size, side))
    prediction = jax.eval_shape(predict, variables, template, search)
    cells = model.score_size_for(side)
    anchors = model.anchors.count
    if model.correlation == "plain":
        assert prediction.cls_logits.shape == (2, cells, cells, 1, 1)
        assert prediction.loc is None
    else:
        assert prediction.cls_logits.shape == (2, cells, cells, anchors, 2)
        assert prediction.loc.shape == (2, cells, cells, anchors, 4)


def test_variables_are_plain_dictionaries_under_pytorch_like_names():
    config = load_config(CONFIGS / "quickstart.py").model
    network = build_network(config)
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, config), jax.random.key(0)
    )
    assert type(variables["params"]) is dict
    assert set(variables) == {"params", "batch_stats"}
    shape = {
        "/".join(k.key for k in path): x.shape
        for path, x in jax.tree_util.tree_leaves_with_path(variables)
    }
    assert shape["params/backbone/conv1/kernel"] == (7, 7, 3, 16)
    assert shape["params/backbone/layer2/block0/downsample/conv/kernel"] == (3, 3, 16, 32)
    assert shape["batch_stats/backbone/layer4/block1/bn2/var"] == (128,)
    assert shape["params/neck/layer3/bn/scale"] == (64,)
    assert shape["params/head/layer4/cls/kernel/conv/kernel"] == (3, 3, 64, 64)
    assert shape["params/head/layer4/loc/output/conv1/bias"] == (20,)
    assert shape["params/fusion/loc_weight"] == (3,)


def test_equal_configurations_give_equal_networks():
    """A network is a static argument of jitted functions: a second one must not recompile."""
    remat = dataclasses.replace(MODELS["resnet18"], remat=True)
    for config in (MODELS["resnet18"], MODELS["siamfc"], remat):
        assert build_network(config) == build_network(dataclasses.replace(config))
        assert hash(build_network(config)) == hash(build_network(config))


def test_one_level_has_no_fusion_weights():
    config = dataclasses.replace(MODELS["resnet18"], levels=("layer3",), channels=(8,))
    network = build_network(config)
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, config), jax.random.key(0)
    )
    assert set(variables["params"]) == {"backbone", "neck", "head"}


def test_initialisation():
    """Spread of fresh parameters: He by fan-out in the backbone, PyTorch's default beyond."""
    config = dataclasses.replace(MODELS["resnet18"], levels=("layer3",), channels=(12,))
    network = build_network(config)
    init = quick_jit(lambda key: init_variables(network, key, config))
    params = init(jax.random.key(0))["params"]
    stem = params["backbone"]["conv1"]["kernel"]
    assert stem.std() == pytest.approx((2 / (7 * 7 * 8)) ** 0.5, rel=0.1)
    head = params["head"]["layer3"]["loc"]
    kernel, bias = head["search"]["conv"]["kernel"], head["output"]["conv1"]["bias"]
    bound = (3 * 3 * 12) ** -0.5
    assert 0.95 * bound < abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.1)
    assert 0 < abs(bias).max() <= 12**-0.5


BAD = [
    (
        "resnet18",
        {"template_size": 5, "search_size": 37},
        "`model.template_size` (=5) and `model.search_size` (=37): a feature map of",
    ),
    ("resnet18", {"template_crop": 9}, "to 9 cells; choose a crop of 1 to 7 cells"),
    ("resnet18", {"template_crop": 4}, "to its middle 4 cells: the difference must be even"),
    ("resnet18", {"template_crop": 1}, "too small for a kernel of 3 taps"),
    (
        "resnet18",
        {"template_crop": 3},
        "`model.score_size` (=7) must be the side of the network's score map, which has 9 x 9",
    ),
    (
        "alexnet up_channel",
        {"backbone": BackboneConfig(name="alexnet", width=0.001)},
        "choose another `model.backbone.width`",
    ),
    (
        "alexnet up_channel",
        {"backbone": BackboneConfig(name="alexnet", width=0.125, dilated=False)},
        "has neither dilation nor padding",
    ),
    (
        "alexnet up_channel",
        {"backbone": BackboneConfig(name="alexnet", width=0.125, padding="cropped")},
        "has neither dilation nor padding",
    ),
    (
        "resnet18",
        {"backbone": BackboneConfig(name="resnet18", width=0.125, padding="cropped")},
        "too small for a kernel",
    ),
    (
        "resnet18",
        {
            "backbone": BackboneConfig(name="resnet18", width=0.125, dilated=False),
            "template_crop": None,
        },
        "choose levels of one stride",
    ),
    ("siamfc", {"neck": True}, "`model.neck` (=True) does not suit"),
    ("siamfc", {"template_crop": 3}, "`model.template_crop` (=3) does not suit"),
    ("siamfc", {"levels": ("conv4", "conv5"), "channels": (8, 8)}, "needs one level"),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD)
def test_networks_that_cannot_be_are_refused(name, change, words):
    base = MODELS[name]
    with pytest.raises(NetworkError, match=re.escape(words)):
        build_network(dataclasses.replace(base, **change))
