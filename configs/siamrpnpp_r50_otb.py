"""SiamRPN++ with ResNet-50, for OTB: the plain mean over the levels.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019, the OTB2015 results. PySOT: siamrpn_r50_l234_dwxcorr_otb.

Published: AUC 0.696 and precision 0.914 on OTB2015. Not measured here. Optimisation and
augmentation are PySOT's for eight GPUs with 16 pairs each (siamrpn_r50_l234_dwxcorr_otb_8gpu),
whose gradients it sums.

    siamjax convert siamrpn_r50_l234_dwxcorr_otb.pth --config configs/siamrpnpp_r50_otb.py \
        --out weights/siamrpnpp_r50_otb
    python eval.py --config configs/siamrpnpp_r50_otb.py --weights weights/siamrpnpp_r50_otb \
        --benchmark otb --data OTB100 --out runs/siamrpnpp_r50_otb
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, TrackerConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """PySOT's siamrpn_r50_l234_dwxcorr_otb."""
    base = load_config(Path(__file__).with_name("siamrpnpp_r50.py"))
    return dataclasses.replace(
        base,
        name="siamrpnpp_r50_otb",
        model=dataclasses.replace(base.model, fusion="mean"),
        tracker=TrackerConfig(penalty_k=0.24, window_influence=0.5, size_lr=0.25),
        data=dataclasses.replace(base.data, gray_prob=0.2),
        optim=dataclasses.replace(
            base.optim,
            end_lr=0.0025,
            summed_batch=16,
            backbone_train_stages=("layer1", "layer2", "layer3", "layer4"),
        ),
        train=dataclasses.replace(base.train, batch_size=128),
    )
