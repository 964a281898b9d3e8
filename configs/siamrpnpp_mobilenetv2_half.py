"""SiamRPN++ with MobileNetV2 at about half the resolution: real images, on two CPU cores.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, at a size between quickstart and the published models. The backbone starts from
ImageNet and is frozen for the first half; then its last stages learn at a tenth of the learning
rate. Pairs come from images of still objects, short videos and rendered sequences.

Nothing is published for it. Expected (ours, 2 CPU cores, a quarter of an hour of training):
success AUC 0.51 on nine OTB sequences; the README has the curve of its validation.

    siamjax prepare crops --input DIR --out prepared/half/crops --crop-size 255 \
        --template-size 79
    siamjax prepare otb --input DIR/davis --out prepared/half/davis --crop-size 255 \
        --template-size 79
    python train.py --config configs/siamrpnpp_mobilenetv2_half.py --workdir runs/half \
        --init.path mobilenetv2_1.0_imagenet.npz --validation.data SEQUENCES
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
    ValidationConfig,
)


def get_config() -> Config:
    """79 and 159 pixels for the published 127 and 255."""
    return Config(
        name="siamrpnpp_mobilenetv2_half",
        model=ModelConfig(
            backbone=BackboneConfig(name="mobilenetv2"),
            levels=("layer3", "layer5", "layer7"),
            channels=(128, 128, 128),
            template_crop=5,
            fusion="weighted",
            anchors=AnchorConfig(scales=(5.0,)),
            template_size=79,
            search_size=159,
            base_size=4,
        ),
        tracker=TrackerConfig(
            search_size=159, penalty_k=0.1, window_influence=0.35, size_lr=0.3
        ),
        data=DataConfig(
            sources=(
                SourceConfig(path="prepared/half/crops", frame_range=1, weight=2.0),
                SourceConfig(path="prepared/half/davis", frame_range=40, weight=1.0),
                SourceConfig(
                    synthetic=SyntheticConfig(sequences=320, frames=60, frame_step=5),
                    frame_range=40,
                    weight=1.0,
                ),
            ),
            crop_size=255,
            template=AugmentConfig(shift=3.0, scale=0.05),
            search=AugmentConfig(shift=40.0, scale=0.18, blur=0.2, flip=0.2),
            gray_prob=0.2,
        ),
        optim=OptimConfig(
            lr=0.02,
            end_lr=0.001,
            warmup_lr=0.005,
            warmup_epochs=1,
            backbone_train_epoch=3,
            backbone_train_stages=("layer5", "layer6", "layer7"),
            backbone_lr_scale=0.1,
        ),
        train=TrainConfig(
            batch_size=16, epochs=6, pairs_per_epoch=1600, checkpoint_every=100, seed=0
        ),
        validation=ValidationConfig(max_frames=100),
    )
