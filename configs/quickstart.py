"""Quickstart: SiamRPN++ in miniature, trained on rendered sequences in minutes on two cores.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019. Its components at a quarter of the width and half the resolution: a dilated, padded
ResNet, three fused levels, depthwise correlation, uniform shifts of the target.

Expected (ours, measured with `make demo` on 2 CPU cores in five and a half minutes): success
AUC 0.60 on the 60 rendered test sequences; 0.17 for a tracker that never moves, 0.11 untrained.
The tracker's settings were chosen on 24 rendered sequences of the training split that are used
neither for training nor for testing.

    make demo

or, step by step:

    python train.py --config configs/quickstart.py --workdir runs/quickstart
    python eval.py --config configs/quickstart.py --weights runs/quickstart \
        --benchmark synthetic --data runs/quickstart/test --out runs/quickstart/evaluation \
        --controls
"""

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


def get_config() -> Config:
    """The configuration that `make demo` trains."""
    return Config(
        name="quickstart",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet18", width=0.25),
            levels=("layer2", "layer3", "layer4"),
            channels=(64, 64, 64),
            template_crop=5,
            anchors=AnchorConfig(scales=(4.0,)),
            template_size=63,
            search_size=143,
            base_size=2,
        ),
        tracker=TrackerConfig(
            search_size=143, penalty_k=0.3, window_influence=0.25, size_lr=0.12
        ),
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
        train=TrainConfig(
            batch_size=8, epochs=8, pairs_per_epoch=2240, checkpoint_every=560, seed=0
        ),
    )
