"""The networks of the small studies, and how a network becomes another kind of itself."""

import dataclasses

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
)
from siamjax.studies.study import changed

SMALL_RESNET = Config(
    name="small_resnet",
    model=ModelConfig(
        backbone=BackboneConfig(name="resnet18", width=0.25),
        levels=("layer2", "layer3", "layer4"),
        channels=(64, 64, 64),
        template_crop=5,
        anchors=AnchorConfig(scales=(4.0,)),
        template_size=63,
        search_size=143,
        base_size=2,
        score_size=13,
    ),
    tracker=TrackerConfig(search_size=143, penalty_k=0.3, window_influence=0.25, size_lr=0.12),
    data=DataConfig(
        sources=(
            SourceConfig(
                synthetic=SyntheticConfig(sequences=320, frames=60, frame_step=5),
                frame_range=40,
            ),
        ),
        crop_size=255,
        template=AugmentConfig(shift=2.0, scale=0.05),
        search=AugmentConfig(shift=32.0, scale=0.25, blur=0.1),
    ),
    optim=OptimConfig(lr=0.03, end_lr=0.001, warmup_lr=0.01, warmup_epochs=1),
    train=TrainConfig(batch_size=8, epochs=5, pairs_per_epoch=2240, checkpoint_every=560),
)

# AlexNet has no padding, and a template of 63 pixels leaves nothing of itself.
SMALL_ALEXNET = changed(
    SMALL_RESNET,
    {
        "name": "small_alexnet",
        "model.backbone": BackboneConfig(name="alexnet", width=0.25),
        "model.levels": ("layer5",),
        "model.channels": (64,),
        "model.neck": False,
        "model.template_crop": None,
        "model.anchors": AnchorConfig(),
        "model.template_size": 127,
        "model.search_size": 255,
        "model.base_size": 0,
        "model.score_size": 17,
        "tracker.search_size": 255,
        "data.crop_size": 383,
        "data.template.shift": 4.0,
        "data.search.shift": 64.0,
    },
)


def plain(config: Config) -> Config:
    """SiamFC on the same backbone: its last level, one response, three scales when tracking.

    Labels, window and size rate are SiamFC's. (Bertinetto et al., ECCV 2016 workshops)
    """
    model = config.model
    score_size = (model.search_size - model.template_size) // model.anchors.stride + 1
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
            "model.score_size": score_size,
            "tracker": TrackerConfig(
                search_size=model.search_size, window_influence=0.176, size_lr=0.59
            ),
            "data.labels": "response",
            "data.response_radius": 16.0 * model.context_pixels / 127,
            "data.negative_prob": 0.0,
        },
    )


def shallow(config: Config, padding: str, margin: int) -> Config:
    """The same network up to its second stage alone, with zero padding or without any.

    Without, every image has `margin` pixels more on a side, at the same scale, so that real
    surroundings stand where zeros stood: as many cells, and the same ones, are left.
    """
    model = config.model
    added = 2 * margin if padding == "cropped" else 0
    width = model.channels[0]
    return changed(
        config,
        {
            "model.backbone": dataclasses.replace(model.backbone, padding=padding),
            "model.levels": ("layer2",),
            "model.channels": (width,),
            "model.context_size": model.context_pixels,
            "model.template_size": model.template_size + added,
            "model.search_size": model.search_size + added,
            "tracker.search_size": config.tracker.search_size + added,
            "data.crop_size": config.data.crop_size + 2 * margin,
        },
    )


def probe_source(config: Config) -> SourceConfig:
    """Rendered pairs of the test split, which shares no object with what is trained on."""
    rendered = config.data.sources[0].synthetic
    split = dataclasses.replace(rendered, split="test", sequences=60)
    return SourceConfig(synthetic=split, frame_range=config.data.sources[0].frame_range)
