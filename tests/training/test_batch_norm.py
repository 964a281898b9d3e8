"""Folded batch norms are calibrated: same outputs, the statistics of the batch."""

import jax
import numpy as np

from siamjax.config import AnchorConfig, BackboneConfig, ModelConfig
from siamjax.data.schema import Batch
from siamjax.models.build import build_network, init_variables
from siamjax.training.batch_norm import calibrate_norms
from tests.models.networks import quick_jit

MODEL = ModelConfig(
    backbone=BackboneConfig(name="mobilenetv2", width=0.25),
    levels=("layer3",),
    channels=(8,),
    template_crop=5,
    template_size=63,
    search_size=95,
    base_size=2,
    anchors=AnchorConfig(scales=(4.0,)),
)


def test_measuring_changes_the_statistics_and_not_the_network(rng):
    network = build_network(MODEL)
    init = quick_jit(lambda key: init_variables(network, key, MODEL))
    variables = jax.device_get(init(jax.random.key(3)))
    norms = ("backbone/layer0/bn", "backbone/layer2/block1/depthwise_bn")
    # An affine part that is not the identity, to be told from the statistics.
    bn = variables["params"]["backbone"]["layer0"]["bn"]
    bn["scale"] = rng.uniform(0.5, 2, 8).astype(np.float32)
    bn["bias"] = rng.normal(size=8).astype(np.float32)
    template, search = (
        rng.uniform(0, 255, (2, side, side, 3)).astype(np.float32) for side in (63, 95)
    )
    batch = Batch(template, search, None, None, None, None, None, None)
    measured = jax.device_get(calibrate_norms(variables, batch, network=network, norms=norms))

    forward = quick_jit(lambda variables: network.apply(variables, template, search))
    before, after = forward(variables), forward(measured)
    np.testing.assert_allclose(after.cls_logits, before.cls_logits, atol=2e-4)
    np.testing.assert_allclose(after.loc, before.loc, atol=2e-4)

    # The stem's inputs, convolved by hand: no padding, stride 2.
    kernel = variables["params"]["backbone"]["layer0"]["conv"]["kernel"]
    pixels = []
    for images in (template, search):
        patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
        pixels.append(np.einsum("bhwcij,ijco->bhwo", patches[:, ::2, ::2], kernel))
    pixels = np.concatenate([x.reshape(-1, 8) for x in pixels])
    stats = measured["batch_stats"]["backbone"]["layer0"]["bn"]
    np.testing.assert_allclose(stats["mean"], pixels.mean(0), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(stats["var"], pixels.var(0), rtol=1e-3)

    untouched = variables["params"]["backbone"]["layer1"]
    jax.tree.map(
        np.testing.assert_array_equal, measured["params"]["backbone"]["layer1"], untouched
    )
