"""What the small studies make of quickstart, and the rendered pairs they are probed with."""

import dataclasses

from siamjax.config import AnchorConfig, BackboneConfig, Config, SourceConfig
from siamjax.config_files import changed

# Of each cell, so that 33 of them take 45 minutes on two cores (docs/ablations.md).
WIDTH, EPOCHS, PAIRS_PER_EPOCH = 0.125, 3, 1120


def shortened(quickstart: Config) -> Config:
    """The configuration that the small studies vary."""
    return changed(
        quickstart,
        {
            "model.backbone.width": WIDTH,
            "train.epochs": EPOCHS,
            "train.pairs_per_epoch": PAIRS_PER_EPOCH,
        },
    )


def longer(config: Config) -> Config:
    """The same training on four times the pairs, to tell a short training's effects apart."""
    return changed(config, {"train.pairs_per_epoch": 4 * config.train.pairs_per_epoch})


def on_alexnet(config: Config) -> Config:
    """The same training of a narrow AlexNet, at twice the resolution.

    AlexNet has no padding, and a template of 63 pixels would leave nothing of itself.
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
    """Rendered pairs of the test split, which shares no object with what is trained on."""
    rendered = config.data.sources[0].synthetic
    split = dataclasses.replace(rendered, split="test", sequences=60)
    return SourceConfig(synthetic=split, frame_range=config.data.sources[0].frame_range)
