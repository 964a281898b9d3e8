"""SiamRPN++ with ResNet-50, for VOT and as the general tracker.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the last row of the ablation table (levels 3 + 4 + 5, depthwise, fine-tuned). PySOT:
siamrpn_r50_l234_dwxcorr.

Published for PySOT's weights: EAO 0.464 on VOT2016, 0.415 on VOT2018, 0.287 on VOT2019. Not
measured here. Optimisation and augmentation are PySOT's for eight GPUs with 28 pairs each
(siamrpn_r50_l234_dwxcorr_8gpu), whose gradients it sums: `summed_batch` does the same on any
number of devices, and scales the step with `--train.batch-size`.

    python train.py --config configs/siamrpnpp_r50.py --workdir runs/siamrpnpp_r50 \
        --init.path resnet50.model

    siamjax convert siamrpn_r50_l234_dwxcorr.pth --config configs/siamrpnpp_r50.py \
        --out weights/siamrpnpp_r50
    siamjax track video.mp4 --init 300,200,80,60 --config configs/siamrpnpp_r50.py \
        --weights weights/siamrpnpp_r50 --out tracked.mp4
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
    """PySOT's siamrpn_r50_l234_dwxcorr."""
    return Config(
        name="siamrpnpp_r50",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet50"),
            levels=("layer2", "layer3", "layer4"),
            channels=(256, 256, 256),
            template_crop=7,
            correlation="depthwise",
            fusion="weighted",
        ),
        tracker=TrackerConfig(penalty_k=0.05, window_influence=0.42, size_lr=0.38),
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
