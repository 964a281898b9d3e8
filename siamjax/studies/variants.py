"""Variants of a base configuration, and the base of the small studies."""

import dataclasses

from siamjax.config import (
    BACKBONES,
    AnchorConfig,
    BackboneConfig,
    Config,
    SourceConfig,
    TrackerConfig,
)
from siamjax.config_files import changed


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


def on_alexnet(config: Config) -> Config:
    """The same training with a narrow AlexNet, at twice the resolution.

    AlexNet has no padding: a template of 63 pixels would leave no feature map.
    """
    return changed(
        config,
        {
            "model.backbone": BackboneConfig(name="alexnet", width=WIDTH),
            "model.levels": ("layer5",),
            "model.channels": (64,),
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
