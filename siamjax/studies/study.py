"""Studies: a base, variants that each change one decision, seeds, benchmarks.

A study is a Python file with `get_study(size) -> Study`, values only, where `size` is "full"
(the paper's data), "small" (rendered data, minutes on two CPU cores) or "real" (pictures and an
ImageNet backbone, hours on two CPU cores).
"""

import dataclasses
import re
from pathlib import Path
from typing import Literal, get_args

from siamjax.config import Config, SourceConfig, did_you_mean, require
from siamjax.config_files import find_file, run_file

Size = Literal["full", "small", "real"]
Probe = Literal["response", "equivariance"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table."""

    name: str
    config: Config
    published: str = ""  # the paper's number for this row, labelled as published


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyBenchmark:
    """A benchmark that every trained network is evaluated on."""

    name: str  # as for eval.py
    data: str = ""  # its folder; empty for `synthetic`, rendered once per study
    scores: tuple[str, ...] = ()  # the tables' columns; by default all


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What the paper says about two variants: that one scores more than the other."""

    text: str
    better: str
    worse: str
    published: str = ""  # its numbers, labelled as published
    benchmark: str = "synthetic"
    score: str = "success_auc"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Every variant is trained and evaluated once with each seed.

    The seed sets the initial parameters and the order of the pairs; rendered data is the same
    for all.
    """

    name: str
    question: str  # a sentence or two for the top of the report
    variants: tuple[Variant, ...]
    base: str  # the variant that the others are compared with
    seeds: tuple[int, ...] = (0, 1, 2)
    benchmarks: tuple[StudyBenchmark, ...] = (StudyBenchmark(name="synthetic"),)
    claims: tuple[Claim, ...] = ()
    probes: tuple[Probe, ...] = ()
    probe_source: SourceConfig | None = None  # pairs to probe with, never trained on
    probe_shift: float = 0.0  # pixels per axis: targets lie uniformly within this of the centre

    def __post_init__(self):
        names = [variant.name for variant in self.variants]
        for variant in self.variants:
            variant.config.check_training()
        for name in (self.name, *names):
            require(
                re.fullmatch(r"[\w.+-]+", name) is not None,
                f"`name` (={name!r}) may hold letters, digits and . _ + - only, since "
                "it names a folder",
            )
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, f"study {self.name!r} has more than one variant called {twice}")
        require(
            self.base in names,
            f"`base` (={self.base!r}) of study {self.name!r} is none of its variants"
            f"{did_you_mean(self.base, names)}",
        )
        require(
            len(self.seeds) > 0
            and len(set(self.seeds)) == len(self.seeds)
            and all(0 <= seed < 2**32 for seed in self.seeds),
            f"`seeds` (={self.seeds}) must be different numbers, at least one, from 0 to "
            "2^32 - 1",
        )
        require(len(self.benchmarks) > 0, f"study {self.name!r} has no benchmark")
        for claim in self.claims:
            for name in (claim.better, claim.worse):
                require(
                    name in names,
                    f"claim {claim.text!r} of study {self.name!r} is about {name!r}, which is "
                    f"none of its variants{did_you_mean(name, names)}",
                )
        require(
            not self.probes or self.probe_source is not None,
            f"`probes` (={self.probes}) need a `probe_source`",
        )


def load_study(path: str | Path, size: Size) -> Study:
    """Reads a study, a file or a name such as "shift".

    Raises `ConfigError` when it is missing or breaks a rule.
    """
    require(size in get_args(Size), f"`size` (={size!r}) must be one of {list(get_args(Size))}")
    path = find_file(path, "study", "ablations")
    form = (
        "a study has `get_study(size) -> Study`; a configuration is trained with `siamjax "
        "train`"
    )
    study = run_file(path, "get_study", form, size)
    require(
        isinstance(study, Study),
        f"`get_study()` of {str(path)!r} returned {type(study).__name__}, not Study",
    )
    return study
