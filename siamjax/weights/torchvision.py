"""torchvision's ImageNet weights of ResNet-18, -34, -50 and MobileNetV2, as backbones.

Kernels are copied; what differs from torchvision's networks is our padding, dilation and
stride, which hold no weights. Three things need more than a copy: the input normalisation
goes into the stem; a 1x1 shortcut where ours is 3x3 becomes its centre tap; and the expansion
that torchvision leaves out of MobileNetV2's first block becomes the identity.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

from siamjax.weights.normalisation import TORCHVISION
from siamjax.weights.pysot import backbone_module
from siamjax.weights.recipe import (
    LEAF_NAMES,
    Recipe,
    Shape,
    constant,
    direct,
    kernel_from_torch,
    shape_in_torch,
)

# Batch norm divides by sqrt(var + 1e-5): with this variance, by one.
UNIT_VARIANCE = np.float32(1 - 1e-5)
STEM_NOTE = "input normalisation folded in"
NO_EXPANSION = "no expansion there; the identity"

# The layers of an inverted residual, and those of the first one.
_LAYERS = {
    "expand": "0.0",
    "expand_bn": "0.1",
    "depthwise": "1.0",
    "depthwise_bn": "1.1",
    "project": "2",
    "project_bn": "3",
}
_LAYERS_WITHOUT_EXPANSION = {
    "depthwise": "0.0",
    "depthwise_bn": "0.1",
    "project": "1",
    "project_bn": "2",
}


def resnet_recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for the backbone's arrays of these shapes."""
    return _with_folded_stem(shapes, backbone_module, ("conv1", "bn1"))


def mobilenetv2_recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for the backbone's arrays of these shapes."""
    first_in_stage = first_blocks(shapes)

    def module(name: str) -> str | None:
        if match := re.fullmatch(r"layer0/(conv|bn)", name):
            return f"features.0.{'0' if match[1] == 'conv' else '1'}"
        match = re.fullmatch(r"layer(\d)/block(\d+)/(\w+)", name)
        index = first_in_stage[int(match[1])] + int(match[2])
        layer = (_LAYERS if index > 1 else _LAYERS_WITHOUT_EXPANSION).get(match[3])
        return layer and f"features.{index}.conv.{layer}"

    return _with_folded_stem(shapes, module, ("layer0/conv", "layer0/bn"))


def first_blocks(shapes: Mapping[str, Shape]) -> dict[int, int]:
    """Stage -> torchvision's index of its first block; features.0 is the stem."""
    pattern = re.compile(r"params/backbone/layer(\d)/block(\d+)/project/kernel")
    blocks = [match for path in shapes if (match := pattern.fullmatch(path))]
    counts: dict[int, int] = {}
    for match in blocks:
        counts[int(match[1])] = counts.get(int(match[1]), 0) + 1
    return {stage: 1 + sum(counts[s] for s in counts if s < stage) for stage in counts}


def _with_folded_stem(
    shapes: Mapping[str, Shape], module_of: Callable[[str], str | None], stem: tuple[str, str]
) -> dict[str, Recipe]:
    recipes = {}
    for path, shape in shapes.items():
        _, _, *parts, leaf = path.split("/")
        name = "/".join(parts)
        module = module_of(name)
        key = f"{module}.{LEAF_NAMES[leaf]}"
        if (name, leaf) == (stem[0], "kernel"):
            recipe = Recipe(
                (key,),
                (shape_in_torch(shape),),
                lambda kernel: kernel_from_torch(TORCHVISION.folded_kernel(kernel)),
                STEM_NOTE,
            )
        elif (name, leaf) == (stem[1], "mean"):
            kernel_shape = shape_in_torch(shapes[f"params/backbone/{stem[0]}/kernel"])
            recipe = Recipe(
                (key, f"{module_of(stem[0])}.weight"),
                (shape, kernel_shape),
                lambda mean, kernel: (mean + TORCHVISION.folded_offset(kernel)).astype(
                    np.float32
                ),
                STEM_NOTE,
            )
        elif module is None:
            recipe = constant(identity_expansion(leaf, shape), NO_EXPANSION)
        elif name.endswith("downsample/conv") and shape[0] == 3:
            recipe = Recipe(
                (key,), ((shape[3], shape[2], 1, 1),), _centre_tap, "1x1 kernel as centre tap"
            )
        else:
            recipe = direct(key, shape)
        recipes[path] = recipe
    return recipes


def _centre_tap(kernel: np.ndarray) -> np.ndarray:
    # Both paths of a strided block lost their padding, so the centre tap sees what the 1x1
    # convolution would see beside the main path.
    taps = np.zeros((3, 3, kernel.shape[1], kernel.shape[0]), np.float32)
    taps[1, 1] = kernel[:, :, 0, 0].T
    return taps


def identity_expansion(leaf: str, shape: Shape) -> np.ndarray:
    """A 1x1 convolution and batch norm that change nothing; ReLU6 has been applied before."""
    if leaf == "kernel":
        return np.eye(shape[-1], dtype=np.float32)[None, None]
    value = {"scale": 1, "bias": 0, "mean": 0, "var": UNIT_VARIANCE}[leaf]
    return np.full(shape, value, np.float32)


def ignored(key: str) -> str | None:
    """Why a key has no place in our tree, when that is as it should be."""
    return "ImageNet classifier" if key.startswith(("fc.", "classifier.")) else None
