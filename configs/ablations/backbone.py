"""Which backbone: how deep, fine-tuned or frozen, dilated or not, from ImageNet or not?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.2 and the ablation table. Published, EAO on
VOT2018 / AUC on OTB2015, three levels, depthwise: ResNet-50 frozen 0.395 / 0.673, fine-tuned
0.414 / 0.696; AlexNet 0.355 / 0.666; MobileNetV2 0.410 on VOT2018 (PySOT's model zoo).

Undilated networks have a stride of 16 at their third level and 32 at the last, so they are
compared with a dilated one at that third level ("..._conv4").

small: an eighth of the width (full MobileNetV2 where it starts from ImageNet), on rendered
sequences; weights/mobilenetv2_1.0_imagenet.npz is any file of it that `siamjax convert` takes.

    siamjax ablate configs/ablations/backbone.py --workdir runs/backbone

real: pictures, at 79 of 127 pixels (AlexNet at 127: nothing of its template would be left);
MobileNetV2 from ImageNet and from scratch, the others from scratch.

    siamjax ablate configs/ablations/backbone.py --size real --workdir runs/backbone_real
"""

from pathlib import Path

from siamjax.config import AnchorConfig, BackboneConfig, Config, InitConfig
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import (
    REAL_BENCHMARKS,
    WIDTH,
    from_scratch,
    frozen,
    on_alexnet,
    on_pictures,
    shortened,
    with_levels,
)

MODELS = Path(__file__).parents[1]
MOBILE_LEVELS = ("layer3", "layer5", "layer7")


def get_study(size: Size) -> Study:
    """Depths, and one decision about the backbone at a time."""
    return {"small": _small, "full": _full, "real": _real}[size]()


def _small() -> Study:
    base = shortened(load_config(MODELS / "quickstart.py"))

    def of(name: str, **backbone) -> Config:
        return changed(base, {"model.backbone": BackboneConfig(name=name, **backbone)})

    mobile = changed(of("mobilenetv2"), {"model.levels": MOBILE_LEVELS})
    conv4 = with_levels(base, ("layer3",))
    undilated = {
        "model.backbone.dilated": False,
        "model.anchors": AnchorConfig(stride=16, scales=(2.0,)),
        "model.template_crop": 3,
        "model.base_size": 0,
    }
    variants = {
        "resnet18": base,
        "resnet34": of("resnet34", width=WIDTH),
        "resnet50": of("resnet50", width=WIDTH),
        "alexnet": on_alexnet(base),
        "mobilenetv2": mobile,
        "mobilenetv2_imagenet": changed(mobile, _imagenet("mobilenetv2_1.0_imagenet.npz")),
        "mobilenetv2_frozen": changed(
            frozen(mobile), _imagenet("mobilenetv2_1.0_imagenet.npz")
        ),
        "resnet18_conv4": conv4,
        "resnet18_conv4_undilated": changed(conv4, undilated),
    }
    return _study("small", "resnet18", variants, {}, (StudyBenchmark(name="synthetic"),))


def _full() -> Study:
    base = changed(load_config(MODELS / "siamrpnpp_r50.py"), _imagenet("resnet50_imagenet.pth"))
    alexnet = load_config(MODELS / "siamrpnpp_alexnet.py")
    mobile = load_config(MODELS / "siamrpnpp_mobilenetv2.py")
    conv4 = with_levels(base, ("layer3",))
    undilated = {
        "model.backbone.dilated": False,
        "model.anchors": AnchorConfig(stride=16, scales=(4.0,)),
        "model.template_crop": 5,
        "model.base_size": 2,
    }
    variants = {
        "resnet50": base,
        "resnet50_frozen": frozen(base),
        "resnet50_scratch": from_scratch(base),
        "resnet34": _other_resnet(base, "resnet34"),
        "resnet18": _other_resnet(base, "resnet18"),
        "alexnet": changed(alexnet, _imagenet("alexnet_imagenet.pth")),
        "mobilenetv2": changed(mobile, _imagenet("mobilenetv2_1.4_imagenet.pth")),
        "resnet50_conv4": conv4,
        "resnet50_conv4_undilated": changed(conv4, undilated),
    }
    published = {
        "resnet50": "EAO 0.414, AUC 0.696",
        "resnet50_frozen": "EAO 0.395, AUC 0.673",
        "alexnet": "EAO 0.355, AUC 0.666",
        "mobilenetv2": "EAO 0.410",
        "resnet50_conv4": "EAO 0.374, AUC 0.678",
    }
    benchmarks = (
        StudyBenchmark(name="vot2018", data="datasets/VOT2018"),
        StudyBenchmark(name="otb", data="datasets/OTB100"),
    )
    return _study("full", "resnet50", variants, published, benchmarks)


def _real() -> Study:
    base = on_pictures(load_config(MODELS / "siamrpnpp_mobilenetv2_half.py"))
    scratch = from_scratch(base)
    resnet = changed(scratch, {"model.levels": ("layer2", "layer3", "layer4")})
    variants = {
        "base": base,
        "scratch": scratch,
        "alexnet_scratch": on_alexnet(scratch, width=1.0, channels=128),
        **{
            f"{name}_scratch": changed(resnet, {"model.backbone": BackboneConfig(name=name)})
            for name in ("resnet18", "resnet34", "resnet50")
        },
    }
    return _study("real", "base", variants, {}, REAL_BENCHMARKS)


def _other_resnet(base: Config, name: str) -> Config:
    backbone = {"model.backbone.name": name}
    return changed(base, {**backbone, **_imagenet(f"{name}_imagenet.pth")})


def _imagenet(file: str) -> dict:
    return {"init": InitConfig(path=f"weights/{file}", parts=("backbone",))}


def _study(size, base, variants, published, benchmarks) -> Study:
    return Study(
        name=f"backbone_{size}",
        question="How deep should the backbone be, what should it start from, and should it "
        "be fine-tuned?",
        base=base,
        variants=tuple(
            Variant(name=name, config=config, published=published.get(name, ""))
            for name, config in variants.items()
        ),
        benchmarks=benchmarks,
    )
