"""torchvision's ImageNet AlexNet as the start of ours, which is wider and has batch norm.

torchvision's network has 64, 192, 384, 256 and 256 channels, no batch norm, a stem of stride
4 and padding. Ours has 96, 256, 384, 384 and 256, batch norm, a stem of stride 2 and no
padding. The filters are copied to the first channels, which read nothing from the channels
that torchvision lacks; those start from random filters, as in a new network; and batch norm
starts as the identity. The copied channels therefore compute what torchvision's filters
compute without padding and with stride 2: a start for training, not ImageNet features.
"""

import zlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from siamjax.weights.normalisation import folded_kernel, folded_offset
from siamjax.weights.recipe import Recipe, Shape, constant, kernel_from_torch, shape_in_torch
from siamjax.weights.torchvision import UNIT_VARIANCE

if TYPE_CHECKING:
    from siamjax.config import ModelConfig

_FEATURES = {"layer1": 0, "layer2": 3, "layer3": 6, "layer4": 8, "layer5": 10}
_CHANNELS = {
    "image": 3,
    "layer1": 64,
    "layer2": 192,
    "layer3": 384,
    "layer4": 256,
    "layer5": 256,
}
_BATCH_NORM = {"scale": 1, "bias": 0, "mean": 0, "var": UNIT_VARIANCE}


def recipes(
    shapes: Mapping[str, Shape], model: "ModelConfig", keys: Collection[str], lacking: str = ""
) -> dict[str, Recipe]:
    """Path -> recipe for the backbone's arrays of these shapes."""
    return {path: _recipe(path, shapes) for path, shape in shapes.items()}


def _recipe(path: str, shapes: Mapping[str, Shape]) -> Recipe:
    _, _, layer, module, leaf = path.split("/")
    shape = shapes[path]
    if module == "bn":
        identity = np.full(shape, _BATCH_NORM[leaf], np.float32)
        return constant(identity, "torchvision has no batch norm; the identity")
    full = shape_in_torch(shapes[f"params/backbone/{layer}/conv/kernel"])
    stages = list(_CHANNELS)
    before = stages[stages.index(layer) - 1]
    # A network narrower than torchvision's has no place for its filters: the kernel's shape
    # is then asked for and not met.
    size = (min(_CHANNELS[layer], full[0]), min(_CHANNELS[before], full[1]), *full[2:])
    key = f"features.{_FEATURES[layer]}"
    fresh = full[0] - size[0]
    note = f"filters copied; {fresh} random ones beside them" if fresh > 0 else "filters copied"
    if layer == "layer1":
        note = f"input normalisation folded in; {note}"

    def kernel(theirs: np.ndarray) -> np.ndarray:
        widened = _widened(theirs, full, path)
        return kernel_from_torch(folded_kernel(widened) if layer == "layer1" else widened)

    def bias(theirs: np.ndarray, theirs_kernel: np.ndarray) -> np.ndarray:
        widened = np.zeros(shape, np.float32)
        widened[: theirs.size] = theirs
        if layer == "layer1":
            offset = folded_offset(
                _widened(theirs_kernel, full, path.replace("bias", "kernel"))
            )
            widened = (widened - offset).astype(np.float32)
        return widened

    if leaf == "kernel":
        return Recipe((f"{key}.weight",), (size,), kernel, note)
    return Recipe((f"{key}.bias", f"{key}.weight"), (size[:1], size), bias, note)


def _widened(kernel: np.ndarray, full: Shape, path: str) -> np.ndarray:
    """`kernel` in the first channels of an array of shape `full`, `[o, i, kh, kw]`."""
    out, into = kernel.shape[:2]
    # The same random filters at every conversion: seeded by the name.
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    deviation = np.sqrt(2 / np.prod(full[1:]))
    widened = (deviation * rng.standard_normal(full)).astype(np.float32)
    widened[:out, :into] = kernel
    widened[:out, into:] = 0
    return widened
