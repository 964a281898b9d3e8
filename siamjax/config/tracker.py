"""Settings of tracking: how score maps become boxes, and how a lost target is found."""

import dataclasses
from typing import Annotated, Literal

from siamjax.config.checks import (
    Checked,
    Count,
    Natural,
    NotNegative,
    SearchSize,
    Share,
    between,
    require,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTermConfig(Checked, place="long_term."):
    """How a lost target is searched: in a search image that grows until it is found."""

    search_size: SearchSize = 831  # TRACK.LOST_INSTANCE_SIZE: the largest search image
    search_step: Natural = 0  # pixels it grows by per frame; 0 grows to `search_size` at once
    confidence_low: float = 0.8  # TRACK.CONFIDENCE_LOW: lost at a score below this
    confidence_high: Share = 0.998  # TRACK.CONFIDENCE_HIGH: found at a score above this
    window_influence: Share = 0.001  # weight of the cosine window while lost

    def _check(self):
        require(
            0 <= self.confidence_low <= self.confidence_high,
            f"`long_term.confidence_low` (={self.confidence_low}) must lie between 0 and "
            f"`long_term.confidence_high` (={self.confidence_high})",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistractorConfig(Checked, place="distractors."):
    """DaSiamRPN's distractor memory, which lowers the scores of similar boxes."""

    count: Count = 3  # distractors in memory, and found in one frame, at most
    weight: Share = 0.5  # alpha hat of the paper: weight of distractors against the template
    min_score: Share = 0.5  # foreground score from which another box is a distractor
    max_iou: Share = 0.2  # boxes with a higher IoU are one object
    # eta of the paper: how the weight of later frames grows
    rate: Annotated[float, between(0, 0.49)] = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackerConfig(Checked, place="tracker."):
    """How score maps become boxes."""

    penalty_k: NotNegative = 0.04  # TRACK.PENALTY_K: penalty on changes of size and aspect
    window_influence: Share = 0.44  # TRACK.WINDOW_INFLUENCE: weight of the cosine window
    size_lr: Share = 0.4  # TRACK.LR: how fast the size follows
    search_size: SearchSize = 255  # TRACK.INSTANCE_SIZE: side of the search image, pixels
    # TRACK.CONTEXT_AMOUNT: margin around the target
    context_amount: Annotated[float, between(0, 10)] = 0.5
    # Rounding as in PySOT, or as in DaSiamRPN's release, whose centre is x + w / 2
    arithmetic: Literal["pysot", "dasiamrpn"] = "pysot"
    # DaSiamRPN's entry to VOT2018: the search size of a sequence whose target fills less than
    # `small_target` of the first frame; None keeps `search_size`
    small_target_search_size: int | None = None
    small_target: Share = 0.004  # share of the frame, see `small_target_search_size`
    # A short-term tracker reports the target as lost below this score; 0: never
    lost_score: Share = 0.0
    # Share of the regression error on the first frame, where the box is known, that is
    # subtracted from the boxes of later frames; 0 as published
    calibration: Share = 0.0
    mask_threshold: Share = 0.3  # TRACK.MASK_THERSHOLD: pixels above it belong to the target
    long_term: LongTermConfig | None = None  # TRACK.TYPE SiamRPNLTTracker
    distractors: DistractorConfig | None = None  # DaSiamRPN, section 3.4
    scale_count: int = 3  # SiamFC, scale_num: search images per frame
    scale_step: Annotated[float, between(1, 2)] = 1.0375  # SiamFC: factor between two scales
    scale_penalty: Share = 0.9745  # SiamFC: factor on responses of other scales
    response_up: Count = 16  # SiamFC: how many times the response is upsampled

    def _check(self):
        require(
            self.scale_count >= 1 and self.scale_count % 2 == 1,
            f"`tracker.scale_count` (={self.scale_count}) must be odd, so that one is the last "
            "frame's",
        )
        self.search_sizes(self.search_size)  # which raises

    def search_sizes(self, first: int) -> tuple[int, ...]:
        """Search sizes from `first` on, in the order in which a lost target is searched."""
        if self.long_term is None:
            return (first,)
        last = self.long_term.search_size
        require(
            last > first,
            f"`tracker.long_term.search_size` (={last}) must exceed the usual one (={first})",
        )
        step = self.long_term.search_step or last - first
        return (*range(first, last, step), last)
