"""Detects which project a state dict comes from, and which network it holds.

Every fact is a majority vote over several keys, so that a file with a missing key or a wrong
shape is still detected; the conversion names the key later.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from siamjax.weights import WeightsError
from siamjax.weights.architecture import Architecture, fitting_configs, width_of

_BLOCKS = {
    (2, 2, 2, False): "resnet18",
    (3, 4, 6, False): "resnet34",
    (3, 4, 6, True): "resnet50",
}


@dataclasses.dataclass(frozen=True)
class Detected:
    """What a state dict holds.

    Attributes:
        source: the project that wrote it.
        architecture: the network's facts.
        whole: False for a backbone only.
        lacking: prefix of PySOT's keys that a file of a backbone only leaves out.
    """

    source: str
    architecture: Architecture
    whole: bool = True
    lacking: str = ""

    @property
    def configs(self) -> list[str]:
        """The published configurations that fit, best first; for a backbone only, its users."""
        return fitting_configs(self.source, self.architecture)

    def __str__(self) -> str:
        kind = "network" if self.whole else "backbone"
        return f"a {kind} from {self.source} ({self.architecture})"


Shapes = Mapping[str, tuple[int, ...]]


def detect(state_dict: Mapping[str, Any]) -> Detected:
    """The source and network of a state dict, as `read_state_dict` returns it.

    Raises `WeightsError` for an unknown one.
    """
    shapes = {key: np.shape(array) for key, array in state_dict.items()}
    if _any(shapes, r"featureExtract\."):
        return Detected("DaSiamRPN", _alexnet(shapes, r"featureExtract\.1[45]\.", _dasiamrpn))
    if _any(shapes, r"backbone\.conv[1-5]\.[01]\."):
        facts = Architecture(
            backbone="siamfc_alexnet",
            width=_width(shapes, "siamfc_alexnet", r"backbone\.conv5\.0\."),
            correlation="plain",
            mask=False,
        )
        return Detected("siamfc-pytorch", facts)
    if _any(shapes, r"head\.(cls|reg)_heads\.|neck\.convs\."):
        return Detected("mmtracking", _tracker(shapes, _mmtracking))
    if _any(shapes, r"rpn_head\.|neck\.downsample"):
        return Detected("PySOT", _tracker(shapes, _pysot))
    backbone = _backbone_only(shapes)
    if backbone is None:
        keys = ", ".join(f"`{key}`" for key in list(shapes)[:4])
        raise WeightsError(
            f"unknown network: the {len(shapes)} keys begin with {keys}; known are state "
            "dicts of PySOT, DaSiamRPN, siamfc-pytorch, mmtracking's SiamRPN++, and the "
            "ImageNet ResNet-18, -34, -50, MobileNetV2 and AlexNet of PySOT and torchvision, "
            "and MobileNetV2 of TensorFlow Lite"
        )
    return backbone


def _any(keys: Iterable[str], pattern: str) -> bool:
    return any(re.match(pattern, key) for key in keys)


def _majority(values: Iterable[Any]) -> Any:
    counts = collections.Counter(values).most_common(1)
    return counts[0][0] if counts else None


def _outputs(shapes: Shapes, pattern: str) -> int | None:
    """Output channels of the layers whose keys match `pattern` at the start."""
    return _majority(s[0] for key, s in shapes.items() if s and re.match(pattern, key))


def _width(shapes: Shapes, backbone: str, last_stage: str) -> float | None:
    channels = _outputs(shapes, last_stage)
    return None if channels is None else width_of(backbone, channels)


def _backbone_only(shapes: Shapes) -> Detected | None:
    bare = {key.removeprefix("backbone."): shape for key, shape in shapes.items()}
    lacking = "" if _any(shapes, r"backbone\.") else "backbone."
    if _any(bare, r"layer[1-4]\.\d+\.(conv\d|downsample)"):
        # PySOT's shortcuts are 3x3 from layer2 on; without any, the classifier decides.
        sides = _majority(
            shape[-1]
            for key, shape in bare.items()
            if re.match(r"layer[2-4]\.0\.downsample\.0\.weight", key) and len(shape) == 4
        )
        is_torchvision = sides == 1 or (sides is None and "fc.weight" in bare)
        if is_torchvision and lacking:
            return Detected("torchvision's ResNet", _backbone(bare), whole=False)
        return Detected("PySOT", _backbone(bare), whole=False, lacking=lacking)
    if _any(bare, r"layer\d\.\d+\.conv\.\d"):
        return Detected("PySOT", _backbone(bare), whole=False, lacking=lacking)
    if _any(shapes, r"features\.\d+\.conv\."):
        width = _width(shapes, "mobilenetv2", r"features\.17\.conv\.[23]\.")
        facts = Architecture(backbone="mobilenetv2", width=width)
        return Detected("torchvision's MobileNetV2", facts, whole=False)
    if _any(bare, r"features\.\d+\.running_mean|layer[1-5]\.[01]\."):
        return Detected("PySOT", _backbone(bare), whole=False, lacking=lacking)
    # PySOT's loader adds the prefix `features.` to keys that lack it.
    if _any(shapes, r"(1|5|9|12|15)\.running_mean"):
        named = {f"features.{key}": shape for key, shape in shapes.items()}
        return Detected("PySOT", _backbone(named), whole=False, lacking="backbone.features.")
    if _any(shapes, r"\d\d_(DEPTHWISE_)?CONV_2D_[wb]"):
        width = _width(shapes, "mobilenetv2", r"50_CONV_2D_")
        facts = Architecture(backbone="mobilenetv2", width=width)
        return Detected("TensorFlow Lite's MobileNetV2", facts, whole=False)
    if _any(shapes, r"features\.(0|3|6|8|10)\.(weight|bias)"):
        facts = Architecture(backbone="alexnet")
        return Detected("torchvision's AlexNet", facts, whole=False)
    return None


def _backbone(bare: Shapes) -> Architecture:
    """The facts of PySOT's backbones, from keys without the prefix `backbone.`."""
    if _any(bare, r"layer\d\.\d+\.conv\.\d"):
        width = _width(bare, "mobilenetv2", r"layer7\.0\.conv\.[67]\.")
        return Architecture(backbone="mobilenetv2", width=width)
    if _any(bare, r"features\.|layer[1-5]\.[01]\.\w+$"):
        return _alexnet(bare, r"features\.1[45]\.|layer5\.[01]\.", lambda _: {})
    pattern = re.compile(r"layer([1-3])\.(\d+)\.(conv3)?")
    blocks = [match for key in bare if (match := pattern.match(key))]
    counts = tuple(
        max((int(m[2]) + 1 for m in blocks if int(m[1]) == stage), default=0)
        for stage in (1, 2, 3)
    )
    bottleneck = any(match[3] for match in blocks)
    # Shallow networks may lack layer3.
    names = [name for known, name in _BLOCKS.items() if _agrees((*counts, bottleneck), known)]
    if not names:
        raise WeightsError(
            f"a ResNet with {counts} blocks in layer1 to layer3 is not supported; ResNet-18, "
            "-34 and -50 are"
        )
    planes = _majority(
        shape[0] / (64 * 2 ** (int(match[1]) - 1))
        for key, shape in bare.items()
        if shape and (match := re.match(r"layer([1-4])\.\d+\.(conv|bn)1\.", key))
    )
    return Architecture(backbone=names[0], width=planes)


