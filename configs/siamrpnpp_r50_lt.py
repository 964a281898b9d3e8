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

import dataclasses
from pathlib import Path

from siamjax.config import Config, LongTermConfig, TrackerConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """PySOT's siamrpn_r50_l234_dwxcorr_lt."""
    base = load_config(Path(__file__).with_name("siamrpnpp_r50.py"))
    return dataclasses.replace(
        base,
        name="siamrpnpp_r50_lt",
        model=dataclasses.replace(base.model, channels=(128, 256, 512)),
        tracker=TrackerConfig(
            penalty_k=0.05,
            window_influence=0.28,
            size_lr=0.22,
            long_term=LongTermConfig(
                search_size=831, confidence_low=0.8, confidence_high=0.998
            ),
        ),
    )
