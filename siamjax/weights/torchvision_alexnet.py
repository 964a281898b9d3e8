"""torchvision's ImageNet AlexNet as the start of ours, which is wider and has batch norm.

torchvision's network has 64, 192, 384, 256 and 256 channels, no batch norm, a stem of stride
4 and padding. Ours has 96, 256, 384, 384 and 256, batch norm, a stem of stride 2 and no
padding. The filters are copied to the first channels, which read nothing from the channels
that torchvision lacks; those start from random filters, as in a new network; and batch norm
starts as the identity. The copied channels therefore compute what torchvision's filters
compute without padding and with stride 2: a start for training, not ImageNet features.
"""

import zlib
from collections.abc import Mapping

import numpy as np

from siamjax.weights.normalisation import TORCHVISION
from siamjax.weights.recipe import Recipe, Shape, constant, kernel_from_torch, shape_in_torch
from siamjax.weights.torchvision import STEM_NOTE, UNIT_VARIANCE

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


def recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
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
    if layer != "layer1":
        if leaf == "kernel":
            return Recipe(
                (f"{key}.weight",),
                (size,),
                lambda kernel: kernel_from_torch(_widened(kernel, full, layer)),
                note,
            )
        return Recipe((f"{key}.bias",), (size[:1],), lambda bias: _padded(bias, shape), note)
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
            _padded(bias, shape) - TORCHVISION.folded_offset(_widened(kernel, full, layer))
        ),
        note,
    )


def _padded(bias: np.ndarray, shape: Shape) -> np.ndarray:
    return np.pad(bias, (0, shape[0] - bias.size))


def _widened(kernel: np.ndarray, full: Shape, layer: str) -> np.ndarray:
    """`kernel` in the first channels of an array of shape `full`, `[o, i, kh, kw]`."""
    out, into = kernel.shape[:2]
    # The same random filters at every conversion: seeded by the layer's name.
    rng = np.random.default_rng(zlib.crc32(layer.encode()))
    deviation = np.sqrt(2 / np.prod(full[1:]))
    widened = (deviation * rng.standard_normal(full)).astype(np.float32)
    widened[:out, :into] = kernel
    widened[:out, into:] = 0
    return widened
