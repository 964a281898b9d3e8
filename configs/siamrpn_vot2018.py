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

from siamjax.config import BackboneConfig, Config, ModelConfig, TrackerConfig


def get_config() -> Config:
    """DaSiamRPN's SiamRPNBIG."""
    return Config(
        name="siamrpn_vot2018",
        model=ModelConfig(
            backbone=BackboneConfig(name="alexnet", width=2.0),
            levels=("layer5",),
            channels=(512,),
            neck=False,
            template_crop=None,
            correlation="up_channel",
            search_size=271,
            base_size=0,
            score_size=19,
        ),
        tracker=TrackerConfig(
            search_size=271,
            penalty_k=0.055,
            window_influence=0.42,
            size_lr=0.295,
            arithmetic="dasiamrpn",
            small_target_search_size=287,
        ),
    )
