"""Settings of the network."""

import dataclasses
from typing import Annotated, Literal

from siamjax.config.checks import (
    POSITIVE,
    Checked,
    Count,
    Positive,
    SearchSize,
    did_you_mean,
    require,
)

# The stages that each backbone returns, in order; `ModelConfig.levels` picks from them.
BACKBONE_STAGES: dict[str, tuple[str, ...]] = {
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "resnet34": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "resnet50": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "alexnet": ("layer1", "layer2", "layer3", "layer4", "layer5"),
    "siamfc_alexnet": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "mobilenetv2": tuple(f"layer{i}" for i in range(8)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig(Checked, place="model.backbone."):
    """The feature extractor, its width and its padding."""

    name: str = "resnet50"  # BACKBONE.TYPE: the network
    width: Positive = 1.0  # multiplies every channel count but the image's three
    # ResNet, MobileNetV2: keep the last stages at stride 8 and dilate them instead
    dilated: bool = True
    # "zeros" is the published network; "cropped" crops every output that depends on zero
    # padding (a control: the border reveals no position)
    padding: Literal["zeros", "cropped"] = "zeros"

    def _check(self):
        require(
            self.name in BACKBONE_STAGES,
            f"`model.backbone.name` (={self.name!r}) must be one of "
            f"{sorted(BACKBONE_STAGES)}{did_you_mean(self.name, BACKBONE_STAGES)}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorConfig(Checked, place="anchors."):
    """The anchor boxes at every cell of the score map."""

    stride: Count = 8  # ANCHOR.STRIDE: pixels between cells
    ratios: tuple[float, ...] = (0.33, 0.5, 1.0, 2.0, 3.0)  # ANCHOR.RATIOS: h / w
    scales: tuple[float, ...] = (8.0,)  # ANCHOR.SCALES: side in strides

    def _check(self):
        for name in ("ratios", "scales"):
            values = getattr(self, name)
            require(
                len(values) > 0 and all(v > 0 for v in values),
                f"`anchors.{name}` (={values}) must hold positive numbers",
            )

    @property
    def count(self) -> int:
        """Anchors at each cell."""
        return len(self.ratios) * len(self.scales)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked, place="model."):
    """The network: template and search image in, `cls_logits` and `loc` out."""

    backbone: BackboneConfig = BackboneConfig()
    # BACKBONE.KWARGS.used_layers: stages of the backbone that get a head each
    levels: tuple[str, ...] = ("layer2", "layer3", "layer4")
    # ADJUST, RPN: channels of neck and head, for each level
    channels: tuple[int, ...] = (256, 256, 256)
    neck: bool = True  # ADJUST.ADJUST: 1x1 convolution and batch norm on every level
    # the neck's centre crop of the template, in cells
    template_crop: Annotated[int | None, POSITIVE] = 7
    # RPN.TYPE: of SiamRPN++, of SiamRPN, or of SiamFC
    correlation: Literal["depthwise", "up_channel", "plain"] = "depthwise"
    # Shifted sums or a grouped convolution; "auto" chooses by platform
    xcorr_implementation: Literal["auto", "shift", "conv"] = "auto"
    # RPN.KWARGS.weighted: levels are summed with learned weights, or averaged
    fusion: Literal["weighted", "mean"] = "weighted"
    mask: bool = False  # MASK.MASK, REFINE.REFINE: SiamMask's mask branch
    anchors: AnchorConfig = AnchorConfig()
    template_size: int = 127  # TRAIN.EXEMPLAR_SIZE: side of the template, pixels
    # Side of the target with its context in both images, pixels; 0: the template's size.
    # Smaller values show more background at the same scale
    context_size: int = 0
    # TRAIN.SEARCH_SIZE, pixels; tracking has `tracker.search_size`
    search_size: SearchSize = 255
    base_size: int = 8  # TRAIN.BASE_SIZE: cells added by the template's centre crop
    # Of the computation; parameters stay float32
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False  # recompute the backbone's activations in the backward pass

    def _check(self):
        stages = BACKBONE_STAGES[self.backbone.name]
        require(len(self.levels) > 0, "`model.levels` is empty; name at least one stage")
        for level in self.levels:
            require(
                level in stages,
                f"`model.levels` names {level!r}, which {self.backbone.name} does not "
                f"have; its stages are {list(stages)}{did_you_mean(level, stages)}",
            )
        require(
            len(set(self.levels)) == len(self.levels),
            f"`model.levels` (={self.levels}) names a stage twice",
        )
        require(
            len(self.channels) == len(self.levels) and min(self.channels) > 0,
            f"`model.channels` (={self.channels}) must give one positive width for each of "
            f"`model.levels` (={self.levels})",
        )
        require(
            0 < self.template_size < self.search_size,
            f"`model.template_size` (={self.template_size}) must be positive and smaller "
            f"than `model.search_size` (={self.search_size})",
        )
        require(
            0 <= self.context_size <= self.template_size,
            f"`model.context_size` (={self.context_size}) must lie between 0 and "
            f"`model.template_size` (={self.template_size})",
        )
        self.score_size_for(self.search_size)  # which raises
        if self.mask:
            self._check_mask()

    def _check_mask(self):
        backbone = self.backbone
        needs = {
            "backbone.name": (backbone.name, backbone.name.startswith("resnet"), "a ResNet"),
            "backbone.dilated": (backbone.dilated, backbone.dilated, "True"),
            "backbone.padding": (backbone.padding, backbone.padding == "zeros", "'zeros'"),
            "levels": (
                self.levels,
                len(self.levels) == 1 and self.levels[0] in ("layer2", "layer3", "layer4"),
                "one of layer2, layer3 and layer4",
            ),
            "correlation": (self.correlation, self.correlation == "depthwise", "'depthwise'"),
            "template_size": (
                self.template_size,
                self.template_size % 8 == 7,
                "one less than a multiple of 8",
            ),
            "anchors.stride": (self.anchors.stride, self.anchors.stride == 8, "8"),
        }
        for name, (value, holds, rule) in needs.items():
            require(
                holds,
                f"`model.{name}` (={value!r}) must be {rule} with `model.mask`, whose masks "
                "are refined with a ResNet's first stages",
            )

    @property
    def context_pixels(self) -> int:
        """`context_size`, or the template's size where that is 0."""
        return self.context_size or self.template_size

    @property
    def score_size(self) -> int:
        """TRAIN.OUTPUT_SIZE: cells on a side of the score map in training."""
        return self.score_size_for(self.search_size)

    def score_size_for(self, search_size: int) -> int:
        """Cells on a side of the score map for a search image of this size, in pixels.

        Raises `ConfigError` unless it exceeds the template by whole strides.
        """
        stride = self.anchors.stride
        require(
            search_size >= self.template_size
            and (search_size - self.template_size) % stride == 0,
            f"a search size (={search_size}) must exceed `model.template_size` "
            f"(={self.template_size}) by a multiple of the stride (={stride})",
        )
        return (search_size - self.template_size) // stride + 1 + self.base_size
