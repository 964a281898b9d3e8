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


# What VOT annotates of single frames. Source: the challenges' annotation files.
VOT_ATTRIBUTES = (
    "camera_motion",
    "illum_change",
    "motion_change",
    "size_change",
    "occlusion",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VotProtocol:
    """A VOT challenge of supervised runs: a tracker that fails is started again.

    Attributes:
      name: the challenge.
      aliases: challenges with the same constants.
      eao_low: shortest sequence length that the expected average overlap averages over.
      eao_high: longest such length.
      eao_peak: the most typical length, for plots.
      burnin: frames from each start that accuracy leaves out.
      skip: how many frames after a failure a tracker starts again.
      repetitions: runs on each sequence of a tracker that is not deterministic.
      sensitivity: S of the reliability exp(-S failures / frames).
    """

    name: str
    aliases: tuple[str, ...] = ()
    eao_low: int
    eao_high: int
    eao_peak: int
    burnin: int = 10
    skip: int = 5
    repetitions: int = 15
    sensitivity: float = 30.0


# Source: PySOT's EAO benchmark and vot-toolkit's stacks, which agree.
VOT_PROTOCOLS = (
    VotProtocol(name="VOT2016", eao_low=108, eao_high=371, eao_peak=168),
    VotProtocol(name="VOT2018", aliases=("VOT2017",), eao_low=100, eao_high=356, eao_peak=160),
    VotProtocol(name="VOT2019", eao_low=46, eao_high=291, eao_peak=128),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTermProtocol:
    """A VOT long-term challenge: no restarts, a confidence in every frame.

    Attributes:
      name: the challenge.
      aliases: challenges with the same constants.
      thresholds: how many confidences precision and recall are taken at.
    """

    name: str
    aliases: tuple[str, ...] = ()
    thresholds: int = 100


LONG_TERM_PROTOCOLS = (LongTermProtocol(name="VOT2018-LT", aliases=("VOT2019-LT",)),)


def find_vot_protocol(name: str) -> VotProtocol | LongTermProtocol | None:
    """The VOT protocol of this name, whatever its case and hyphens; None for another's."""
    known = {
        plain_name(n): protocol
        for protocol in (*VOT_PROTOCOLS, *LONG_TERM_PROTOCOLS)
        for n in (protocol.name, *protocol.aliases)
    }
    return known.get(plain_name(name))


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
