"""The tracker that ships: SiamRPN++ with MobileNetV2's first five groups, 111 and 223 pixels.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, made small: three levels of 96 channels, of which the deepest is MobileNetV2's
layer5, since the dilated stages after it take most of the time. The backbone starts from
ImageNet and is frozen for the first epochs, then layer4 and layer5 learn at a tenth of the
learning rate. The backbone's batch norms keep their running statistics, since the ImageNet
weights come with folded norms. A GIoU loss is added to PySOT's losses, and the classification
target of a positive follows the IoU of its box.

All of its training data may be used freely; docs/model_card.md names the sources. Expected
(ours): see docs/model_card.md.

    make small DATA=../shared INIT=mobilenetv2_1.0_imagenet.npz

prepares the data below and trains with `python train.py --config configs/siamjax_small.py`; the
same command resumes an interrupted run.
"""

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
    ValidationConfig,
)

PREPARED = "prepared/small"
# Freely usable photographs, the backgrounds of turning objects: crops of these sources
BACKGROUNDS = (
    *("aquarium", "coco_by", "football", "industrial", "kitchen_hmi2", "openimages5"),
    *("cartucho_map", "garbage", "lion", "ships", "amenity"),
)


def get_config() -> Config:
    """111 and 223 pixels for the published 127 and 255."""
    return Config(
        name="siamjax_small",
        model=ModelConfig(
            backbone=BackboneConfig(name="mobilenetv2"),
            levels=("layer3", "layer4", "layer5"),
            channels=(96, 96, 96),
            template_crop=7,
            fusion="weighted",
            anchors=AnchorConfig(scales=(7.0,)),
            template_size=111,
            search_size=223,
            base_size=6,
        ),
        tracker=TrackerConfig(
            search_size=223,
            penalty_k=0.1,
            window_influence=0.32,
            size_lr=0.53,
            lost_score=0.75,
        ),
        data=DataConfig(
            sources=(
                SourceConfig(path=f"{PREPARED}/crops", frame_range=1, weight=1.0),
                SourceConfig(path=f"{PREPARED}/crops_more", frame_range=40, weight=2.5),
                SourceConfig(path=f"{PREPARED}/clips", frame_range=40, weight=1.5),
                SourceConfig(
                    synthetic=SyntheticConfig(
                        sequences=3000,
                        frames=60,
                        frame_step=5,
                        width=480,
                        height=360,
                        sprites=(f"{PREPARED}/turning", f"{PREPARED}/cutouts"),
                        backgrounds=tuple(f"{PREPARED}/backgrounds/{b}" for b in BACKGROUNDS),
                        part_prob=0.2,
                    ),
                    frame_range=60,
                    weight=4.0,
                ),
            ),
            crop_size=335,
            template=AugmentConfig(shift=4.0, scale=0.05),
            search=AugmentConfig(shift=48.0, scale=0.25, blur=0.2, flip=0.2),
            negative_prob=0.2,
            same_category_prob=0.3,
            gray_prob=0.2,
        ),
        loss=LossConfig(iou_weight=1.0, iou_aware=0.5),
        optim=OptimConfig(
            lr=0.02,
            end_lr=0.001,
            warmup_lr=0.005,
            warmup_epochs=1,
            schedule="hold",
            backbone_norm="fixed",
            backbone_train_epoch=6,
            backbone_train_stages=("layer4", "layer5"),
            backbone_lr_scale=0.1,
        ),
        train=TrainConfig(
            batch_size=32,
            micro_batches=4,
            epochs=100,
            pairs_per_epoch=3200,
            average_decay=0.998,
            checkpoint_every=100,
            seed=0,
        ),
        validation=ValidationConfig(
            data=f"{PREPARED}/validation", benchmark="otb0", max_frames=100, every=300
        ),
    )
