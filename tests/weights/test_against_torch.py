"""Imported networks against the same networks in PyTorch, on the same image."""

import dataclasses

import jax
import numpy as np
import pytest

from siamjax.config import BackboneConfig, Config, ModelConfig
from siamjax.models.build import build_network
from siamjax.models.siamese import MaskFeatures
from siamjax.weights import WeightsError
from siamjax.weights.convert import (
    ConversionError,
    convert,
)
from siamjax.weights.detect import detect
from siamjax.weights.state_dict import read_state_dict
from tests.models.networks import quick_jit
from tests.models.variables import relative_error
from tests.weights import torch_shapes
from tests.weights.published import CONFIGS, published


def networks():
    from tests.weights import torch_networks

    return torch_networks


def image(rng, size):
    """`[1, size, size, 3]`, BGR."""
    return rng.integers(0, 256, (1, size, size, 3)).astype(np.float32)


def assert_close(pairs, tolerance=1e-4):
    for both in pairs:
        for ours, theirs in zip(*map(jax.tree.leaves, both), strict=True):
            assert relative_error(ours, theirs) < tolerance


def stages_of(variables, config, pixels):
    network = build_network(config.model)
    run = quick_jit(lambda v, x: network.apply(v, x, method=lambda n, x: n.backbone(x)))
    return run(variables, pixels)


def resnet_config(name):
    return Config(name=name, model=ModelConfig(backbone=BackboneConfig(name=name)))


RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}


def in_order(stages, count):
    """The first stages of a backbone, as PyTorch's networks give them."""
    return [stages[f"layer{i}"] for i in range(1, count + 1)]


@pytest.mark.parametrize("name", RESNETS)
def test_torchvisions_resnet_computes_the_same_from_raw_bgr(name, rng, against):
    blocks, bottleneck = RESNETS[name]
    shapes = torch_shapes.resnet_shapes(blocks, bottleneck=bottleneck)
    state_dict = torch_shapes.random_state_dict(shapes, rng)
    assert detect(state_dict).source == "torchvision's ResNet"
    variables, report = convert(state_dict, resnet_config(name))
    assert [key for key, reason in report.ignored if "classifier" in reason] == [
        "fc.weight",
        "fc.bias",
    ]
    pixels = image(rng, 95)
    stages = stages_of(variables, resnet_config(name), pixels)

    def theirs():
        rgb = networks().normalised_rgb(networks().nchw(pixels))
        return networks().nhwc(
            networks().resnet(state_dict, blocks, rgb, bottleneck=bottleneck)
        )

    assert_close(against("torch", in_order(stages, 4), theirs))


def test_the_normalisation_matters(rng):
    torch = pytest.importorskip("torch")
    # The test above would pass without folding if the numbers hardly changed.
    shapes = torch_shapes.resnet_shapes((2, 2, 2, 2), bottleneck=False)
    state_dict = torch_shapes.random_state_dict(shapes, rng)
    tensor, normalised = networks().nchw(image(rng, 63)), networks().normalised_rgb
    for wrong in (tensor, tensor.flip(1), tensor / 255, normalised(tensor.flip(1))):
        folded = networks().resnet(state_dict, (2,), normalised(tensor), bottleneck=False)
        plain = networks().resnet(state_dict, (2,), wrong, bottleneck=False)
        assert torch.linalg.norm(plain[0] - folded[0]) > 0.1 * torch.linalg.norm(folded[0])


def mobilenetv2_config(width=1.0):
    model = dataclasses.replace(
        CONFIGS["siamrpnpp_mobilenetv2"].model,
        backbone=BackboneConfig(name="mobilenetv2", width=width),
    )
    return Config(name="mobilenetv2", model=model)


def test_torchvisions_mobilenetv2_computes_the_same_from_raw_bgr(rng, against):
    state_dict = torch_shapes.random_state_dict(torch_shapes.mobilenetv2_shapes(), rng)
    assert detect(state_dict).source == "torchvision's MobileNetV2"
    variables, report = convert(state_dict, mobilenetv2_config())
    assert {path.rsplit("/", 2)[1] for path, _ in report.made} == {"expand", "expand_bn"}
    pixels = image(rng, 127)
    stages = stages_of(variables, mobilenetv2_config(), pixels)

    def theirs():
        rgb = networks().normalised_rgb(networks().nchw(pixels))
        return networks().nhwc(networks().mobilenetv2(state_dict, rgb))

    assert_close(against("torch", in_order(stages, 7), theirs))


def test_tensorflow_lites_mobilenetv2_computes_the_same_from_raw_bgr(rng, against):
    arrays = torch_shapes.random_state_dict(torch_shapes.tflite_mobilenetv2_shapes(), rng)
    variables, report = convert(arrays, mobilenetv2_config())
    assert [key for key, _ in report.ignored] == ["51_CONV_2D_w", "51_CONV_2D_b"]
    pixels = image(rng, 95)
    stages = stages_of(variables, mobilenetv2_config(), pixels)

    def theirs():
        rgb = networks().nchw(pixels).flip(1)
        return networks().nhwc(networks().tflite_mobilenetv2(arrays, rgb / 127.5 - 1))

    assert_close(against("torch", in_order(stages, 7), theirs))


def test_the_shared_imagenet_backbone_is_imported(shared):
    arrays = read_state_dict(shared / "weights" / "mobilenetv2_1.0_imagenet.npz")
    expected = torch_shapes.tflite_mobilenetv2_shapes()
    assert {key: array.shape for key, array in arrays.items()} == expected
    variables, _ = convert(arrays, mobilenetv2_config())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


def test_torchvisions_mobilenetv2_fits_no_other_width(rng):
    state_dict = torch_shapes.random_state_dict(torch_shapes.mobilenetv2_shapes(), rng)
    with pytest.raises(WeightsError, match=r"width 1\.0 instead of 1\.4"):
        convert(state_dict, mobilenetv2_config(1.4))


