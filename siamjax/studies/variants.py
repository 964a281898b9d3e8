"""Variants of a base configuration, and the bases of small studies and of those on pictures."""

import dataclasses

from siamjax.config import (
    BACKBONES,
    AnchorConfig,
    BackboneConfig,
    Config,
    InitConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    require,
)
from siamjax.config_files import changed
from siamjax.studies.study import StudyBenchmark


def with_levels(config: Config, levels: tuple[str, ...]) -> Config:
    """The same network on these stages, with as many channels each and no deeper stages."""
    model, trained = config.model, config.optim.backbone_train_stages
    stages = BACKBONES[model.backbone.name].stages
    built = stages[: max(map(stages.index, levels)) + 1]
    return changed(
        config,
        {
            "model.levels": levels,
            "model.channels": (model.channels[0],) * len(levels),
            "optim.backbone_train_stages": trained
            and tuple(stage for stage in trained if stage in built),
        },
    )


def plain(config: Config) -> Config:
    """SiamFC on the same backbone: its last level, one response, three scales in tracking.

    Labels, window influence and size learning rate are SiamFC's. (Bertinetto et al., ECCV 2016
    workshops)
    """
    model = config.model
    return changed(
        config,
        {
            "model.levels": model.levels[-1:],
            "model.channels": model.channels[-1:],
            "model.neck": False,
            "model.template_crop": None,
            "model.correlation": "plain",
            "model.anchors": AnchorConfig(stride=model.anchors.stride, ratios=(1.0,)),
            "model.base_size": 0,
            "tracker": TrackerConfig(
                search_size=model.search_size, window_influence=0.176, size_lr=0.59
            ),
            "data.labels": "response",
            "data.response_radius": 16.0 * model.context_pixels / 127,
            "data.negative_prob": 0.0,
        },
    )


# Of each run, so that 33 of them take 45 minutes on two cores (docs/ablations.md).
WIDTH, EPOCHS, PAIRS_PER_EPOCH = 0.125, 3, 1120


def shortened(quickstart: Config) -> Config:
    """The base of the small studies."""
    return changed(
        quickstart,
        {
            "model.backbone.width": WIDTH,
            "train.epochs": EPOCHS,
            "train.pairs_per_epoch": PAIRS_PER_EPOCH,
        },
    )


def longer(config: Config) -> Config:
    """The same training on four times the pairs: does a result depend on short training?"""
    return changed(config, {"train.pairs_per_epoch": 4 * config.train.pairs_per_epoch})


def on_alexnet(config: Config, width: float = WIDTH, channels: int = 64) -> Config:
    """The same training with an AlexNet, at the published resolution.

    AlexNet has no padding: a template of 63 pixels would leave no feature map.
    """
    return changed(
        config,
        {
            "model.backbone": BackboneConfig(name="alexnet", width=width),
            "model.levels": ("layer5",),
            "model.channels": (channels,),
            "model.neck": False,
            "model.template_crop": None,
            "model.anchors": AnchorConfig(),
            "model.template_size": 127,
            "model.search_size": 255,
            "model.base_size": 0,
            "tracker.search_size": 255,
            "data.crop_size": 383,
            "data.template.shift": 4.0,
            "data.search.shift": 64.0,
        },
    )


def probe_source(config: Config) -> SourceConfig:
    """Rendered pairs of the test split, which shares no object with the training set."""
    source = config.data.sources[0]
    assert source.synthetic is not None
    split = dataclasses.replace(source.synthetic, split="test", sequences=60)
    return SourceConfig(synthetic=split, frame_range=source.frame_range)


# What `make real` prepares.
REAL = "prepared/real"
BACKGROUNDS = (
    *("aquarium", "coco_by", "football", "industrial", "kitchen_hmi2", "openimages5"),
    *("cartucho_map", "garbage", "lion", "ships", "amenity", "coco", "bsds500", "camvid"),
)
# Real sequences, from the first box and with restarts; EAO of short ones says nothing.
REAL_BENCHMARKS = (
    StudyBenchmark(name="otb", data=f"{REAL}/sequences"),
    StudyBenchmark(
        name="vot2018", data=f"{REAL}/sequences_vot", scores=("accuracy", "lost_number")
    ),
    StudyBenchmark(name="synthetic"),
)
# Videos that no run trains on.
REAL_PROBE = SourceConfig(path=f"{REAL}/kept", frame_range=40)


def on_pictures(half: Config) -> Config:
    """The base of the studies of size `real`: half-size MobileNetV2, 6048 pairs.

    From ImageNet, frozen for the first half, then tuned from the middle; pictures of still
    objects, videos, and rendered video of turning objects over photographs.
    """
    rendered = SyntheticConfig(
        sequences=1000,
        frames=60,
        frame_step=5,
        width=480,
        height=360,
        sprites=(f"{REAL}/turning", f"{REAL}/cutouts"),
        backgrounds=tuple(f"{REAL}/backgrounds/{name}" for name in BACKGROUNDS),
        part_prob=0.2,
    )
    return changed(
        half,
        {
            "data.sources": (
                SourceConfig(path=f"{REAL}/crops", frame_range=1, weight=1.0),
                SourceConfig(path=f"{REAL}/crops_more", frame_range=40, weight=2.5),
                SourceConfig(path=f"{REAL}/clips", frame_range=40, weight=1.5),
                SourceConfig(synthetic=rendered, frame_range=60, weight=4.0),
            ),
            "init": InitConfig(
                path=f"{REAL}/mobilenetv2_1.0_imagenet.npz", parts=("backbone",)
            ),
            "train.pairs_per_epoch": 1008,
            "train.log_every": 10,
        },
    )


def from_scratch(config: Config) -> Config:
    """No start from ImageNet, and every stage trained from the first pair at the full rate."""
    return changed(
        config,
        {
            "init": InitConfig(),
            "optim.backbone_train_epoch": 0,
            "optim.backbone_train_stages": None,
            "optim.backbone_lr_scale": 1.0,
        },
    )


def frozen(config: Config) -> Config:
    """The backbone keeps what it starts from."""
    return changed(config, {"optim.backbone_train_stages": ()})


def require_size(size: str, *known: str) -> None:
    """Raises `ConfigError` for a size that a study does not have."""
    require(size in known, f"`size` (={size!r}) of this study must be one of {list(known)}")
