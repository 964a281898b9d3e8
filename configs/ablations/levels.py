"""Which levels: one stage of the backbone, two or three; with learned or equal weights?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.2 and the ablation table. Published, EAO on
VOT2018 / AUC on OTB2015, ResNet-50, depthwise: conv3 0.331 / 0.669, conv4 0.374 / 0.678, conv5
0.320 / 0.646, 3+4 0.346 / 0.677, 3+5 0.336 / 0.674, 4+5 0.383 / 0.683, 3+4+5 0.414 / 0.696.
conv3 is our layer2.

small: quickstart's ResNet-18 at half its width, on rendered sequences; conv3 alone and all
three also on four times the pairs ("..._longer"), since short training favours few levels.

    siamjax ablate configs/ablations/levels.py --workdir runs/levels

real: MobileNetV2 from ImageNet on pictures; its first, middle and last level, and all three.

    siamjax ablate configs/ablations/levels.py --size real --workdir runs/levels_real
"""

from pathlib import Path

from siamjax.config_files import changed, load_config
from siamjax.studies.study import Claim, Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import (
    REAL_BENCHMARKS,
    longer,
    on_pictures,
    shortened,
    with_levels,
)

MODELS = Path(__file__).parents[1]
PUBLISHED = {
    "3": "EAO 0.331, AUC 0.669",
    "4": "EAO 0.374, AUC 0.678",
    "5": "EAO 0.320, AUC 0.646",
    "3+4": "EAO 0.346, AUC 0.677",
    "3+5": "EAO 0.336, AUC 0.674",
    "4+5": "EAO 0.383, AUC 0.683",
    "3+4+5": "EAO 0.414, AUC 0.696",
}


QUESTION = (
    "Do the outputs of several stages track better together than each alone, and do their "
    "weights need to be learned?"
)
CLAIM = "three levels track better than the {} one alone"


def get_study(size: Size) -> Study:
    """Every non-empty set of the last three stages, and the mean of all three."""
    if size == "real":
        return _real()
    if size == "small":
        base = shortened(load_config(MODELS / "quickstart.py"))
        benchmarks = (StudyBenchmark(name="synthetic"),)
        published = {}
    else:
        base = load_config(MODELS / "siamrpnpp_r50.py")
        benchmarks = (
            StudyBenchmark(name="vot2018", data="datasets/VOT2018"),
            StudyBenchmark(name="otb", data="datasets/OTB100"),
        )
        published = PUBLISHED
    variants = [
        Variant(
            name=name,
            config=with_levels(
                base, tuple(f"layer{int(conv) - 1}" for conv in name.split("+"))
            ),
            published=published.get(name, ""),
        )
        for name in PUBLISHED
    ]
    variants.append(Variant(name="3+4+5_mean", config=changed(base, {"model.fusion": "mean"})))
    if size == "small":
        variants += [
            Variant(name=f"{each.name}_longer", config=longer(each.config))
            for each in variants
            if each.name in ("3", "3+4+5")
        ]
    return Study(
        name=f"levels_{size}",
        question=QUESTION,
        base="3+4+5",
        variants=tuple(variants),
        benchmarks=benchmarks,
        claims=tuple(
            Claim(
                text=CLAIM.format(which),
                better="3+4+5",
                worse=conv,
                benchmark=benchmarks[-1].name,
                published=f"AUC 0.696 / {PUBLISHED[conv][-5:]}",
            )
            for which, conv in (("first", "3"), ("middle", "4"), ("last", "5"))
        ),
    )


def _real() -> Study:
    base = on_pictures(load_config(MODELS / "siamrpnpp_mobilenetv2_half.py"))
    names = dict(zip(("first", "middle", "last"), base.model.levels, strict=True))
    alone = [
        Variant(name=f"level_{name}", config=with_levels(base, (level,)))
        for name, level in names.items()
    ]
    mean = Variant(name="level_mean", config=changed(base, {"model.fusion": "mean"}))
    return Study(
        name="levels_real",
        question=QUESTION,
        base="base",
        variants=(Variant(name="base", config=base), *alone, mean),
        benchmarks=REAL_BENCHMARKS,
        claims=tuple(
            Claim(
                text=CLAIM.format(which),
                better="base",
                worse=f"level_{which}",
                benchmark="otb",
                published=f"AUC 0.696 / {PUBLISHED[conv][-5:]} (ResNet-50)",
            )
            for which, conv in (("first", "3"), ("middle", "4"), ("last", "5"))
        ),
    )
