"""All settings of siamjax: frozen, typed dataclasses that check themselves.

A configuration is a Python file with `get_config() -> Config`, values only. Nothing here
imports JAX, so that reading a configuration takes no time. A field's range stands in its
annotation; rules between fields stand in `_check`, those between parts in `Config`. Comments
name the PySOT key that a field replaces, where there is one.
"""

import dataclasses
import re
from typing import NamedTuple

from siamjax.config.checks import Checked, ConfigError, did_you_mean, require
from siamjax.config.data import AugmentConfig, DataConfig, SourceConfig, SyntheticConfig
from siamjax.config.model import BACKBONE_STAGES, AnchorConfig, BackboneConfig, ModelConfig
from siamjax.config.tracker import DistractorConfig, LongTermConfig, TrackerConfig
from siamjax.config.training import (
    InitConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
    ValidationConfig,
)


class TrackingConfig(NamedTuple):
    """The part of a configuration that a tracking step is compiled for."""

    model: ModelConfig
    tracker: TrackerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Checked):
    """Everything about one experiment."""

    name: str
    model: ModelConfig = ModelConfig()
    tracker: TrackerConfig = TrackerConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    init: InitConfig = InitConfig()
    validation: ValidationConfig = ValidationConfig()

    def _check(self):
        require(
            re.fullmatch(r"[\w.+-]+", self.name) is not None,
            f"`name` (={self.name!r}) may hold letters, digits and . _ + - only, since "
            "folders are called after it",
        )
        for name in ("long_term", "distractors"):
            require(
                self.model.correlation != "plain" or getattr(self.tracker, name) is None,
                f"`tracker.{name}` must be None for `model.correlation` (='plain'), whose "
                "response tells nothing about loss",
            )
        require(
            self.model.correlation != "plain" or not self.tracker.calibration,
            f"`tracker.calibration` (={self.tracker.calibration}) must be 0 for "
            "`model.correlation` (='plain'), which predicts no boxes",
        )
        require(
            not self.model.mask or self.tracker.distractors is None,
            "`tracker.distractors` must be None with `model.mask`: distractors have no masks",
        )
        for first in (self.tracker.search_size, self.tracker.small_target_search_size):
            for size in self.tracker.search_sizes(first) if first else ():
                self.model.score_size_for(size)

    def check_training(self) -> None:
        """Checks what only training needs; raises `ConfigError`."""
        self.check_all()
        require(
            self.model.correlation != "plain" or self.data.labels == "response",
            f"`data.labels` (={self.data.labels!r}) must be 'response' for "
            "`model.correlation` (='plain'), which has no anchors",
        )
        require(
            self.data.labels == "anchors" or self.model.anchors.count == 1,
            f"`data.labels` (='response') need one anchor, and `model.anchors` has "
            f"{self.model.anchors.count}",
        )
        require(
            self.data.labels == "anchors" or self.loss.iou_weight == self.loss.iou_aware == 0,
            f"`loss.iou_weight` (={self.loss.iou_weight}) and `loss.iou_aware` "
            f"(={self.loss.iou_aware}) must be 0 for `data.labels` (='response'), which has "
            "no boxes",
        )
        require(
            self.data.search.shift < self.model.search_size,
            f"`data.search.shift` (={self.data.search.shift}) must be less than "
            f"`model.search_size` (={self.model.search_size}), or the target leaves the image",
        )
        require(
            self.data.crop_size >= self.model.search_size,
            f"`data.crop_size` (={self.data.crop_size}) must be at least "
            f"`model.search_size` (={self.model.search_size})",
        )
        require(
            self.optim.warmup_epochs < self.train.epochs,
            f"`optim.warmup_epochs` (={self.optim.warmup_epochs}) must be fewer than "
            f"`train.epochs` (={self.train.epochs})",
        )
        stages = BACKBONE_STAGES[self.model.backbone.name]
        stages = stages[: max(map(stages.index, self.model.levels)) + 1]
        for stage in self.optim.backbone_train_stages or ():
            require(
                stage in stages,
                f"`optim.backbone_train_stages` names {stage!r}, which the network does not "
                f"have; its stages are {list(stages)}{did_you_mean(stage, stages)}",
            )
