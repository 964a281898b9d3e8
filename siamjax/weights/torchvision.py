"""torchvision's ImageNet weights of ResNet-18, -34, -50, MobileNetV2 and AlexNet, as backbones.

Kernels are copied: padding, dilation and stride, in which our networks differ, have no weights.
Three things need more than a copy: the input normalisation is folded into the stem; a 1x1
shortcut where ours is 3x3 becomes its centre tap; and the expansion that torchvision omits in
MobileNetV2's first block becomes the identity. AlexNet differs most, see `alexnet_recipes`.
"""

import re
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from siamjax.weights.pysot import backbone_module
from siamjax.weights.recipe import (
    LEAF_NAMES,
    TORCHVISION,
    Recipe,
    Shape,
    constant,
    direct,
    kernel_from_torch,
    shape_in_torch,
)

# Batch norm divides by sqrt(var + 1e-5): with this variance, by 1.
UNIT_VARIANCE = np.float32(1 - 1e-5)
STEM_NOTE = "input normalisation folded in"
NO_EXPANSION = "no expansion in the file; the identity"

# The layers of an inverted residual block, and of the first one.
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
        stage, block, layer = name.split("/")
        index = first_in_stage[int(stage[-1])] + int(block.removeprefix("block"))
        layer = (_LAYERS if index > 1 else _LAYERS_WITHOUT_EXPANSION).get(layer)
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
    # Both paths of a strided block have no padding here, so the centre tap sees what the 1x1
    # convolution would see beside the main path.
    taps = np.zeros((3, 3, kernel.shape[1], kernel.shape[0]), np.float32)
    taps[1, 1] = kernel[:, :, 0, 0].T
    return taps


def identity_expansion(leaf: str, shape: Shape) -> np.ndarray:
    """A 1x1 convolution and batch norm that act as the identity; ReLU6 was applied before."""
    if leaf == "kernel":
        return np.eye(shape[-1], dtype=np.float32)[None, None]
    value = {"scale": 1, "bias": 0, "mean": 0, "var": UNIT_VARIANCE}[leaf]
    return np.full(shape, value, np.float32)


def ignored(key: str) -> str | None:
    """Why a key has no place in our tree, when that is as it should be."""
    return "ImageNet classifier" if key.startswith(("fc.", "classifier.")) else None


_ALEXNET_LAYERS = {"layer1": 0, "layer2": 3, "layer3": 6, "layer4": 8, "layer5": 10}
_ALEXNET_CHANNELS = {
    "image": 3,
    "layer1": 64,
    "layer2": 192,
    "layer3": 384,
    "layer4": 256,
    "layer5": 256,
}
_IDENTITY_NORM = {"scale": 1, "bias": 0, "mean": 0, "var": UNIT_VARIANCE}


def alexnet_recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for the arrays of our AlexNet, which is wider and has batch norm.

    torchvision's network has 64, 192, 384, 256 and 256 channels, no batch norm, padding, and a
    stem of stride 4. Ours has 96, 256, 384, 384 and 256, batch norm, no padding and a stem of
    stride 2. The filters are copied to the first channels, which read nothing from the channels
    that torchvision lacks; those start from random filters, and batch norm as the identity. The
    copied channels compute what torchvision's filters compute without padding and with stride
    2: a start for training, not ImageNet features.
    """
    return {path: _alexnet_recipe(path, shapes) for path, shape in shapes.items()}


def _alexnet_recipe(path: str, shapes: Mapping[str, Shape]) -> Recipe:
    _, _, layer, module, leaf = path.split("/")
    shape = shapes[path]
    if module == "bn":
        identity = np.full(shape, _IDENTITY_NORM[leaf], np.float32)
        return constant(identity, "torchvision has no batch norm; the identity")
    full = shape_in_torch(shapes[f"params/backbone/{layer}/conv/kernel"])
    stages = list(_ALEXNET_CHANNELS)
    before = stages[stages.index(layer) - 1]
    # A network narrower than torchvision's cannot take its filters: the expected shape then
    # differs from the file's, which is reported.
    size = (
        min(_ALEXNET_CHANNELS[layer], full[0]),
        min(_ALEXNET_CHANNELS[before], full[1]),
        *full[2:],
    )
    key = f"features.{_ALEXNET_LAYERS[layer]}"
    fresh = full[0] - size[0]
    note = f"filters copied; {fresh} random ones added" if fresh > 0 else "filters copied"
    if layer != "layer1":
        if leaf == "kernel":
            return Recipe(
                (f"{key}.weight",),
                (size,),
                lambda kernel: kernel_from_torch(_widened(kernel, full, layer)),
                note,
            )
        return Recipe(
            (f"{key}.bias",), (size[:1],), lambda bias: _with_zeros(bias, shape), note
        )
    note = f"{STEM_NOTE}; {note}"
    if leaf == "kernel":
        return Recipe(
            (f"{key}.weight",),
            (size,),
            lambda kernel: kernel_from_torch(
                TORCHVISION.folded_kernel(_widened(kernel, full, layer))
            ),
            note,
        )
    return Recipe(
        (f"{key}.bias", f"{key}.weight"),
        (size[:1], size),
        lambda bias, kernel: (
            _with_zeros(bias, shape) - TORCHVISION.folded_offset(_widened(kernel, full, layer))
        ),
        note,
    )


def _with_zeros(bias: np.ndarray, shape: Shape) -> np.ndarray:
    return np.pad(bias, (0, shape[0] - bias.size))


def _widened(kernel: np.ndarray, full: Shape, layer: str) -> np.ndarray:
    """`kernel` in the first channels of a random one of shape `full`, `[o, i, kh, kw]`."""
    out, into = kernel.shape[:2]
    # Seeded by the layer's name: the same random filters at every conversion.
    rng = np.random.default_rng(zlib.crc32(layer.encode()))
    deviation = np.sqrt(2 / np.prod(full[1:]))
    widened = (deviation * rng.standard_normal(full)).astype(np.float32)
    widened[:out, :into] = kernel
    widened[:out, into:] = 0
    return widened