def alexnet_config(width=1.0):
    model = dataclasses.replace(
        CONFIGS["siamrpnpp_alexnet"].model,
        backbone=BackboneConfig(name="alexnet", width=width),
    )
    return Config(name="alexnet", model=model)


@pytest.mark.parametrize("width", [1.0, 2.0])
def test_torchvisions_alexnet_keeps_its_filters_in_the_first_channels(rng, width, against):
    state_dict = torch_shapes.random_state_dict(torch_shapes.alexnet_shapes(), rng)
    assert detect(state_dict).source == "torchvision's AlexNet"
    variables, _ = convert(state_dict, alexnet_config(width))
    pixels = image(rng, 127)
    stages = stages_of(variables, alexnet_config(width), pixels)

    def theirs():
        rgb = networks().normalised_rgb(networks().nchw(pixels))
        return networks().nhwc(networks().alexnet(state_dict, rgb)[-1:])

    assert_close(against("torch", [stages["layer5"][..., :256]], theirs))
    # The other channels are alive, or they could never learn.
    beside = np.asarray(stages["layer1"])[..., 64:]
    assert beside.shape[-1] == 96 * width - 64 and (beside.max((0, 1, 2)) > 0).all()


def test_torchvisions_alexnet_is_imported_alike_every_time(rng):
    state_dict = torch_shapes.random_state_dict(torch_shapes.alexnet_shapes(), rng)
    first, again = (convert(state_dict, alexnet_config())[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_torchvisions_alexnet_does_not_fit_a_narrower_one(rng):
    state_dict = torch_shapes.random_state_dict(torch_shapes.alexnet_shapes(), rng)
    with pytest.raises(ConversionError) as error:
        convert(state_dict, alexnet_config(0.5))
    assert (
        "wrong shape: `features.0.weight` is [64, 3, 11, 11] and must be [48, 3, 11, 11]"
        in error.value.report.problems
    )


def test_a_missing_stem_is_one_problem(rng):
    shapes = torch_shapes.resnet_shapes((2, 2, 2, 2), bottleneck=False)
    state_dict = torch_shapes.random_state_dict(shapes, rng)
    del state_dict["conv1.weight"]
    with pytest.raises(ConversionError) as error:
        convert(state_dict, resnet_config("resnet18"))
    assert error.value.report.problems == [
        "missing: `conv1.weight`, for batch_stats/backbone/bn1/mean"
    ]


def test_dasiamrpn_scores_alike(rng, against):
    config, state_dict = CONFIGS["dasiamrpn"], published("dasiamrpn_SiamRPNvot_otb")
    variables, _ = convert(state_dict, config)
    network = build_network(config.model)
    z, x = image(rng, 127), image(rng, 271)
    prediction = quick_jit(network.apply)(variables, z, x)
    ours = [
        np.swapaxes(array, -1, -2).reshape(*array.shape[:3], -1)
        for array in (prediction.cls_logits, prediction.loc)
    ]

    def theirs():
        images = (networks().nchw(image) for image in (z, x))
        return networks().nhwc(networks().dasiamrpn(state_dict, *images))

    assert_close(against("torch", ours, theirs))


def test_siamfc_responds_alike_though_it_wants_rgb(rng, against):
    config, state_dict = CONFIGS["siamfc"], published("siamfc_alexnetv1")
    # Small variances, so that the size of batch norm's epsilon shows.
    for key in state_dict:
        if key.endswith("running_var"):
            norm = key.removesuffix("running_var")
            state_dict[key] = state_dict[key] * np.float32(1e-4)
            state_dict[f"{norm}weight"] = state_dict[f"{norm}weight"] * np.float32(1e-2)
    variables, _ = convert(state_dict, config)
    z, x = image(rng, 127), image(rng, 255)
    prediction = quick_jit(build_network(config.model).apply)(variables, z, x)

    def theirs():
        rgb = (networks().nchw(image).flip(1) for image in (z, x))
        return networks().nhwc([networks().siamfc(state_dict, *rgb)])

    assert_close(against("torch", [prediction.cls_logits[..., 0]], theirs))


@pytest.mark.parametrize(("row", "column"), [(0, 24), (13, 7)])
def test_siammasks_masks(row, column, rng, against):
    """At a corner, where the patches reach over the border, and inside."""
    state_dict, config = published("siammask_r50_l3"), CONFIGS["siammask_r50"]
    variables, _ = convert(state_dict, config)
    network = build_network(config.model)

    def draw(side, channels):
        # as after a ReLU
        return np.abs(rng.standard_normal((2, side, side, channels))).astype(np.float32)

    template, search = draw(7, 256), draw(31, 256)
    stages = draw(125, 64), draw(63, 256), draw(31, 512)

    @quick_jit
    def masks(variables):
        def compute(network):
            kernel = network.mask_head.encode(template, False)
            correlation = network.mask_head.correlate(kernel, search, False)
            features, cell = MaskFeatures(correlation, stages), np.int32([[row, column]] * 2)
            fine = network.predict_mask(features, cell)
            return correlation, network.coarse_mask(features, cell), fine

        return network.apply(variables, method=compute)

    correlation, coarse, fine = masks(variables)

    def theirs():
        z, x, *rest = (networks().nchw(array) for array in (template, search, *stages))
        found, *logits = networks().siammask(state_dict, z, x, rest, row, column)
        return *networks().nhwc([found]), *(array.numpy() for array in logits)

    assert_close(against("torch", (correlation, coarse, fine), theirs))
    # The tests above would pass blindly if the input hardly mattered beside the biases.
    assert np.std(fine[0] - fine[1]) > 0.01 * np.std(fine)
