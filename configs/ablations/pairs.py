"""Which training pairs: with semantic negatives, still images, blur, or without?

Papers: Zhu et al., "Distractor-aware Siamese Networks" (DaSiamRPN), ECCV 2018, section 3.2, for
negatives of the same and of another category and for still images; PySOT for blur. What
DaSiamRPN publishes about them belongs to another network and tracker, and is not copied here.

small: quickstart's ResNet-18 at half its width, on rendered sequences. Its categories are kinds
of shapes, and its still images are sequences of one frame.

    siamjax ablate configs/ablations/pairs.py --workdir runs/pairs
"""

import dataclasses
from pathlib import Path

from siamjax.config import SourceConfig, SyntheticConfig
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import require_size, shortened

MODELS = Path(__file__).parents[1]


def get_study(size: Size) -> Study:
    """One addition to the pairs at a time."""
    require_size(size, "small", "full")
    if size == "small":
        base = shortened(load_config(MODELS / "quickstart.py"))
        stills = SourceConfig(
            synthetic=SyntheticConfig(seed=1, sequences=1000, frames=1),
            frame_range=0,
            weight=0.5,
        )
        benchmarks = (StudyBenchmark(name="synthetic"),)
    else:
        base = load_config(MODELS / "siamrpnpp_r50.py")
        videos = (
            SourceConfig(path="prepared/imagenet_vid"),
            SourceConfig(path="prepared/got10k"),
        )
        base = changed(base, {"data.sources": videos})
        stills = SourceConfig(path="prepared/coco", frame_range=1, weight=0.5)
        benchmarks = (StudyBenchmark(name="vot2018", data="datasets/VOT2018"),)
    no_blur = dataclasses.replace(base.data.search, blur=0.0)
    base = changed(base, {"data.search": no_blur})
    additions = {
        "videos": {},
        "no_negatives": {"data.negative_prob": 0.0},
        "same_category": {"data.same_category_prob": 0.5},
        "other_category": {"data.other_category_prob": 0.5},
        "both_categories": {"data.same_category_prob": 0.5, "data.other_category_prob": 0.5},
        "still_images": {"data.sources": (*base.data.sources, stills)},
        "blur": {"data.search.blur": 0.2},
    }
    return Study(
        name=f"pairs_{size}",
        question="Which pairs teach a tracker most: harder negatives, more objects from still "
        "images, or blur?",
        base="videos",
        variants=tuple(
            Variant(name=name, config=changed(base, values))
            for name, values in additions.items()
        ),
        benchmarks=benchmarks,
    )
