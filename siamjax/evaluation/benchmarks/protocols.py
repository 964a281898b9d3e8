"""The benchmarks' conventions and constants, with their sources.

In memory boxes are always 0-based; a benchmark's files, ground truth and results alike, count
pixels from its `index_base`.
"""

import dataclasses
import difflib
from typing import Any, Literal

import numpy as np

from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.names import plain_name
from siamjax.evaluation.metrics.longterm import LONG_TERM_PROTOCOLS
from siamjax.evaluation.metrics.vot import VOT_PROTOCOLS

# MATLAB numbers pixels from 1, and so do benchmarks with a MATLAB toolkit: OTB in
# `groundtruth_rect.txt`, PySOT's JSON files and all published results.
FROM_ONE = 1

# Sequences annotated only in part: first and last annotated frame, from 1. Source: the
# benchmark's page (visual tracker benchmark, notes on the sequences); checked against got10k
# 0.1.3, datasets/otb.py.
OTB_ANNOTATED_FRAMES = {
    "David": (300, 770),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
    "Diving": (1, 215),
}


class UnknownBenchmarkError(InputError):
    """No benchmark has this name."""


Layout = Literal[
    "otb", "vot", "got10k", "lasot", "uav123", "uav20l", "trackingnet", "nfs", "tcolor128"
]
Experiment = Literal["one-pass", "supervised", "long-term", "repeated"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark's conventions.

    Attributes:
      name: its name here.
      aliases: other names.
      layout: of its folder, see `layouts`.
      index_base: index of the first pixel in its files.
      experiment: how trackers are run on it, and the format of results.
      subset: the evaluated split, if the folder holds several.
      members: the name of its sequence list in `members`, if the folder holds more.
      challenge: the VOT challenge whose constants apply.
      hidden_truth: only the first boxes are public; a server scores results.
      norm_precision_auc: the area under normalised precision up to 0.5 is an official score.
    """

    name: str
    aliases: tuple[str, ...] = ()
    layout: Layout = "otb"
    index_base: int
    experiment: Experiment = "one-pass"
    subset: str = ""
    members: str = ""
    challenge: str = ""
    hidden_truth: bool = False
    norm_precision_auc: bool = False

    @property
    def origin_xywh(self) -> np.ndarray:
        """The offset of a box in its files from the same box in memory, `[4]`."""
        return np.array([self.index_base, self.index_base, 0.0, 0.0])


def _vot(name: str, *aliases: str, experiment: Experiment = "supervised") -> Benchmark:
    # vot-toolkit (Python and MATLAB) and PySOT pass the annotated numbers to trackers
    # unchanged.
    return Benchmark(
        name=name,
        aliases=aliases,
        layout="vot",
        index_base=0,
        experiment=experiment,
        challenge=name,
    )


BENCHMARKS = (
    # Any folder in OTB layout. The subsets are listed in `members`.
    Benchmark(name="otb", aliases=("OTB100", "OTB2015", "TB-100"), index_base=FROM_ONE),
    Benchmark(name="otb50", aliases=("TB-50",), index_base=FROM_ONE, members="TB-50"),
    Benchmark(name="cvpr13", aliases=("OTB2013",), index_base=FROM_ONE, members="CVPR13"),
    # The same layout with 0-based boxes, as in most users' own annotations.
    Benchmark(name="otb0", index_base=0),
    # Rendered sets have OTB layout and index base.
    Benchmark(name="synthetic", index_base=FROM_ONE),
    _vot("vot2016"),
    _vot("vot2017"),
    _vot("vot2018"),
    _vot("vot2019"),
    _vot("vot2018-lt", "vot2019-lt", "votlt", experiment="long-term"),
    # UAV123's, TColor-128's and DTB70's toolkits are MATLAB's, after OTB's.
    Benchmark(name="uav123", aliases=("UAV",), layout="uav123", index_base=FROM_ONE),
    Benchmark(name="uav20l", layout="uav20l", index_base=FROM_ONE),
    # Source: HengLan/LaSOT_Evaluation_Toolkit issue 14, "the smallest should be 1".
    Benchmark(name="lasot", layout="lasot", index_base=FROM_ONE, members="LaSOT-test"),
    Benchmark(
        name="tcolor128", aliases=("Temple-color-128",), layout="tcolor128", index_base=FROM_ONE
    ),
    Benchmark(name="dtb70", aliases=("DTB",), index_base=FROM_ONE),
    # Corners from VATIC, which is 0-based. Its columns: got10k 0.1.3, datasets/nfs.py.
    Benchmark(name="nfs", aliases=("nfs30",), layout="nfs", index_base=0, subset="30"),
    Benchmark(name="nfs240", layout="nfs", index_base=0, subset="240"),
    # Its boxes are YouTube-BB's fractions times the frame size, hence 0-based. Source: the
    # paper; SilvioGiancola/TrackingNet-devkit issue 23 shows negative corners.
    Benchmark(
        name="trackingnet",
        layout="trackingnet",
        index_base=0,
        subset="TEST",
        hidden_truth=True,
        norm_precision_auc=True,
    ),
    # Source: its author in got-10k/toolkit issue 6, "all coordinate values are 1-based".
    Benchmark(
        name="got10k",
        aliases=("got10k-val",),
        layout="got10k",
        index_base=FROM_ONE,
        experiment="repeated",
        subset="val",
    ),
    Benchmark(
        name="got10k-test",
        layout="got10k",
        index_base=FROM_ONE,
        experiment="repeated",
        subset="test",
        hidden_truth=True,
    ),
)

# Attributes of sequences in the order of their files, a 0 or 1 each. Source:
# perfPlot.m of OTB's toolkit (whose page lists them in another order) and of UAV123's,
# run_tracker_performance_evaluation.m of LaSOT's. TColor-128 documents no order.
OTB_ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
UAV_ATTRIBUTES = (
    *("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB"),
)
LASOT_ATTRIBUTES = (
    *("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC"),
)

# A LaSOT sequence whose annotation was truncated after trackers had been run: longer results
# are truncated too. Source: LaSOT's toolkit (calc_seq_err_robust.m), and PySOT's.
LASOT_LONGER_RESULTS = frozenset({"monkey-17"})

# Real time: frame rate of the simulated camera, and the number of slow frames that are
# tolerated. Source: vot-toolkit's real-time experiment.
REAL_TIME_FPS = 20.0
REAL_TIME_GRACE = 3


# Attributes that VOT annotates per frame, each in a file `<name>.tag`. Source: PySOT,
# toolkit/datasets/vot.py.
VOT_ATTRIBUTES = ("camera_motion", "illum_change", "motion_change", "size_change", "occlusion")


def find_vot_protocol(name: str) -> Any:  # a protocol of the experiment that a name has
    """The VOT protocol of this name, ignoring case and separators; None if there is none."""
    known = {
        plain_name(n): protocol
        for protocol in (*VOT_PROTOCOLS, *LONG_TERM_PROTOCOLS)
        for n in (protocol.name, *protocol.aliases)
    }
    return known.get(plain_name(name))


def get_benchmark(name: str, experiment: Literal["", "one-pass"] = "") -> Benchmark:
    """The benchmark of this name, ignoring case and separators.

    With `experiment` "one-pass" trackers start once, in the first frame, whatever its own
    experiment; VOT's regions are then replaced by their bounding boxes. Raises
    `UnknownBenchmarkError`, which lists the names and suggests the closest.
    """
    found = _find_benchmark(name)
    if experiment == "one-pass" and found.experiment != "one-pass":
        if found.hidden_truth:
            raise InputError(
                f"`experiment` (=one-pass) needs the ground truth of {found.name}, which only "
                "its server has; leave it out"
            )
        return dataclasses.replace(found, experiment="one-pass", challenge="")
    return found


def _find_benchmark(name: str) -> Benchmark:
    known = {plain_name(n): b for b in BENCHMARKS for n in (b.name, *b.aliases)}
    if found := known.get(plain_name(name)):
        return found
    close = difflib.get_close_matches(plain_name(name), list(known), n=1)
    hint = f"; did you mean {known[close[0]].name!r}?" if close else ""
    raise UnknownBenchmarkError(
        f"`benchmark` (={name!r}) must be one of {[b.name for b in BENCHMARKS]}{hint}"
    )
