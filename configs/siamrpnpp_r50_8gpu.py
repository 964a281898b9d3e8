"""SiamRPN++ with ResNet-50 and the tracker of PySOT's own training recipe.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019. PySOT: siamrpn_r50_l234_dwxcorr_8gpu, the training recipe of `siamrpnpp_r50`; the
tracker's values are those for its result, not those tuned for the published weights.

Nothing is published for it.

    python train.py --config configs/siamrpnpp_r50_8gpu.py --workdir runs/siamrpnpp_r50_8gpu \
        --init.path resnet50.model
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, TrackerConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """`siamrpnpp_r50` with the recipe's tracker."""
    return dataclasses.replace(
        load_config(Path(__file__).with_name("siamrpnpp_r50.py")),
        name="siamrpnpp_r50_8gpu",
        tracker=TrackerConfig(penalty_k=0.04, window_influence=0.44, size_lr=0.33),
    )
