"""Shapes of the backbones, and what their padding tells about position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.config import BACKBONE_STAGES
from siamjax.models.alexnet import AlexNet, SiamFCAlexNet
from siamjax.models.build import BACKBONES
from siamjax.models.layers import center_crop
from siamjax.models.mobilenetv2 import MobileNetV2
from siamjax.models.resnet import ResNet
from tests.models.networks import quick_jit
from tests.models.variables import randomised


def shapes(backbone, image_side=127):
    """Shape of every stage's map, shallow stages first."""
    image = jnp.zeros((1, image_side, image_side, 3))
    stages = jax.eval_shape(
        lambda: list(backbone.init_with_output(jax.random.key(0), image, False)[0].values())
    )
    return [x.shape for x in stages]


def sides(backbone, image_side):
    """Side of every stage's map, shallow stages first."""
    assert all(shape[1] == shape[2] for shape in shapes(backbone, image_side))
    return [shape[1] for shape in shapes(backbone, image_side)]


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_are_those_that_configurations_know(name):
    own = {"variant": name} if name.startswith("resnet") else {}
    backbone = BACKBONES[name](last_stage=BACKBONE_STAGES[name][-1], **own)
    image = jnp.zeros((1, 127, 127, 3))
    shapes = jax.eval_shape(
        lambda: backbone.init_with_output(jax.random.key(0), image, False)[0]
    )
    # A shape keeps its stages as a dictionary, which JAX sorts.
    assert set(shapes) == set(BACKBONE_STAGES[name])


def test_every_backbone_has_a_module():
    assert BACKBONES.keys() == BACKBONE_STAGES.keys()


@pytest.mark.parametrize("image", [127, 255, 271, 287, 303, 831])
def test_published_sizes(image):
    resnet = {127: 15, 255: 31, 271: 33, 287: 35, 303: 37, 831: 103}[image]
    assert sides(ResNet(), image)[-3:] == [resnet] * 3
    assert sides(MobileNetV2(), image)[-5:] == [resnet] * 5
    alexnet = {127: 6, 255: 22, 271: 24, 287: 26, 303: 28, 831: 94}[image]
    assert sides(AlexNet(), image)[-1] == alexnet
    assert sides(SiamFCAlexNet(), image)[-1] == alexnet


def test_every_stage_of_a_template():
    assert sides(ResNet(), 127) == [61, 31, 15, 15, 15]
    assert sides(AlexNet(), 127) == [29, 12, 10, 8, 6]
    assert sides(MobileNetV2(), 127) == [63, 63, 31, 15, 15, 15, 15, 15]


@pytest.mark.parametrize("variant", ["resnet18", "resnet34", "resnet50"])
def test_without_dilation_the_stride_is_32(variant):
    plain = ResNet(variant=variant, width=0.25, dilated=False)
    assert sides(plain, 127) == [61, 31, 15, 7, 3]
    assert sides(plain, 255) == [125, 63, 31, 15, 7]
    dilated = ResNet(variant=variant, width=0.25)
    assert count(plain) == count(dilated)


def test_mobilenetv2_without_dilation():
    plain = MobileNetV2(dilated=False)
    assert sides(plain, 127) == [63, 63, 31, 15, 7, 7, 3, 3]
    assert count(plain) == count(MobileNetV2())


def count(backbone):
    image = jnp.zeros((1, 127, 127, 3))
    shapes = jax.eval_shape(lambda: backbone.init(jax.random.key(0), image, False))
    return sum(x.size for x in jax.tree.leaves(shapes["params"]))


def test_unused_stages_are_not_built():
    # SiamMask's backbone ends with layer3: 13,786,176 parameters.
    assert count(ResNet(last_stage="layer3")) == 13_786_176


@pytest.mark.parametrize("width", [0.25, 1.0, 2.0])
def test_widths(width):
    def channels(backbone):
        return [shape[-1] / width for shape in shapes(backbone)]

    assert channels(ResNet(width=width)) == [64, 256, 512, 1024, 2048]
    assert channels(ResNet("resnet18", width=width)) == [64, 64, 128, 256, 512]
    assert channels(AlexNet(width=width)) == [96, 256, 384, 384, 256]
    assert channels(MobileNetV2(width=width)) == [32, 16, 24, 32, 64, 96, 160, 320]


def test_mobilenetv2_truncates_its_channels():
    # int(c * 1.4), as the published model has it
    channels = [shape[-1] for shape in shapes(MobileNetV2(width=1.4))]
    assert channels == [44, 22, 33, 44, 89, 134, 224, 448]


# Backbone, image side, and the stride of its last stage.
UNPADDED = {
    "resnet18": (ResNet("resnet18", 0.125, "layer3", cropped=True), 223, 8),
    "resnet50": (ResNet("resnet50", 0.125, "layer2", cropped=True), 127, 8),
    "resnet18 undilated": (
        ResNet("resnet18", 0.125, "layer3", dilated=False, cropped=True),
        255,
        16,
    ),
    "mobilenetv2": (MobileNetV2(0.25, "layer4", cropped=True), 191, 8),
    "alexnet": (AlexNet(0.125), 127, 8),
}


def shifted_features(backbone, side, stride, rng):
    """Features of an image, and of the same scene one stride further down and right."""
    scene = rng.uniform(0, 255, (1, side + stride, side + stride, 3)).astype(np.float32)
    here, there = scene[:, :-stride, :-stride], scene[:, stride:, stride:]
    abstract = jax.eval_shape(lambda: backbone.init(jax.random.key(0), here, False))
    variables = randomised(abstract, rng)
    run = quick_jit(lambda x: backbone.apply(variables, x, False)[backbone.last_stage])
    return np.asarray(run(here)), np.asarray(run(there))


def mismatch(here, there):
    """Largest difference where both show the same scene, relative to the features."""
    return np.abs(here[:, 1:, 1:] - there[:, :-1, :-1]).max() / np.abs(here).max()


@pytest.mark.parametrize("name", UNPADDED)
def test_without_padding_features_follow_the_scene(name, rng):
    """One stride in the image is one cell in the features, up to the very border."""
    here, there = shifted_features(*UNPADDED[name], rng)
    assert here.shape[1] >= 2
    assert mismatch(here, there) < 1e-5


@pytest.mark.parametrize(
    ("backbone", "side"),
    [(ResNet("resnet18", 0.125, "layer3"), 191), (MobileNetV2(0.25, "layer4"), 191)],
)
def test_with_zero_padding_they_do_not(backbone, side, rng):
    """The control of the test above."""
    assert mismatch(*shifted_features(backbone, side, 8, rng)) > 0.01


def test_cropped_padding_needs_a_larger_template():
    with pytest.raises(ValueError, match="too small for a kernel"):
        sides(ResNet(cropped=True), 127)
    with pytest.raises(ValueError, match="too small for a kernel"):
        sides(MobileNetV2(cropped=True), 127)


def test_center_crop(rng):
    x = rng.standard_normal((2, 15, 9, 3))
    np.testing.assert_array_equal(center_crop(x, 7, 5), x[:, 4:11, 2:7])
    np.testing.assert_array_equal(center_crop(x, 15, 9), x)
    with pytest.raises(ValueError, match=r"`height` \(=15\).*17"):
        center_crop(x, 17, 5)
    with pytest.raises(ValueError, match=r"`width` \(=9\).*middle 4.*choose 3 or 5"):
        center_crop(x, 15, 4)
    with pytest.raises(ValueError, match="1 to 15"):
        center_crop(x, 0, 5)
