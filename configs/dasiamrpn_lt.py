"""DaSiamRPN for long-term tracking: a lost target is searched in growing search images.

Paper: Zhu et al., "Distractor-aware Siamese Networks for Visual Object Tracking", ECCV 2018,
section 3.5. The release has no long-term tracker, so this follows the paper: lost below 0.8,
found above 0.95, a search image that grows "with a constant step" to 767 pixels. The paper does
not give the step; 128 is ours.

Published: AUC 0.617 on UAV20L. Not measured here. Network and weights are those of `dasiamrpn`.

    siamjax convert SiamRPNVOT.model --config configs/dasiamrpn_lt.py \
        --out weights/dasiamrpn_lt
    siamjax track video.mp4 --init 300,200,80,60 --config configs/dasiamrpn_lt.py \
        --weights weights/dasiamrpn_lt --out tracked.mp4
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, LongTermConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """DaSiamRPN's SiamRPNvot with the paper's search for a lost target."""
    base = load_config(Path(__file__).with_name("dasiamrpn.py"))
    long_term = LongTermConfig(
        search_size=767, search_step=128, confidence_low=0.8, confidence_high=0.95
    )
    return dataclasses.replace(
        base,
        name="dasiamrpn_lt",
        tracker=dataclasses.replace(base.tracker, long_term=long_term),
    )
