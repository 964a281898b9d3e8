"""SiamFC: one fully convolutional response, the first of the family.

Paper: Bertinetto et al., "Fully-Convolutional Siamese Networks for Object Tracking", ECCV 2016
workshops. The network is siamfc-pytorch's AlexNetV1; optimisation is the paper's (its learning
rates, logspace(-2, -5, 50), epoch by epoch), labels are siamfc-pytorch's.

Published for siamfc-pytorch: AUC 0.589 on OTB2013 and 0.578 on OTB2015, AO 0.355 on GOT-10k.
Not measured here.

The network has one response and no boxes, so the configuration has one anchor. Training sees
239 pixels, a 15 x 15 response; tracking 255, 17 x 17. The published weights take RGB;
conversion reverses the input channels of the first convolution, so that images are BGR here.

    python train.py --config configs/siamfc.py --workdir runs/siamfc

    siamjax convert siamfc_alexnet_e50.pth --config configs/siamfc.py --out weights/siamfc
"""

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    TrackerConfig,
    TrainConfig,
)


def get_config() -> Config:
    """siamfc-pytorch's network."""
    return Config(
        name="siamfc",
        model=ModelConfig(
            backbone=BackboneConfig(name="siamfc_alexnet"),
            levels=("conv5",),
            channels=(256,),
            neck=False,
            template_crop=None,
            correlation="plain",
            anchors=AnchorConfig(ratios=(1.0,)),
            search_size=239,
            base_size=0,
        ),
        tracker=TrackerConfig(search_size=255, window_influence=0.176, size_lr=0.59),
        data=DataConfig(
            crop_size=255,
            template=AugmentConfig(color=0.0),
            search=AugmentConfig(shift=4, scale=0.05, color=0.0),
            negative_prob=0.0,
            labels="response",
        ),
        optim=OptimConfig(
            lr=0.01, end_lr=1e-5, warmup_epochs=0, weight_decay=5e-4, clip_norm=None
        ),
        train=TrainConfig(batch_size=8, epochs=50, pairs_per_epoch=53_200),
    )
