"""The facts that distinguish the networks of the family, and their configurations."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamjax.config import ModelConfig

# Channels of the last stage at width 1, to derive a width from.
LAST_CHANNELS = {"alexnet": 256, "siamfc_alexnet": 256, "mobilenetv2": 320}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """The facts of a network that its weights reveal; None where unknown.

    Attributes:
        backbone: its name in a configuration.
        width: of the backbone, as precise as whole channels allow.
        correlation: as in a configuration.
        channels: of each level's head.
        fusion: of several levels.
        mask: whether it has SiamMask's mask head.
    """

    backbone: str | None = None
    width: float | None = None
    correlation: str | None = None
    channels: tuple[int, ...] | None = None
    fusion: str | None = None
    mask: bool | None = None

    def differences(self, other: "Architecture") -> list[str]:
        """`"backbone alexnet instead of resnet50"` for each fact known on both sides."""
        ours, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [
            f"{name} {ours[name]} instead of {theirs[name]}"
            for name in ours
            if None not in (ours[name], theirs[name]) and ours[name] != theirs[name]
        ]

    def __str__(self) -> str:
        # The absence of a mask head is not worth a word.
        known = {k: value for k, value in vars(self).items() if value not in (None, False)}
        return ", ".join(f"{name} {value}" for name, value in known.items())


def width_of(backbone: str, last_channels: int) -> float:
    """The width with this many channels in the last stage."""
    return round(last_channels / LAST_CHANNELS[backbone], 4)


def architecture_of(model: "ModelConfig") -> Architecture:
    """The facts of a configured network."""
    backbone = model.backbone
    base = LAST_CHANNELS.get(backbone.name)
    with_head = model.correlation != "plain"
    return Architecture(
        backbone=backbone.name,
        width=width_of(backbone.name, int(base * backbone.width)) if base else backbone.width,
        correlation=model.correlation,
        channels=model.channels if with_head else None,
        fusion=model.fusion if with_head and len(model.levels) > 1 else None,
        mask=model.mask,
    )


def _resnet50(
    channels: tuple[int, ...], fusion: str | None, *, mask: bool = False
) -> Architecture:
    return Architecture(
        backbone="resnet50",
        width=1.0,
        correlation="depthwise",
        channels=channels,
        fusion=fusion,
        mask=mask,
    )


def _alexnet(width: float, correlation: str) -> Architecture:
    return Architecture(
        backbone="alexnet",
        width=width,
        correlation=correlation,
        channels=(int(256 * width),),
        mask=False,
    )


# The published networks: configuration -> (source it is published by, facts).
PUBLISHED: dict[str, tuple[str, Architecture]] = {
    "siamrpnpp_r50": ("PySOT", _resnet50((256, 256, 256), "weighted")),
    "siamrpnpp_r50_otb": ("PySOT", _resnet50((256, 256, 256), "mean")),
    "siamrpnpp_r50_lt": ("PySOT", _resnet50((128, 256, 512), "weighted")),
    "siammask_r50": ("PySOT", _resnet50((256,), None, mask=True)),
    "siamrpnpp_mobilenetv2": (
        "PySOT",
        Architecture(
            backbone="mobilenetv2",
            width=1.4,
            correlation="depthwise",
            channels=(256, 256, 256),
            fusion="mean",
            mask=False,
        ),
    ),
    "siamrpnpp_alexnet": ("PySOT", _alexnet(1.0, "depthwise")),
    "siamrpn_alexnet": ("PySOT", _alexnet(1.0, "up_channel")),
    "dasiamrpn": ("DaSiamRPN", _alexnet(1.0, "up_channel")),
    "siamrpn_vot2018": ("DaSiamRPN", _alexnet(2.0, "up_channel")),
    "siamfc": (
        "siamfc-pytorch",
        Architecture(backbone="siamfc_alexnet", width=1.0, correlation="plain", mask=False),
    ),
}


def fitting_configs(source: str, architecture: Architecture) -> list[str]:
    """Names of the configurations with this network, the source's own first."""
    names = [
        name for name, (_, facts) in PUBLISHED.items() if not facts.differences(architecture)
    ]
    return sorted(names, key=lambda name: PUBLISHED[name][0] != source)
