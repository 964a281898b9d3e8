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
from tests.weights.published import CONFIGS, published

torch = pytest.importorskip("torch")

from tests.weights import torch_networks as theirs  # noqa: E402


def image(rng, size):
    """NHWC BGR for us, and the same as an NCHW tensor."""
    pixels = rng.integers(0, 256, (1, size, size, 3)).astype(np.float32)
    return pixels, torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())


def assert_close(ours, reference, tolerance=1e-4):
    """`ours` is NHWC, the reference an NCHW tensor."""
    reference = reference.numpy().transpose(0, 2, 3, 1)
    assert ours.shape == reference.shape
    error = np.linalg.norm(ours - reference) / np.linalg.norm(reference)
    assert error < tolerance, f"{error:.2e}"


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


@pytest.mark.parametrize("name", RESNETS)
def test_torchvisions_resnet_computes_the_same_from_raw_bgr(name, rng):
    blocks, bottleneck = RESNETS[name]
    shapes = theirs.resnet_shapes(blocks, bottleneck=bottleneck)
    state_dict = theirs.random_state_dict(shapes, rng)
    assert detect(state_dict).source == "torchvision's ResNet"
    variables, report = convert(state_dict, resnet_config(name))
    assert [key for key, reason in report.ignored if "classifier" in reason] == [
        "fc.weight",
        "fc.bias",
    ]
    pixels, tensor = image(rng, 95)
    stages = stages_of(variables, resnet_config(name), pixels)
    expected = theirs.resnet(
        state_dict, blocks, theirs.normalised_rgb(tensor), bottleneck=bottleneck
    )
    for i, reference in enumerate(expected, start=1):
        assert_close(stages[f"layer{i}"], reference)


def test_the_normalisation_matters(rng):
    # The test above would pass without folding if the numbers hardly changed.
    shapes = theirs.resnet_shapes((2, 2, 2, 2), bottleneck=False)
    state_dict = theirs.random_state_dict(shapes, rng)
    _, tensor = image(rng, 63)
    for wrong in (tensor, tensor.flip(1), tensor / 255, theirs.normalised_rgb(tensor.flip(1))):
        folded = theirs.resnet(
            state_dict, (2,), theirs.normalised_rgb(tensor), bottleneck=False
        )
        plain = theirs.resnet(state_dict, (2,), wrong, bottleneck=False)
        assert torch.linalg.norm(plain[0] - folded[0]) > 0.1 * torch.linalg.norm(folded[0])


def mobilenetv2_config(width=1.0):
    model = dataclasses.replace(
        CONFIGS["siamrpnpp_mobilenetv2"].model,
        backbone=BackboneConfig(name="mobilenetv2", width=width),
    )
    return Config(name="mobilenetv2", model=model)


def test_torchvisions_mobilenetv2_computes_the_same_from_raw_bgr(rng):
    state_dict = theirs.random_state_dict(theirs.mobilenetv2_shapes(), rng)
    assert detect(state_dict).source == "torchvision's MobileNetV2"
    variables, report = convert(state_dict, mobilenetv2_config())
    assert {path.rsplit("/", 2)[1] for path, _ in report.made} == {"expand", "expand_bn"}
    pixels, tensor = image(rng, 127)
    stages = stages_of(variables, mobilenetv2_config(), pixels)
    expected = theirs.mobilenetv2(state_dict, theirs.normalised_rgb(tensor))
    for i, reference in enumerate(expected, start=1):
        assert_close(stages[f"layer{i}"], reference)


def test_tensorflow_lites_mobilenetv2_computes_the_same_from_raw_bgr(rng):
    arrays = theirs.random_state_dict(theirs.tflite_mobilenetv2_shapes(), rng)
    variables, report = convert(arrays, mobilenetv2_config())
    assert [key for key, _ in report.ignored] == ["51_CONV_2D_w", "51_CONV_2D_b"]
    pixels, tensor = image(rng, 95)
    stages = stages_of(variables, mobilenetv2_config(), pixels)
    expected = theirs.tflite_mobilenetv2(arrays, tensor.flip(1) / 127.5 - 1)
    for i, reference in enumerate(expected, start=1):
        assert_close(stages[f"layer{i}"], reference)


def test_the_shared_imagenet_backbone_is_imported(shared):
    arrays = read_state_dict(shared / "weights" / "mobilenetv2_1.0_imagenet.npz")
    expected = theirs.tflite_mobilenetv2_shapes()
    assert {key: array.shape for key, array in arrays.items()} == expected
    variables, _ = convert(arrays, mobilenetv2_config())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


def test_torchvisions_mobilenetv2_fits_no_other_width(rng):
    state_dict = theirs.random_state_dict(theirs.mobilenetv2_shapes(), rng)
    with pytest.raises(WeightsError, match=r"width 1\.0 instead of 1\.4"):
        convert(state_dict, mobilenetv2_config(1.4))


