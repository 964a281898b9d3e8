"""Which levels: one stage of the backbone, two or three; with learned or equal weights?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.2 and the ablation table. Published, EAO on
VOT2018 / AUC on OTB2015, ResNet-50, depthwise: conv3 0.331 / 0.669, conv4 0.374 / 0.678, conv5
0.320 / 0.646, 3+4 0.346 / 0.677, 3+5 0.336 / 0.674, 4+5 0.383 / 0.683, 3+4+5 0.414 / 0.696.
conv3 is our layer2.

small: quickstart's ResNet-18 at half its width, on rendered sequences; conv3 alone and all
three also on four times the pairs ("..._longer"), since short training favours few levels.

    siamjax ablate configs/ablations/levels.py --workdir runs/levels
"""

from pathlib import Path

from siamjax.config_files import changed, load_config
from siamjax.studies.study import Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import longer, shortened, with_levels

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


def get_study(size: Size) -> Study:
    """Every non-empty set of the last three stages, and the mean of all three."""
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
        question="Do the outputs of several stages track better together than each alone, and "
        "do their weights need to be learned?",
        base="3+4+5",
        variants=tuple(variants),
        benchmarks=benchmarks,
    )
