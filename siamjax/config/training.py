"""Settings of a training: losses, optimiser, initial weights, length, and validation."""

import dataclasses
from typing import Annotated, Literal

from siamjax.config.checks import (
    POSITIVE,
    Checked,
    Count,
    Natural,
    NotNegative,
    Positive,
    Range,
    Seed,
    Share,
    between,
    require,
)

_DECAY = Range(lambda value: 0 <= value < 1, "must lie in [0, 1); 0 keeps no average")
_BACKBONE_SCALE = Range(
    POSITIVE.holds,
    "must be positive; to freeze the backbone, let `optim.backbone_train_stages` be empty",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig(Checked, place="loss."):
    """Weights of the losses; with `data.labels` "response", only SiamFC's logistic loss."""

    cls_weight: NotNegative = 1.0  # TRAIN.CLS_WEIGHT: of the classification loss
    loc_weight: NotNegative = 1.2  # TRAIN.LOC_WEIGHT: of the box loss
    # "l1" is what PySOT computes, "smooth_l1" what the paper says
    loc_distance: Literal["l1", "smooth_l1"] = "l1"
    # Weight of a loss 1 - GIoU of the predicted boxes, beside `loc_distance`
    iou_weight: NotNegative = 0.0
    # The classification target of a positive is the IoU of its predicted box to this power;
    # 0: the target is 1
    iou_aware: Share = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimConfig(Checked, place="optim."):
    """SGD: a stepwise warm-up from `warmup_lr` to `lr`, then a decay to `end_lr`.

    Neck and heads are always trained. The backbone can be frozen for the first epochs, its
    batch norms in inference mode; after that, the chosen stages are trained.
    """

    lr: Positive = 0.005  # learning rate after the warm-up
    end_lr: Positive = 0.0005  # learning rate of the last epoch
    warmup_lr: Positive = 0.001  # learning rate of the first epoch
    warmup_epochs: Natural = 5  # 0 for none
    # After the warm-up, "log" decays log-linearly; "hold" keeps `lr` and decays over the last
    # tenth of the epochs
    schedule: Literal["log", "hold"] = "log"
    momentum: Share = 0.9  # of SGD
    weight_decay: NotNegative = 1e-4  # of every trained parameter
    # largest global norm of the gradient; None: no clipping
    clip_norm: Annotated[float | None, POSITIVE] = 10.0
    # TRAIN.BATCH_SIZE, the pairs per GPU in PySOT, which sums the GPUs' mean gradients: our
    # mean gradient is multiplied by batch_size / summed_batch. None: by 1
    summed_batch: Annotated[int | None, POSITIVE] = None
    backbone_train_epoch: Natural = 0  # BACKBONE.TRAIN_EPOCH: epochs with the backbone frozen
    # BACKBONE.TRAIN_LAYERS: stages trained after that; None: all
    backbone_train_stages: tuple[str, ...] | None = None
    # BACKBONE.LAYERS_LR: learning rate of those stages, relative to the heads'
    backbone_lr_scale: Annotated[float, _BACKBONE_SCALE] = 1.0
    # Batch norms of the trained stages: batch statistics, or "fixed" running statistics;
    # scale and bias are trained either way
    backbone_norm: Literal["batch", "fixed"] = "batch"
    head_norm: Literal["batch", "fixed"] = "batch"  # the same for neck and heads


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig(Checked):
    """The weights that a new run starts from; a resumed run ignores them."""

    # A tracker that ships (by name), a checkpoint, a work directory, a release file, or a file
    # that `siamjax convert` reads; empty: random initialisation
    path: str = ""
    # Parts to load; empty: all that the weights have
    parts: tuple[Literal["backbone", "neck", "head", "fusion"], ...] = ()

    def _check(self):
        require(
            bool(self.path) or not self.parts,
            f"`init.parts` (={self.parts}) need `init.path`, the weights to load",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked, place="train."):
    """Length of a run, batch size, parallelism, logs and checkpoints."""

    seed: Seed = 123456  # of the initial parameters and of the data
    # pairs per step, over all devices
    batch_size: Annotated[int, between(1, 10**6)] = 28
    epochs: Annotated[int, between(1, 10**5)] = 20  # of the whole run
    pairs_per_epoch: Count = 600_000  # pairs in one epoch
    # One program over a mesh of all devices, or one program per device
    parallel: Literal["jit", "pmap"] = "jit"
    # Batch norm over the whole batch, or (as in PySOT) over each device's part
    batch_stats: Literal["global", "device"] = "global"
    # Gradient accumulation over this many parts of a batch: less memory; batch norm sees one
    # part at a time
    micro_batches: Count = 1
    # Exponential moving average of parameters and running statistics, which validation and
    # users of checkpoints get; after n steps the decay is at most (1 + n) / (10 + n). 0: none
    average_decay: Annotated[float, _DECAY] = 0.0
    log_every: Count = 20  # steps between lines of metrics
    checkpoint_every: Count = 1000  # steps between checkpoints; the last step has one, too
    keep_checkpoints: Count = 2  # the last n are kept, and the best in validation
    # A step with a larger loss, or a loss or gradient that is not finite, is skipped
    max_loss: Positive = 1e4
    max_skipped: Natural = 20  # a run with more skipped steps stops
    tensorboard: bool = False  # metrics for TensorBoard as well; needs tensorboardX
    # steps between images of pairs for TensorBoard; 0: none
    picture_every: Natural = 0

    def _check(self):
        require(
            self.pairs_per_epoch >= self.batch_size,
            f"`train.pairs_per_epoch` (={self.pairs_per_epoch}) must be at least "
            f"`train.batch_size` (={self.batch_size})",
        )
        require(
            self.steps < 2**31,
            f"`train.epochs` (={self.epochs}) of {self.steps_per_epoch} steps each are more "
            "than the 2^31 - 1 steps that can be counted",
        )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.pairs_per_epoch // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationConfig(Checked, place="validation."):
    """Validation during training: one-pass evaluation of the current weights."""

    data: str = ""  # a benchmark's folder, or a json file of PySOT's; empty: no validation
    benchmark: str = "otb"  # its layout, as in eval.py
    sequences: tuple[str, ...] = ()  # only these; empty: all
    max_frames: Natural = 0  # only the first frames of each sequence; 0: all
    every: Natural = 0  # steps between validations; 0: every epoch. The last step has one
    slots: Count = 8  # sequences tracked side by side

    def _check(self):
        require(
            self.max_frames != 1,
            "`validation.max_frames` (=1) leaves nothing to track; use 2 or more, or 0 for all",
        )
