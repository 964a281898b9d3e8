"""Which correlation: plain (SiamFC), up-channel (SiamRPN) or depthwise (SiamRPN++)?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.3 and the ablation table. Published, EAO on
VOT2018 / AUC on OTB2015: AlexNet up-channel 0.332 / 0.658, depthwise 0.355 / 0.666; ResNet-50
with three levels up-channel 0.390 / 0.684, depthwise 0.414 / 0.696.

Plain correlation has one response and no boxes, so its rows are SiamFC networks: one level, no
neck, three scales searched in each frame.

small: quickstart's ResNet-18 and an AlexNet, an eighth as wide, on rendered sequences. AlexNet
sees twice the resolution, since nothing of its template would be left otherwise. ResNet with
up-channel correlation also on four times the pairs; its counterpart with depthwise correlation
is "3+4+5_longer" of levels.py.

    siamjax ablate configs/ablations/correlation.py --workdir runs/correlation

real: MobileNetV2 from ImageNet on pictures; both correlations with 64 and with 256 channels.

    siamjax ablate configs/ablations/correlation.py --size real --workdir runs/correlation_real
"""

from pathlib import Path

from siamjax.config import Config
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Claim, Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import (
    REAL_BENCHMARKS,
    longer,
    on_alexnet,
    on_pictures,
    plain,
    shortened,
)

MODELS = Path(__file__).parents[1]
QUESTION = (
    "Does depthwise correlation track as well as up-channel correlation, with a tenth of the "
    "parameters in the heads, and better than a plain one?"
)
CLAIM = "depthwise correlation tracks better than up-channel correlation"


def get_study(size: Size) -> Study:
    """Two backbones, three correlations; on pictures one backbone, two widths of the heads."""
    if size == "real":
        return _real()
    if size == "small":
        resnet = shortened(load_config(MODELS / "quickstart.py"))
        alexnet = on_alexnet(resnet)
        benchmarks = (StudyBenchmark(name="synthetic"),)
        published = {}
    else:
        alexnet = load_config(MODELS / "siamrpnpp_alexnet.py")
        resnet = load_config(MODELS / "siamrpnpp_r50.py")
        benchmarks = (
            StudyBenchmark(name="vot2018", data="datasets/VOT2018"),
            StudyBenchmark(name="otb", data="datasets/OTB100"),
        )
        published = {
            "alexnet_up_channel": "EAO 0.332, AUC 0.658",
            "alexnet_depthwise": "EAO 0.355, AUC 0.666",
            "resnet_up_channel": "EAO 0.390, AUC 0.684",
            "resnet_depthwise": "EAO 0.414, AUC 0.696",
        }
    variants = {
        "alexnet_plain": plain(alexnet),
        "alexnet_up_channel": _up_channel(alexnet),
        "alexnet_depthwise": alexnet,
        "resnet_plain": plain(resnet),
        "resnet_up_channel": _up_channel(resnet),
        "resnet_depthwise": resnet,
    }
    if size == "small":
        variants["resnet_up_channel_longer"] = longer(variants["resnet_up_channel"])
    return Study(
        name=f"correlation_{size}",
        question=QUESTION,
        base="resnet_depthwise",
        variants=tuple(
            Variant(name=name, config=config, published=published.get(name, ""))
            for name, config in variants.items()
        ),
        benchmarks=benchmarks,
        claims=tuple(
            Claim(
                text=f"{CLAIM} ({backbone})",
                better=f"{backbone}_depthwise",
                worse=f"{backbone}_up_channel",
                benchmark=benchmarks[-1].name,
                published=" / ".join(
                    published.get(f"{backbone}_{kind}", "")
                    for kind in ("depthwise", "up_channel")
                ).strip(" /"),
            )
            for backbone in ("alexnet", "resnet")
        ),
    )


def _real() -> Study:
    base = on_pictures(load_config(MODELS / "siamrpnpp_mobilenetv2_half.py"))
    variants = {"base": base}
    for channels in (64, 256):
        depthwise = changed(base, {"model.channels": (channels,) * len(base.model.levels)})
        variants[f"depthwise_{channels}"] = depthwise
        variants[f"up_channel_{channels}"] = _up_channel(depthwise)
    return Study(
        name="correlation_real",
        question=QUESTION,
        base="base",
        variants=tuple(Variant(name=name, config=each) for name, each in variants.items()),
        benchmarks=REAL_BENCHMARKS,
        claims=tuple(
            Claim(
                text=f"{CLAIM} ({channels} channels)",
                better=f"depthwise_{channels}",
                worse=f"up_channel_{channels}",
                benchmark="otb",
                published="AUC 0.696 / 0.684 (ResNet-50)",
            )
            for channels in (64, 256)
        ),
    )


def _up_channel(config: Config) -> Config:
    return changed(config, {"model.correlation": "up_channel"})
