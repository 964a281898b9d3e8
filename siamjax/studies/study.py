"""What a study is: a base, variants that replace one decision each, seeds, benchmarks.

A study is a Python file with `get_study(size) -> Study`, holding values only, where `size` is
"full" (the paper's data) or "small" (what two CPU cores can do).
"""

import dataclasses
import re
from pathlib import Path
from typing import Literal, get_args

from siamjax.config import Config, ConfigError, SourceConfig, did_you_mean, require
from siamjax.config_files import run_file

Size = Literal["full", "small"]
Probe = Literal["response", "equivariance"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table."""

    name: str
    config: Config
    published: str = ""  # what the paper reports for this row, labelled as published


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyBenchmark:
    """What every trained network is tried on."""

    name: str  # as of eval.py
    data: str = ""  # its folder; empty for `synthetic`, which is rendered once for the study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A table to be: every variant is trained and tried once for each seed.

    A seed draws the initial parameters and the order of the pairs; rendered data is the same
    for all.
    """

    name: str
    question: str  # a sentence or two for the head of the report
    variants: tuple[Variant, ...]
    base: str  # the variant that the others are compared with
    seeds: tuple[int, ...] = (0, 1, 2)
    benchmarks: tuple[StudyBenchmark, ...] = (StudyBenchmark(name="synthetic"),)
    probes: tuple[Probe, ...] = ()
    probe_source: SourceConfig | None = None  # pairs that probes look at, never trained on
    probe_shift: float = 0.0  # pixels: targets lie uniformly within this of the centre

    def __post_init__(self):
        names = [variant.name for variant in self.variants]
        for variant in self.variants:
            variant.config.check_training()
        for name in (self.name, *names):
            require(
                re.fullmatch(r"[\w.+-]+", name) is not None,
                f"`name` (={name!r}) may hold letters, digits and . _ + - only, since "
                "folders are called after it",
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
        require(
            not self.probes or self.probe_source is not None,
            f"`probes` (={self.probes}) need a `probe_source`",
        )


def load_study(path: str | Path, size: Size) -> Study:
    """Reads a study file; raises `ConfigError` when it is missing or breaks a rule."""
    path = Path(path)
    require(size in get_args(Size), f"`size` (={size!r}) must be one of {list(get_args(Size))}")
    if not path.is_file():
        known = [p.stem for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ConfigError(f"study {str(path)!r} does not exist{did_you_mean(path.stem, known)}")
    form = "a study has `get_study(size) -> Study`; a configuration is trained with train.py"
    study = run_file(path, "get_study", form, size)
    require(
        isinstance(study, Study),
        f"`get_study()` of {str(path)!r} returned {type(study).__name__}, not Study",
    )
    return study
