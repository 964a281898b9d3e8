"""What each benchmark fixes: how its files count pixels, which frames it annotates.

Constants with their source, nothing else. In memory boxes are 0-based always; a benchmark's
own files, ground truth and results alike, count from its `index_base`.
"""

import dataclasses
import difflib
import re

import numpy as np

# Success: share of frames whose overlap exceeds each of these. Reference: PySOT's OPE
# benchmark. The comparison is strict, so that nothing exceeds the last one and a perfect
# tracker's area under the curve is 20/21 = 0.952, not 1.
SUCCESS_THRESHOLDS = np.arange(21) * 0.05
# Precision: share of frames whose centre is at most this far off, pixels; reported at 20.
PRECISION_THRESHOLDS = np.arange(51.0)
PRECISION_REPORTED = 20
# The same with the distance divided by the true width and height; reported at 0.20.
NORM_PRECISION_THRESHOLDS = np.arange(51) / 100
NORM_PRECISION_REPORTED = 20

# OTB numbers pixels from 1, as MATLAB does: `groundtruth_rect.txt`, PySOT's OTB json files
# and every published result file (the first line of each repeats the first box unchanged).
OTB_INDEX_BASE = 1

# Sequences whose ground truth covers only a part of the frames: first and last annotated
# frame, counted from 1. Source: the benchmark's page (visual tracker benchmark, notes on
# the sequences), also kept by the GOT-10k toolkit.
OTB_ANNOTATED_FRAMES = {
    "David": (300, 770),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
    "Diving": (1, 215),
}


class UnknownBenchmarkError(ValueError):
    """No benchmark has this name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark's conventions.

    Attributes:
      name: what it is called here.
      aliases: other names for the same conventions.
      index_base: the number of the first pixel in its files.
    """

    name: str
    aliases: tuple[str, ...] = ()
    index_base: int

    @property
    def origin_xywh(self) -> np.ndarray:
        """What a box in its files is ahead of the same box in memory, `[4]`."""
        return np.array([self.index_base, self.index_base, 0.0, 0.0])


BENCHMARKS = (
    Benchmark(
        name="otb",
        aliases=("OTB100", "OTB2015", "OTB50", "OTB2013", "CVPR13", "TB-100", "TB-50"),
        index_base=OTB_INDEX_BASE,
    ),
    # Rendered sets are written in OTB layout, and count as OTB does.
    Benchmark(name="synthetic", index_base=OTB_INDEX_BASE),
)


def plain_name(name: str) -> str:
    """A name without case, hyphens, dots, underscores and spaces: how names are compared."""
    return re.sub(r"[\s._-]", "", name.casefold())


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name, whatever its case and hyphens.

    Raises `UnknownBenchmarkError`, which lists the names and guesses what was meant.
    """
    known = {plain_name(n): b for b in BENCHMARKS for n in (b.name, *b.aliases)}
    if found := known.get(plain_name(name)):
        return found
    close = difflib.get_close_matches(plain_name(name), list(known), n=1)
    hint = f"; did you mean {known[close[0]].name!r}?" if close else ""
    raise UnknownBenchmarkError(
        f"`benchmark` (={name!r}) must be one of {[b.name for b in BENCHMARKS]}{hint}"
    )
