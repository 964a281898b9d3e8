"""PySOT's state dicts: trackers, training checkpoints and ImageNet backbones; both ways."""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from siamjax.weights import WeightsError
from siamjax.weights.recipe import (
    LEAF_NAMES,
    Recipe,
    Shape,
    direct,
    flatten,
    kernel_to_torch,
)

if TYPE_CHECKING:
    from siamjax.config import ModelConfig

# "features" counts the layers of one Sequential (PySOT's alexnetlegacy, the published file),
# "layers" names them (PySOT's alexnet).
AlexNetNaming = Literal["features", "layers"]

# Indices of the five convolutions and batch norms in that Sequential.
SEQUENTIAL_CONV = (0, 4, 8, 11, 14)
SEQUENTIAL_NORM = (1, 5, 9, 12, 15)

_MOBILENETV2_BLOCK = {
    "expand": 0,
    "expand_bn": 1,
    "depthwise": 3,
    "depthwise_bn": 4,
    "project": 6,
    "project_bn": 7,
}
_BRANCH = {
    "kernel/conv": "conv_kernel.0",
    "kernel/bn": "conv_kernel.1",
    "search/conv": "conv_search.0",
    "search/bn": "conv_search.1",
    "output/conv0": "head.0",
    "output/bn0": "head.1",
    "output/conv1": "head.3",
}
# Indices in a Sequential, ReLUs included.
_REFINE = {"conv0": "0", "conv1": "2"}


def key_of(path: str, levels: tuple[str, ...], alexnet: AlexNetNaming = "features") -> str:
    """PySOT's key for our array at `path`, of a network on these levels."""
    _, part, *parts, leaf = path.split("/")
    if part == "fusion":
        return f"rpn_head.{leaf}"
    if part == "mask_head":
        return f"mask_head.{_BRANCH['/'.join(parts)]}.{LEAF_NAMES[leaf]}"
    if part == "refine_head":
        places = ".".join(_REFINE.get(part, part) for part in parts)
        return f"refine_head.{places}.{LEAF_NAMES[leaf]}"
    if part == "backbone":
        module = f"backbone.{backbone_module('/'.join(parts), alexnet)}"
    elif part == "neck":
        # With several levels the index counts from 2: PySOT's levels are layer2 to layer4.
        index = str(levels.index(parts[0]) + 2) if len(levels) > 1 else ""
        module = f"neck.downsample{index}.downsample.{_conv_or_norm(parts[1])}"
    else:
        level, *inside = parts
        index = f"rpn{levels.index(level) + 2}." if len(levels) > 1 else ""
        module = f"rpn_head.{index}{_head_module(inside)}"
    return f"{module}.{LEAF_NAMES[leaf]}"


def backbone_module(module: str, alexnet: AlexNetNaming = "features") -> str:
    """PySOT's name, in a backbone, of our module such as `layer2/block0/conv1`."""
    if match := re.fullmatch(r"(layer\d)/block(\d+)/(\w+)", module):
        stage, block, name = match.groups()
        if name in _MOBILENETV2_BLOCK:
            return f"{stage}.{block}.conv.{_MOBILENETV2_BLOCK[name]}"
        return f"{stage}.{block}.{name}"
    if match := re.fullmatch(r"(layer\d)/block(\d+)/downsample/(conv|bn)", module):
        return f"{match[1]}.{match[2]}.downsample.{_conv_or_norm(match[3])}"
    if match := re.fullmatch(r"layer(\d)/(conv|bn)", module):
        number, kind = int(match[1]), match[2]
        # Only MobileNetV2 has a layer0, named like the layers of AlexNet.
        if number == 0 or alexnet == "layers":
            return f"layer{number}.{_conv_or_norm(kind)}"
        places = SEQUENTIAL_CONV if kind == "conv" else SEQUENTIAL_NORM
        return f"features.{places[number - 1]}"
    return module


def _conv_or_norm(kind: str) -> str:
    return {"conv": "0", "bn": "1"}[kind]


def _head_module(parts: list[str]) -> str:
    if parts[0] in ("cls", "loc"):
        return f"{parts[0]}.{_BRANCH['/'.join(parts[1:])]}"
    return parts[0] if parts[0] == "loc_adjust" else f"{parts[0]}_conv"


def recipes(
    shapes: Mapping[str, Shape],
    levels: tuple[str, ...],
    keys: Collection[str],
    lacking: str = "",
) -> dict[str, Recipe]:
    """Path -> recipe for our arrays of these shapes.

    `keys` are the file's; `lacking` is the prefix that a file of a backbone only leaves out.
    """
    named = any(re.match(r"(backbone\.)?layer[1-5]\.[01]\.\w+$", key) for key in keys)
    naming: AlexNetNaming = "layers" if named else "features"
    return {
        path: direct(key_of(path, levels, naming).removeprefix(lacking), shape)
        for path, shape in shapes.items()
    }


def ignored(key: str) -> str | None:
    """Why a key has no place in our tree, when that is as it should be."""
    return "ImageNet classifier" if key.startswith(("fc.", "classifier.")) else None


def to_state_dict(
    variables: Mapping[str, Any], model: "ModelConfig", alexnet: AlexNetNaming = "features"
) -> dict[str, np.ndarray]:
    """Our variables as the state dict of PySOT's model, bit by bit.

    `alexnet` chooses between its two namings of AlexNet. The counters `num_batches_tracked` are
    zero: PySOT does not use them. Raises `WeightsError` when PySOT has no network that computes
    the same.
    """
    _check_pysot_has(model)
    state_dict = {}
    for path, leaf in flatten(variables).items():
        array = np.asarray(leaf)
        key = key_of(path, model.levels, alexnet)
        state_dict[key] = np.ascontiguousarray(
            kernel_to_torch(array) if array.ndim == 4 else array
        )
        if key.endswith("running_var"):
            counter = key.removesuffix("running_var") + "num_batches_tracked"
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict


def _check_pysot_has(model: "ModelConfig") -> None:
    backbone = model.backbone
    needs = {
        "model.correlation": (model.correlation, model.correlation != "plain"),
        "model.backbone.name": (backbone.name, backbone.name != "siamfc_alexnet"),
        "model.backbone.dilated": (
            backbone.dilated,
            backbone.dilated or backbone.name == "alexnet",
        ),
        "model.backbone.padding": (backbone.padding, backbone.padding == "zeros"),
        # PySOT's neck always crops feature maps narrower than 20 cells, and always to 7.
        "model.template_crop": (
            model.template_crop,
            model.template_crop == (7 if model.neck else None),
        ),
    }
    if backbone.name.startswith("resnet"):
        needs["model.backbone.width"] = (backbone.width, backbone.width == 1)
    if model.mask:
        # The refinement uses the stages in order, each once.
        needs["model.levels"] = (model.levels, model.levels != ("layer2",))
        needs["model.neck"] = (model.neck, model.neck)
        needs["model.template_size"] = (model.template_size, model.template_size == 127)
    if backbone.name == "alexnet":
        needs["model.levels"] = (model.levels, model.levels == ("layer5",))
    wrong = [f"`{name}` (={value!r})" for name, (value, holds) in needs.items() if not holds]
    if wrong:
        raise WeightsError(
            f"PySOT has no network like this one, which differs in {', '.join(wrong)}; its "
            "weights cannot be written for PySOT"
        )
