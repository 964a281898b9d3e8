"""SiamRPN++ with MobileNetV2 at width 1.4, the light one.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the comparison of backbones. PySOT: siamrpn_mobilev2_l234_dwxcorr.

Published for PySOT's weights: EAO 0.455 on VOT2016, 0.410 on VOT2018, 0.292 on VOT2019. Not
measured here. PySOT published no configuration of its training; optimisation and augmentation
are those of `siamrpnpp_r50`.

    siamjax convert siamrpn_mobilev2_l234_dwxcorr.pth \
        --config configs/siamrpnpp_mobilenetv2.py --out weights/siamrpnpp_mobilenetv2
    siamjax track video.mp4 --init 300,200,80,60 --config configs/siamrpnpp_mobilenetv2.py \
        --weights weights/siamrpnpp_mobilenetv2 --out tracked.mp4
"""

from siamjax.config import (
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    TrackerConfig,
    TrainConfig,
)


def get_config() -> Config:
    """PySOT's siamrpn_mobilev2_l234_dwxcorr."""
    return Config(
        name="siamrpnpp_mobilenetv2",
        model=ModelConfig(
            backbone=BackboneConfig(name="mobilenetv2", width=1.4),
            levels=("layer3", "layer5", "layer7"),
            channels=(256, 256, 256),
            template_crop=7,
            correlation="depthwise",
            fusion="mean",
        ),
        tracker=TrackerConfig(penalty_k=0.04, window_influence=0.4, size_lr=0.5),
        data=DataConfig(search=AugmentConfig(shift=64, scale=0.18, blur=0.2)),
        optim=OptimConfig(
            lr=0.005,
            end_lr=0.0005,
            warmup_lr=0.001,
            warmup_epochs=5,
            summed_batch=28,
            backbone_train_epoch=10,
            backbone_train_stages=("layer3", "layer4", "layer5", "layer6", "layer7"),
            backbone_lr_scale=0.1,
        ),
        train=TrainConfig(batch_size=224, epochs=20),
    )
