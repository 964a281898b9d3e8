"""SiamRPN++ with ResNet-50 for long-term tracking: the heads widen with depth.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the VOT2018-LT results. PySOT: siamrpn_r50_l234_dwxcorr_lt.

Published: F-score 0.629 on VOT2018-LT (precision 0.649, recall 0.610). Not measured here.
PySOT published no configuration of its training; optimisation and augmentation are those of
`siamrpnpp_r50`.

    siamjax convert siamrpn_r50_l234_dwxcorr_lt.pth --config configs/siamrpnpp_r50_lt.py \
        --out weights/siamrpnpp_r50_lt
    siamjax track video.mp4 --init 300,200,80,60 --config configs/siamrpnpp_r50_lt.py \
        --weights weights/siamrpnpp_r50_lt --out tracked.mp4
"""

from siamjax.config import (
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    LongTermConfig,
    ModelConfig,
    OptimConfig,
    TrackerConfig,
    TrainConfig,
)


def get_config() -> Config:
    """PySOT's siamrpn_r50_l234_dwxcorr_lt."""
    return Config(
        name="siamrpnpp_r50_lt",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet50"),
            levels=("layer2", "layer3", "layer4"),
            channels=(128, 256, 512),
            template_crop=7,
            correlation="depthwise",
            fusion="weighted",
        ),
        tracker=TrackerConfig(
            penalty_k=0.05,
            window_influence=0.28,
            size_lr=0.22,
            long_term=LongTermConfig(
                search_size=831, confidence_low=0.8, confidence_high=0.998
            ),
        ),
        data=DataConfig(search=AugmentConfig(shift=64, scale=0.18, blur=0.2)),
        optim=OptimConfig(
            lr=0.005,
            end_lr=0.0005,
            warmup_lr=0.001,
            warmup_epochs=5,
            summed_batch=28,
            backbone_train_epoch=10,
            backbone_train_stages=("layer2", "layer3", "layer4"),
            backbone_lr_scale=0.1,
        ),
        train=TrainConfig(batch_size=224, epochs=20),
    )
