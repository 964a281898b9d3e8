"""Settings of the training data: sources, sampling, augmentation and labels."""

import dataclasses
from typing import Annotated, Literal

from siamjax.config.checks import (
    Checked,
    Natural,
    NotNegative,
    Positive,
    Seed,
    Share,
    between,
    require,
)

Million = Annotated[int, between(1, 1_000_000)]
FrameSide = Annotated[int, between(96, 8192)]
Workers = Annotated[int, between(0, 1024)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticConfig(Checked, place="synthetic."):
    """A rendered set, determined by these fields; nothing to download."""

    split: Literal["train", "test"] = "train"  # splits share no objects and no backgrounds
    seed: Seed = 0
    sequences: Million = 200  # how many
    frames: Million = 60  # frames in each sequence
    frame_step: Million = 1  # keep every n-th frame
    width: FrameSide = 320  # width of a frame, pixels
    height: FrameSide = 240  # height of a frame, pixels
    # Folders of objects with alpha or masks, instead of drawn ones (docs/data.md); relative
    # to the current folder
    sprites: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()  # folders of photographs, instead of drawn scenes
    part_prob: float = 0.0  # share of sequences whose target is a part of an object

    def _check(self):
        require(
            0 <= self.part_prob <= 1 and bool(self.sprites or not self.part_prob),
            f"`synthetic.part_prob` (={self.part_prob}) must lie in [0, 1] and needs "
            f"`synthetic.sprites` (={self.sprites}): give folders, or set it to 0",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig(Checked):
    """One training set: prepared records on disk, or rendered ones."""

    path: str = ""  # a folder of prepared records; empty for a rendered set
    synthetic: SyntheticConfig | None = None
    # DATASET.*.FRAME_RANGE: template and search at most this far apart
    frame_range: Natural = 100
    weight: Positive = 1.0  # share of the pairs, relative to the other sources
    # DATASET.*.NUM_USE: how many of its videos (or images) one pass over the mix takes; the
    # share of the pairs is then weight * num_use. -1: each once; 0: weight alone decides
    num_use: int = 0

    def _check(self):
        require(
            self.num_use >= -1,
            f"`num_use` (={self.num_use}) of a source must be positive, -1 for each video "
            "once, or 0 to mix by weight alone",
        )
        require(
            bool(self.path) != (self.synthetic is not None),
            f"a source needs either `path` (={self.path!r}) or `synthetic` "
            f"(={self.synthetic}), and not both",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig(Checked):
    """How one image of a pair is augmented (DATASET.TEMPLATE.*, DATASET.SEARCH.*)."""

    shift: NotNegative = 0.0  # pixels, within +-shift on each axis
    # Distribution of the offset: uniform, a truncated normal of half the range, or one in
    # which every share of padding is equally frequent (see data/offsets.py)
    shift_law: Literal["uniform", "gaussian", "inverse_padding"] = "uniform"
    scale: Annotated[float, between(0, 0.99)] = 0.0  # uniform in +-scale on each axis
    blur: Share = 0.0  # probability of a motion blur
    flip: Share = 0.0  # probability of a horizontal flip
    color: Share = 1.0  # probability of a change of colour


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Checked, place="data."):
    """Where training pairs come from and how they are sampled."""

    sources: tuple[SourceConfig, ...] = ()
    # side of a stored crop, pixels
    crop_size: Annotated[int, between(1, 8192)] = 511
    template: AugmentConfig = AugmentConfig(shift=4, scale=0.05)
    search: AugmentConfig = AugmentConfig(shift=64, scale=0.18)
    negative_prob: Share = 0.2  # DATASET.NEG: share of negative pairs
    # DaSiamRPN's semantic negatives: share of negative pairs whose search image shows another
    # instance of the template's category
    same_category_prob: Share = 0.0
    other_category_prob: Share = 0.0  # the same, with another category
    gray_prob: Share = 0.0  # DATASET.GRAY: share of grey-level pairs
    positive_iou: float = 0.6  # TRAIN.THR_HIGH: anchors above this IoU are positive
    negative_iou: float = 0.3  # TRAIN.THR_LOW: anchors below this IoU are negative
    positives: int = 16  # TRAIN.POS_NUM: positive anchors per pair, at most
    anchors: int = 64  # TRAIN.TOTAL_NUM: anchors per pair
    negatives_in_negative_pair: int = 16  # TRAIN.NEG_NUM: anchors of a negative pair
    # How anchors are sampled where there are too many: "drawn" one by one, or the first ones
    # of a random ranking, which also runs on a device
    anchor_choice: Literal["drawn", "ranked"] = "drawn"
    # SiamFC: no anchors, but cells within `response_radius` pixels of the target's centre
    labels: Literal["anchors", "response"] = "anchors"
    response_radius: NotNegative = 16.0  # SiamFC: pixels
    # SiamFC: how the distance from the centre is measured
    response_distance: Literal["manhattan", "euclidean"] = "manhattan"
    # Where colour, blur, flip and the labels are computed; "device" is inside the step
    finish_on: Literal["host", "device"] = "host"
    num_workers: Workers = 0  # processes that read ahead; 0 reads in threads
    num_threads: Workers = 0  # threads that read ahead; 0 for one on each core

    def _check(self):
        semantic = self.same_category_prob + self.other_category_prob
        require(
            semantic <= 1,
            f"`data.same_category_prob` and `data.other_category_prob` are shares of the "
            f"negative pairs; their sum (={semantic}) must not exceed 1",
        )
        mixed = {source.num_use != 0 for source in self.sources}
        require(
            len(mixed) < 2,
            "`num_use` is given for some of `data.sources` and not for others; give it for "
            "all (-1: each video once) or for none",
        )
        require(
            self.finish_on == "host"
            or self.labels == "response"
            or self.anchor_choice == "ranked",
            "`data.finish_on` (='device') needs `data.anchor_choice` (="
            f"{self.anchor_choice!r}) to be 'ranked'",
        )
        require(
            0 <= self.negative_iou <= self.positive_iou <= 1,
            f"`data.negative_iou` (={self.negative_iou}) must not exceed "
            f"`data.positive_iou` (={self.positive_iou}), both in [0, 1]",
        )
        require(
            0 < self.positives <= self.anchors,
            f"`data.positives` (={self.positives}) must be positive and at most "
            f"`data.anchors` (={self.anchors})",
        )
