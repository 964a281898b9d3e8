"""The shift experiment: does padding teach a deep network where, and does shifting cure it?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.1: trained with the target always in the
centre, a padded deep network answers at the centre; trained with uniform shifts of up to 64
pixels, it answers where the target is. The paper's figure has heat-maps for 0, 16 and 32
pixels and a curve over the range, without a table: there are no published numbers to copy.

The base has the paper's range. Controls: the same network up to its third stage, with padding
("middle_...") and without any ("middle_unpadded_..."), which sees real surroundings where the
other has zeros; all stages would need more surroundings than videos have. The same up to its
second stage ("shallow_...", "unpadded_..."), where padding does not reach far. And SiamFC's
plain correlation on the padded network ("plain_..."). Every network is probed with targets
anywhere within 64 pixels of the centre.

small: quickstart's ResNet-18 at half its width and half the paper's resolution, so that its
range of 32 pixels stands for 64; the names give the paper's pixels. Ours (docs/ablations.md):
success AUC 0.17 with centred targets, 0.40 with the range of 64.

    siamjax ablate configs/ablations/shift.py --workdir runs/shift

real: MobileNetV2 from ImageNet on pictures, at 79 of 127 pixels; names as above.

    siamjax ablate configs/ablations/shift.py --size real --workdir runs/shift_real --jobs 2
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, SourceConfig
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Claim, Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import (
    REAL_BENCHMARKS,
    REAL_PROBE,
    frozen,
    on_pictures,
    plain,
    probe_source,
    shortened,
    with_levels,
)

MODELS = Path(__file__).parents[1]
RANGES = (0, 8, 16, 32, 64)
QUESTION = (
    "Does a padded deep network learn that the target is always in the centre, and does "
    "shifting the target uniformly in training cure it?"
)
CLAIM = "shifting targets cures the position bias"


def get_study(size: Size) -> Study:
    """The padded network over five ranges, and the controls at both ends."""
    if size == "real":
        return _real()
    if size == "small":
        base = shortened(load_config(MODELS / "quickstart.py"))
        scale, second, third = 0.5, 44, 100
        benchmarks = (StudyBenchmark(name="synthetic"),)
        probe = probe_source(base)
    else:
        base = load_config(MODELS / "siamrpnpp_r50.py")
        scale, second, third = 1.0, 42, 130
        benchmarks = (StudyBenchmark(name="vot2018", data="datasets/VOT2018"),)
        probe = SourceConfig(path="prepared/got10k_val")
    variants = [_at(f"shift_{pixels}", base, pixels * scale) for pixels in RANGES]
    for pixels in (0, 64):
        variants += [
            _at(f"plain_{pixels}", plain(base), pixels * scale),
            _at(f"shallow_{pixels}", _up_to(base, "layer2", "zeros", second), pixels * scale),
            _at(
                f"unpadded_{pixels}", _up_to(base, "layer2", "cropped", second), pixels * scale
            ),
        ]
    variants += [
        _at("middle_0", _up_to(base, "layer3", "zeros", third), 0.0),
        _at("middle_unpadded_0", _up_to(base, "layer3", "cropped", third), 0.0),
    ]
    return Study(
        name=f"shift_{size}",
        question=QUESTION,
        base="shift_64",
        variants=tuple(variants),
        benchmarks=benchmarks,
        claims=(
            Claim(text=CLAIM, better="shift_64", worse="shift_0", benchmark=benchmarks[0].name),
        )
        if size == "small"
        else (),
        probes=("response", "equivariance"),
        probe_source=probe,
        probe_shift=64 * scale,
    )


def _real() -> Study:
    base = on_pictures(load_config(MODELS / "siamrpnpp_mobilenetv2_half.py"))
    scale = base.model.context_pixels / 127
    variants = (
        _at("shift_0", base, 0.0),
        _at("shift_16", base, round(16 * scale)),
        Variant(name="base", config=base),
        Variant(name="frozen", config=frozen(base)),
    )
    return Study(
        name="shift_real",
        question=QUESTION,
        base="base",
        variants=variants,
        benchmarks=REAL_BENCHMARKS,
        claims=(Claim(text=CLAIM, better="base", worse="shift_0", benchmark="otb"),),
        probes=("response",),
        probe_source=REAL_PROBE,
        probe_shift=base.data.search.shift,
    )


def _at(name: str, config: Config, shift: float) -> Variant:
    """The configuration with another range, and colour, scale and blur as they were."""
    search = dataclasses.replace(config.data.search, shift=float(shift))
    return Variant(name=name, config=changed(config, {"data.search": search}))


def _up_to(config: Config, level: str, padding: str, margin: int) -> Config:
    """The same network up to one stage, with zero padding or ("cropped") without any.

    Without padding every image has `margin` pixels more on each side, at the same scale, so
    that real context takes the place of zeros and the score map keeps its size.
    """
    config = with_levels(config, (level,))
    model = config.model
    added = 2 * margin if padding == "cropped" else 0
    return changed(
        config,
        {
            "model.backbone.padding": padding,
            "model.context_size": model.context_pixels,
            "model.template_size": model.template_size + added,
            "model.search_size": model.search_size + added,
            "tracker.search_size": config.tracker.search_size + added,
            "data.crop_size": config.data.crop_size + 2 * margin,
        },
    )
