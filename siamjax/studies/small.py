"""What the small studies train, on rendered sequences, and the pairs they are probed with."""

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


def probe_source(config: Config) -> SourceConfig:
    """Rendered pairs of the test split, which shares no object with what is trained on."""
    rendered = config.data.sources[0].synthetic
    split = dataclasses.replace(rendered, split="test", sequences=60)
    return SourceConfig(synthetic=split, frame_range=config.data.sources[0].frame_range)
