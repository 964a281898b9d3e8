"""Should the backbone be fine-tuned: never, from the middle of training, or from its start?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 4.2 and the ablation table. Published, EAO on
VOT2018 / AUC on OTB2015, ResNet-50: frozen 0.395 / 0.673, fine-tuned 0.414 / 0.696.

real: MobileNetV2 from ImageNet on pictures. With the published models, `backbone.py` has the
frozen and the untrained start at size full.

    siamjax ablate configs/ablations/finetuning.py --size real --workdir runs/finetuning_real
"""

from pathlib import Path

from siamjax.config_files import changed, load_config
from siamjax.studies.study import Claim, Size, Study, Variant
from siamjax.studies.variants import (
    REAL_BENCHMARKS,
    from_scratch,
    frozen,
    on_pictures,
    require_size,
)

MODELS = Path(__file__).parents[1]


def get_study(size: Size) -> Study:
    """The base is tuned at a tenth of the rate from the middle."""
    require_size(size, "real")
    base = on_pictures(load_config(MODELS / "siamrpnpp_mobilenetv2_half.py"))
    variants = {
        "base": base,
        "frozen": frozen(base),
        "tuned_from_start": changed(base, {"optim.backbone_train_epoch": 0}),
        "scratch": from_scratch(base),
    }
    return Study(
        name="finetuning_real",
        question="Should the backbone be fine-tuned, from when on, and does it need ImageNet?",
        base="base",
        variants=tuple(Variant(name=name, config=each) for name, each in variants.items()),
        benchmarks=REAL_BENCHMARKS,
        claims=(
            Claim(
                text="fine-tuning the backbone tracks better than freezing it",
                better="base",
                worse="frozen",
                benchmark="otb",
                published="AUC 0.696 / 0.673 (ResNet-50)",
            ),
        ),
    )
