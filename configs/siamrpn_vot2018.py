"""DaSiamRPN's entry to VOT2018: its network at twice the width.

Paper: Zhu et al., "Distractor-aware Siamese Networks for Visual Object Tracking", ECCV 2018.
Release: SiamRPNBIG.model.

Published: accuracy 0.59, robustness 0.28 and EAO 0.383 on VOT2018. Not measured here. The
search size is 287 in sequences whose target fills less than 0.4% of the first frame, and 271
otherwise, as in the released tracker.

    siamjax convert SiamRPNBIG.model --config configs/siamrpn_vot2018.py \
        --out weights/siamrpn_vot2018
    siamjax track video.mp4 --init 300,200,80,60 --config configs/siamrpn_vot2018.py \
        --weights weights/siamrpn_vot2018 --out tracked.mp4
"""

import dataclasses
from pathlib import Path

from siamjax.config import BackboneConfig, Config
from siamjax.config_files import load_config


def get_config() -> Config:
    """DaSiamRPN's SiamRPNBIG: `dasiamrpn` at twice the width."""
    base = load_config(Path(__file__).with_name("dasiamrpn.py"))
    return dataclasses.replace(
        base,
        name="siamrpn_vot2018",
        model=dataclasses.replace(
            base.model, backbone=BackboneConfig(name="alexnet", width=2.0), channels=(512,)
        ),
        tracker=dataclasses.replace(
            base.tracker,
            penalty_k=0.055,
            window_influence=0.42,
            size_lr=0.295,
            small_target_search_size=287,
        ),
    )