def _agrees(found: tuple, known: tuple) -> bool:
    return all(have in (0, want) for have, want in zip(found, known, strict=True))


def _alexnet(shapes: Shapes, last_stage: str, head) -> Architecture:
    width = _width(shapes, "alexnet", last_stage)
    return Architecture(backbone="alexnet", width=width, **head(shapes))


def _dasiamrpn(shapes: Shapes) -> dict[str, Any]:
    channels = _outputs(shapes, r"conv_(r2|cls2)\.")
    return {
        "correlation": "up_channel",
        "channels": None if channels is None else (channels,),
        "mask": False,
    }


def _tracker(shapes: Shapes, head) -> Architecture:
    bare = {
        key.removeprefix("backbone."): shape
        for key, shape in shapes.items()
        if key.startswith("backbone.")
    }
    facts = _backbone(bare) if bare else Architecture()
    return dataclasses.replace(facts, **head(shapes))


def _pysot(shapes: Shapes) -> dict[str, Any]:
    up_channel = _any(shapes, r"rpn_head\.(rpn\d\.)?(template|search)_(cls|loc)")
    inside = r"search_(cls|loc)_conv\." if up_channel else r"(cls|loc)\.conv_(search|kernel)\."
    return {
        "correlation": "up_channel" if up_channel else "depthwise",
        "mask": _any(shapes, r"mask_head\.|refine_head\."),
        **_levels(shapes, r"rpn_head\.(?:rpn(\d)\.)?" + inside, r"rpn_head\.(cls|loc)_weight"),
    }


def _mmtracking(shapes: Shapes) -> dict[str, Any]:
    inside = r"head\.(?:cls|reg)_heads\.(\d)\.(kernel|search)_convs\."
    return {
        "correlation": "depthwise",
        "mask": False,
        **_levels(shapes, inside, r"head\.(cls|reg)_weight"),
    }


def _levels(shapes: Shapes, layer: str, weight: str) -> dict[str, Any]:
    """Channels of each level, and the fusion; the first group of `layer` is the level."""
    widths = collections.defaultdict(list)
    for key, shape in shapes.items():
        if shape and (match := re.match(layer, key)):
            widths[match[1] or ""].append(shape[0])
    channels = tuple(_majority(widths[level]) for level in sorted(widths)) or None
    several = channels is not None and len(channels) > 1
    fusion = "weighted" if _any(shapes, weight) else "mean"
    return {"channels": channels, "fusion": fusion if several else None}
