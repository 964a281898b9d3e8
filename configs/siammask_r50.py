"""SiamMask with ResNet-50: region proposals on one level, and a mask of the target.

Paper: Wang et al., "Fast Online Object Tracking and Segmentation: A Unifying Approach", CVPR
2019. PySOT: siammask_r50_l3.

Published for PySOT's weights: EAO 0.455 on VOT2016, 0.423 on VOT2018, 0.283 on VOT2019. Not
measured here. The box of the region proposals drives the tracker; the mask at the selected cell
gives the rotated rectangle that VOT scores (`tracker.polygon`). Masks are for tracking with
converted weights only: PySOT never released their training.

    siamjax convert siammask_r50_l3.pth --config configs/siammask_r50.py \
        --out weights/siammask_r50
    siamjax track video.mp4 --init 300,200,80,60 --config configs/siammask_r50.py \
        --weights weights/siammask_r50 --out tracked.mp4
"""

from siamjax.config import BackboneConfig, Config, ModelConfig, TrackerConfig


def get_config() -> Config:
    """PySOT's siammask_r50_l3."""
    return Config(
        name="siammask_r50",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet50"),
            levels=("layer3",),
            channels=(256,),
            template_crop=7,
            correlation="depthwise",
            mask=True,
        ),
        tracker=TrackerConfig(
            penalty_k=0.10, window_influence=0.41, size_lr=0.32, mask_threshold=0.15
        ),
    )
