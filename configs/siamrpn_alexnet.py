"""SiamRPN: region proposals on AlexNet with up-channel correlation.

Paper: Li et al., "High Performance Visual Tracking with Siamese Region Proposal Network",
CVPR 2018; as the AlexNet UP row in SiamRPN++'s ablation table.

Published by DaSiamRPN's authors: EAO 0.349 on VOT2015, 0.344 on VOT2016, 0.244 on VOT2017.
Not measured here. No weights under this name are public; those that DaSiamRPN released have
the same shape. PySOT trains this head with no configuration of its own, so the tracker's
values are its defaults, on the search size of DaSiamRPN's release.

    siamjax track video.mp4 --init 300,200,80,60 --config configs/siamrpn_alexnet.py \
        --weights siamrpn_alexnet.pth --out tracked.mp4
"""

from siamjax.config import BackboneConfig, Config, ModelConfig, TrackerConfig


def get_config() -> Config:
    """AlexNet with PySOT's UPChannelRPN."""
    return Config(
        name="siamrpn_alexnet",
        model=ModelConfig(
            backbone=BackboneConfig(name="alexnet"),
            levels=("layer5",),
            channels=(256,),
            neck=False,
            template_crop=None,
            correlation="up_channel",
            base_size=0,
        ),
        tracker=TrackerConfig(
            search_size=271, penalty_k=0.04, window_influence=0.44, size_lr=0.4
        ),
    )
