"""SiamRPN++ with ResNet-50, for OTB: the plain mean over the levels.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the OTB2015 results. PySOT: siamrpn_r50_l234_dwxcorr_otb.

Published: AUC 0.696 and precision 0.914 on OTB2015. Not measured here. Optimisation and
augmentation are PySOT's for eight GPUs with 16 pairs each (siamrpn_r50_l234_dwxcorr_otb_8gpu),
whose gradients it adds up.

    siamjax convert siamrpn_r50_l234_dwxcorr_otb.pth --config configs/siamrpnpp_r50_otb.py \
        --out weights/siamrpnpp_r50_otb
    python eval.py --config configs/siamrpnpp_r50_otb.py --weights weights/siamrpnpp_r50_otb \
        --benchmark otb --data OTB100 --out runs/siamrpnpp_r50_otb
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
    """PySOT's siamrpn_r50_l234_dwxcorr_otb."""
    return Config(
        name="siamrpnpp_r50_otb",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet50"),
            levels=("layer2", "layer3", "layer4"),
            channels=(256, 256, 256),
            template_crop=7,
            correlation="depthwise",
            fusion="mean",
        ),
        tracker=TrackerConfig(penalty_k=0.24, window_influence=0.5, size_lr=0.25),
        data=DataConfig(search=AugmentConfig(shift=64, scale=0.18, blur=0.2), gray_prob=0.2),
        optim=OptimConfig(
            lr=0.005,
            end_lr=0.0025,
            warmup_lr=0.001,
            warmup_epochs=5,
            summed_batch=16,
            backbone_train_epoch=10,
            backbone_train_stages=("layer1", "layer2", "layer3", "layer4"),
            backbone_lr_scale=0.1,
        ),
        train=TrainConfig(batch_size=128, epochs=20),
    )
