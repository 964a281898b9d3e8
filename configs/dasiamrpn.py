"""DaSiamRPN: SiamRPN's network, trained with semantic negatives (distractors).

Paper: Zhu et al., "Distractor-aware Siamese Networks for Visual Object Tracking", ECCV 2018.
Release: SiamRPNVOT.model and SiamRPNOTB.model, one network.

Published: EAO 0.446 on VOT2015, 0.411 on VOT2016, 0.326 on VOT2017; AUC 0.655 on OTB2015
(SiamRPNOTB). Not measured here. The paper's long-term and distractor-aware inference was never
released; it is optional here, `tracker.long_term` (see `dasiamrpn_lt`) and
`tracker.distractors`, off as in the release. The tracker's values are those of SiamRPNVOT; for
SiamRPNOTB penalty_k is 0.22, window_influence 0.40 and size_lr 0.30.

    siamjax convert SiamRPNVOT.model --config configs/dasiamrpn.py --out weights/dasiamrpn
    siamjax track video.mp4 --init 300,200,80,60 --config configs/dasiamrpn.py \
        --weights weights/dasiamrpn --out tracked.mp4
"""

from siamjax.config import BackboneConfig, Config, ModelConfig, TrackerConfig


def get_config() -> Config:
    """DaSiamRPN's SiamRPNvot."""
    return Config(
        name="dasiamrpn",
        model=ModelConfig(
            backbone=BackboneConfig(name="alexnet"),
            levels=("layer5",),
            channels=(256,),
            neck=False,
            template_crop=None,
            correlation="up_channel",
            search_size=271,
            base_size=0,
        ),
        tracker=TrackerConfig(
            search_size=271,
            penalty_k=0.04,
            window_influence=0.44,
            size_lr=0.45,
            arithmetic="dasiamrpn",
        ),
    )
