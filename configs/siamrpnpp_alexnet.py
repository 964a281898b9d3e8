"""SiamRPN++'s head on AlexNet: depthwise correlation, one level, the fastest in PySOT's zoo.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the AlexNet DW row of the ablation table. PySOT: siamrpn_alex_dwxcorr, and
siamrpn_alex_dwxcorr_otb, which has the same network and the same tracker.

Published for PySOT's weights: EAO 0.393 on VOT2016, 0.352 on VOT2018, 0.260 on VOT2019; AUC
0.666 and precision 0.876 on OTB2015. Not measured here. The learning rates are the effective
ones of PySOT's 16-GPU configuration, which halves those it states and sums the gradients of 16
GPUs with 128 pairs each.

    siamjax convert siamrpn_alex_dwxcorr.pth --config configs/siamrpnpp_alexnet.py \
        --out weights/siamrpnpp_alexnet
    python eval.py --config configs/siamrpnpp_alexnet.py --weights weights/siamrpnpp_alexnet \
        --benchmark otb --data OTB100 --out runs/siamrpnpp_alexnet
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
    """PySOT's siamrpn_alex_dwxcorr, trained as its siamrpn_alex_dwxcorr_16gpu."""
    return Config(
        name="siamrpnpp_alexnet",
        model=ModelConfig(
            backbone=BackboneConfig(name="alexnet"),
            levels=("layer5",),
            channels=(256,),
            neck=False,
            template_crop=None,
            correlation="depthwise",
            base_size=0,
        ),
        tracker=TrackerConfig(
            search_size=287, penalty_k=0.16, window_influence=0.40, size_lr=0.30
        ),
        data=DataConfig(
            search=AugmentConfig(shift=64, scale=0.18, blur=0.2), negative_prob=0.05
        ),
        optim=OptimConfig(
            lr=0.005,
            end_lr=0.00025,
            warmup_lr=0.0025,
            warmup_epochs=5,
            summed_batch=128,
            backbone_train_epoch=10,
            backbone_train_stages=("layer4", "layer5"),
        ),
        train=TrainConfig(batch_size=2048, epochs=50),
    )