def alexnet_config(width=1.0):
    model = dataclasses.replace(
        CONFIGS["siamrpnpp_alexnet"].model,
        backbone=BackboneConfig(name="alexnet", width=width),
    )
    return Config(name="alexnet", model=model)


@pytest.mark.parametrize("width", [1.0, 2.0])
def test_torchvisions_alexnet_keeps_its_filters_in_the_first_channels(rng, width):
    state_dict = theirs.random_state_dict(theirs.alexnet_shapes(), rng)
    assert detect(state_dict).source == "torchvision's AlexNet"
    variables, _ = convert(state_dict, alexnet_config(width))
    pixels, tensor = image(rng, 127)
    stages = stages_of(variables, alexnet_config(width), pixels)
    expected = theirs.alexnet(state_dict, theirs.normalised_rgb(tensor))
    copied = expected[-1].shape[1]
    assert_close(stages["layer5"][..., :copied], expected[-1])
    # The other channels are alive, or they could never learn.
    beside = np.asarray(stages["layer1"])[..., 64:]
    assert beside.shape[-1] == 96 * width - 64 and (beside.max((0, 1, 2)) > 0).all()


def test_torchvisions_alexnet_is_imported_alike_every_time(rng):
    state_dict = theirs.random_state_dict(theirs.alexnet_shapes(), rng)
    first, again = (convert(state_dict, alexnet_config())[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_torchvisions_alexnet_does_not_fit_a_narrower_one(rng):
    state_dict = theirs.random_state_dict(theirs.alexnet_shapes(), rng)
    with pytest.raises(ConversionError) as error:
        convert(state_dict, alexnet_config(0.5))
    assert (
        "wrong shape: `features.0.weight` is [64, 3, 11, 11] and must be [48, 3, 11, 11]"
        in error.value.report.problems
    )


def test_a_missing_stem_is_one_problem(rng):
    shapes = theirs.resnet_shapes((2, 2, 2, 2), bottleneck=False)
    state_dict = theirs.random_state_dict(shapes, rng)
    del state_dict["conv1.weight"]
    with pytest.raises(ConversionError) as error:
        convert(state_dict, resnet_config("resnet18"))
    assert error.value.report.problems == [
        "missing: `conv1.weight`, for batch_stats/backbone/bn1/mean"
    ]


def test_dasiamrpn_scores_alike(rng):
    config, state_dict = CONFIGS["dasiamrpn"], published("dasiamrpn_SiamRPNvot_otb")
    variables, _ = convert(state_dict, config)
    network = build_network(config.model)
    (z, z_tensor), (x, x_tensor) = image(rng, 127), image(rng, 271)
    prediction = quick_jit(network.apply)(variables, z, x)
    cls, loc = theirs.dasiamrpn(state_dict, z_tensor, x_tensor)
    for ours, reference in ((prediction.cls_logits, cls), (prediction.loc, loc)):
        flat = np.swapaxes(ours, -1, -2).reshape(*ours.shape[:3], -1)
        assert_close(flat, reference)


def test_siamfc_responds_alike_though_it_wants_rgb(rng):
    config, state_dict = CONFIGS["siamfc"], published("siamfc_alexnetv1")
    # Small variances, so that the size of batch norm's epsilon shows.
    for key in state_dict:
        if key.endswith("running_var"):
            norm = key.removesuffix("running_var")
            state_dict[key] = state_dict[key] * np.float32(1e-4)
            state_dict[f"{norm}weight"] = state_dict[f"{norm}weight"] * np.float32(1e-2)
    variables, _ = convert(state_dict, config)
    (z, z_tensor), (x, x_tensor) = image(rng, 127), image(rng, 255)
    prediction = quick_jit(build_network(config.model).apply)(variables, z, x)
    reference = theirs.siamfc(state_dict, z_tensor.flip(1), x_tensor.flip(1))
    assert_close(prediction.cls_logits[..., 0], reference)


@pytest.mark.parametrize(("row", "column"), [(0, 24), (13, 7)])
def test_siammasks_masks(row, column, rng):
    """At a corner, where the patches reach over the border, and inside."""
    state_dict, config = published("siammask_r50_l3"), CONFIGS["siammask_r50"]
    variables, _ = convert(state_dict, config)
    network = build_network(config.model)

    def draw(side, channels):
        # As after a ReLU; NHWC for us, NCHW for PyTorch.
        x = np.abs(rng.standard_normal((2, side, side, channels))).astype(np.float32)
        return x, torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

    (template, z), (search, x) = draw(7, 256), draw(31, 256)
    stages, theirs_stages = zip(draw(125, 64), draw(63, 256), draw(31, 512), strict=True)

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
    expected = theirs.siammask(state_dict, z, x, theirs_stages, row, column)
    assert_close(correlation, expected[0])
    assert_close(coarse[..., None], expected[1][:, None])
    assert_close(fine[..., None], expected[2][:, None])
    # The tests above would pass blindly if the input hardly mattered beside the biases.
    assert np.std(fine[0] - fine[1]) > 0.01 * np.std(fine)
