"""SiamRPN++ with ResNet-50 as PySOT trains it on sixteen GPUs.

Paper: Li et al., "SiamRPN++: Evolution of Siamese Visual Tracking with Very Deep Networks",
CVPR 2019. PySOT: siamrpn_r50_l234_dwxcorr_16gpu, with 24 pairs per GPU, whose gradients it
sums; the network is that of `siamrpnpp_r50`.

Nothing is published for it.

    python train.py --config configs/siamrpnpp_r50_16gpu.py --workdir runs/siamrpnpp_r50_16gpu \
        --init.path resnet50.model
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, TrackerConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """`siamrpnpp_r50` with larger batches."""
    base = load_config(Path(__file__).with_name("siamrpnpp_r50.py"))
    return dataclasses.replace(
        base,
        name="siamrpnpp_r50_16gpu",
        tracker=TrackerConfig(penalty_k=0.01, window_influence=0.40, size_lr=0.38),
        optim=dataclasses.replace(base.optim, summed_batch=24),
        train=dataclasses.replace(base.train, batch_size=384),
    )
