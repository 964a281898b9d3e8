"""Small networks for tests: every kind of head, backbone and fusion, quick to compile."""

from functools import partial

import jax
import numpy as np

from siamjax.config import AnchorConfig, BackboneConfig, ModelConfig
from siamjax.models.build import build_network, init_variables
from tests.models.variables import randomised

_SMALL = {"template_size": 63, "search_size": 95}
_ALEXNET = {
    "neck": False,
    "template_crop": None,
    "template_size": 87,
    "search_size": 103,
    "base_size": 0,
}
_ONE_ANCHOR = AnchorConfig(ratios=(1.0,))

MODELS = {
    "resnet18": ModelConfig(
        backbone=BackboneConfig(name="resnet18", width=0.125),
        levels=("layer2", "layer3"),
        channels=(8, 12),
        template_crop=5,
        base_size=2,
        **_SMALL,
    ),
    "resnet50": ModelConfig(
        backbone=BackboneConfig(name="resnet50", width=0.125),
        levels=("layer3", "layer2"),
        channels=(8, 8),
        template_crop=None,
        fusion="mean",
        base_size=0,
        **_SMALL,
    ),
    "siammask": ModelConfig(
        backbone=BackboneConfig(name="resnet18", width=0.25),
        levels=("layer3",),
        channels=(8,),
        template_crop=5,
        base_size=2,
        mask=True,
        **_SMALL,
    ),
    "mobilenetv2": ModelConfig(
        backbone=BackboneConfig(name="mobilenetv2", width=0.25),
        levels=("layer4",),
        channels=(16,),
        template_crop=5,
        base_size=2,
        **_SMALL,
    ),
    "alexnet up_channel": ModelConfig(
        backbone=BackboneConfig(name="alexnet", width=0.125),
        levels=("layer4",),
        channels=(8,),
        correlation="up_channel",
        **_ALEXNET,
    ),
    "siamfc": ModelConfig(
        backbone=BackboneConfig(name="siamfc_alexnet", width=0.125),
        levels=("conv5",),
        channels=(32,),
        correlation="plain",
        anchors=_ONE_ANCHOR,
        **_ALEXNET,
    ),
}

# As `jax.jit`, compiled sooner and running slower: what a test calls once wants that.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def make(config, rng):
    """Network, random variables, and a batch of template and search images."""
    network = build_network(config)
    abstract = jax.eval_shape(
        lambda key: init_variables(network, key, config), jax.random.key(0)
    )
    images = (
        rng.uniform(0, 255, (3, side, side, 3)).astype(np.float32)
        for side in (config.template_size, config.search_size)
    )
    return network, randomised(abstract, rng), *images
