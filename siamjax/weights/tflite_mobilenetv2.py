"""TensorFlow Lite's ImageNet MobileNetV2 as a backbone: a `.npz` of its arrays, in order.

Arrays are named `NN_<operation>_w` and `_b`, NN counting convolutions from the stem, with
kernels `[o, kh, kw, i]`, depthwise ones `[1, kh, kw, c]`. Batch norm is folded into them, so
that ours becomes the identity with their bias: right as long as training keeps the backbone's
running statistics. Their strided convolutions are padded at the bottom and right only, where
ours have no padding: both see the same pixels. Input: RGB, -1..1.
"""

import re
from collections.abc import Mapping

import numpy as np

from siamjax.weights.recipe import MINUS_ONE_TO_ONE, Recipe, Shape, constant, kernel_from_torch
from siamjax.weights.torchvision import (
    NO_EXPANSION,
    STEM_NOTE,
    UNIT_VARIANCE,
    first_blocks,
    identity_expansion,
)

_PLACES = ("expand", "depthwise", "project")


def recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for the backbone's arrays of these shapes."""
    first_in_stage = first_blocks(shapes)
    recipes = {}
    for path, shape in shapes.items():
        _, _, *parts, leaf = path.split("/")
        layer = parts[-1].removesuffix("_bn")
        if len(parts) == 2:
            recipes[path] = _stem_recipe(leaf, shape, shapes)
            continue
        stage, block = (int(re.sub(r"\D", "", part)) for part in parts[:2])
        # Three convolutions per block; of the first block the stem counts as one.
        block += first_in_stage[stage] - 1
        if block == 0 and layer == "expand":
            recipes[path] = constant(identity_expansion(leaf, shape), NO_EXPANSION)
            continue
        operation = "DEPTHWISE_CONV_2D" if layer == "depthwise" else "CONV_2D"
        name = f"{3 * block + _PLACES.index(layer):02d}_{operation}"
        recipes[path] = _recipe(name, leaf, shape, depthwise=layer == "depthwise")
    return recipes


def _recipe(name: str, leaf: str, shape: Shape, *, depthwise: bool) -> Recipe:
    if leaf == "kernel":
        side, _, into, out = shape
        if depthwise:
            return Recipe(
                (f"{name}_w",), ((1, side, side, out),), lambda w: w.transpose(1, 2, 0, 3)
            )
        return Recipe(
            (f"{name}_w",), ((out, side, side, into),), lambda w: w.transpose(1, 2, 3, 0)
        )
    if leaf == "bias":
        return Recipe((f"{name}_b",), (shape,), np.asarray)
    value = {"scale": 1, "mean": 0, "var": UNIT_VARIANCE}[leaf]
    return constant(np.full(shape, value, np.float32), "batch norm is folded in the file")


def _stem_recipe(leaf: str, shape: Shape, shapes: Mapping[str, Shape]) -> Recipe:
    side, _, into, out = shapes["params/backbone/layer0/conv/kernel"]
    kernel_shape = (out, side, side, into)
    if leaf == "kernel":
        return Recipe(
            ("00_CONV_2D_w",),
            (kernel_shape,),
            lambda w: kernel_from_torch(
                MINUS_ONE_TO_ONE.folded_kernel(w.transpose(0, 3, 1, 2))
            ),
            STEM_NOTE,
        )
    if leaf == "mean":
        return Recipe(
            ("00_CONV_2D_w",),
            (kernel_shape,),
            lambda w: MINUS_ONE_TO_ONE.folded_offset(w.transpose(0, 3, 1, 2)),
            STEM_NOTE,
        )
    return _recipe("00_CONV_2D", leaf, shape, depthwise=False)


def ignored(key: str) -> str | None:
    """Why a key has no place in our tree, when that is as it should be."""
    return "last convolution, which no tracker uses" if key.startswith("51_") else None
