"""The shift's distribution: uniform, Gaussian, or inverse to the padding that it causes?

Paper: Li et al., "SiamRPN++", CVPR 2019, section 3.1, shifts uniformly. Its authors have named
another law as the ideal and too complicated in practice: each offset weighted by the inverse
frequency of the padding it causes. `siamjax/data/offsets.py` says how we read that. Nothing is
published about the comparison.

small: quickstart's ResNet-18 at half its width, on rendered sequences.

    siamjax ablate configs/ablations/shift_law.py --workdir runs/shift_law
"""

from pathlib import Path

from siamjax.config import SourceConfig
from siamjax.config_files import changed, load_config
from siamjax.studies.study import Size, Study, StudyBenchmark, Variant
from siamjax.studies.variants import probe_source, require_size, shortened

MODELS = Path(__file__).parents[1]


def get_study(size: Size) -> Study:
    """Three laws over one range."""
    require_size(size, "small", "full")
    if size == "small":
        base = shortened(load_config(MODELS / "quickstart.py"))
        benchmarks = (StudyBenchmark(name="synthetic"),)
        probe = probe_source(base)
    else:
        base = load_config(MODELS / "siamrpnpp_r50.py")
        benchmarks = (StudyBenchmark(name="vot2018", data="datasets/VOT2018"),)
        probe = SourceConfig(path="prepared/got10k_val")
    laws = ("uniform", "gaussian", "inverse_padding")
    return Study(
        name=f"shift_law_{size}",
        question="Is it better to shift the target uniformly, or with another law?",
        base="uniform",
        variants=tuple(
            Variant(name=law, config=changed(base, {"data.search.shift_law": law}))
            for law in laws
        ),
        benchmarks=benchmarks,
        probes=("response",),
        probe_source=probe,
        probe_shift=base.data.search.shift,
    )
