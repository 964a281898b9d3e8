"""All settings of siamjax: frozen, typed dataclasses that check themselves.

A configuration is a Python file with `get_config() -> Config`, values only. This module imports
no JAX, so that reading a configuration takes no time. A field's range stands in its annotation;
rules between fields stand in `_check`, those between parts in `Config`. Comments name the PySOT
key that a field replaces, where there is one.
"""

import dataclasses
import difflib
import functools
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, NamedTuple

from siamjax.errors import InputError

# The stages that each backbone returns, in order; `ModelConfig.levels` picks from them.
BACKBONE_STAGES: dict[str, tuple[str, ...]] = {
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "resnet34": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "resnet50": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "alexnet": ("layer1", "layer2", "layer3", "layer4", "layer5"),
    "siamfc_alexnet": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "mobilenetv2": tuple(f"layer{i}" for i in range(8)),
}


_LARGEST = 2**63 - 1
_LARGEST_SEARCH = 4095  # pixels; no machine computes a larger search image
_LARGEST_SEED = 2**32 - 1  # JAX's generators truncate larger seeds
# An int is accepted where a float is expected; nothing else is converted.
_SCALARS = {str: str, bool: bool, int: int, float: (int, float)}


class ConfigError(InputError):
    """A configuration breaks a rule; the message names the field, its value and the rule."""


def did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    """The end of an error about `word`: the closest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def require(holds: bool, message: str) -> None:
    """Raises `ConfigError` with `message` unless the rule `holds`."""
    if not holds:
        raise ConfigError(message)


class Range(NamedTuple):
    """What a number must fulfil, and how an error says it. Stands in a field's annotation."""

    holds: Callable[[float], bool]
    rule: str


def _between(low: float, high: float) -> Range:
    return Range(lambda value: low <= value <= high, f"must lie in [{low}, {high}]")


def _at_least(low: int) -> Range:
    return Range(lambda value: value >= low, f"must be at least {low}")


_POSITIVE = Range(lambda value: value > 0, "must be positive")
_NOT_NEGATIVE = Range(lambda value: value >= 0, "must not be negative")
_DECAY = Range(lambda value: 0 <= value < 1, "must lie in [0, 1); 0 keeps no average")
_BACKBONE_SCALE = Range(
    _POSITIVE.holds,
    "must be positive; to freeze the backbone, let `optim.backbone_train_stages` be empty",
)
Share = Annotated[float, _between(0, 1)]
Positive = Annotated[float, _POSITIVE]
NotNegative = Annotated[float, _NOT_NEGATIVE]
Count = Annotated[int, _at_least(1)]
Natural = Annotated[int, _NOT_NEGATIVE]
SearchSize = Annotated[int, _between(1, _LARGEST_SEARCH)]
Million = Annotated[int, _between(1, 1_000_000)]
FrameSide = Annotated[int, _between(96, 8192)]
Workers = Annotated[int, _between(0, 1024)]
Seed = Annotated[int, _between(0, _LARGEST_SEED)]


def _check_kind(where: str, value: typing.Any, kind: typing.Any) -> None:
    """Raises `ConfigError` for a value of the wrong type or a number that is not finite."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is not None or type(None) not in inner:
            _check_kind(where, value, next(each for each in inner if each is not type(None)))
    elif origin is tuple:
        require(isinstance(value, tuple), f"{where} must be a tuple")
        for each in value:
            _check_kind(where, each, inner[0])
    elif kind in _SCALARS:
        fits = isinstance(value, _SCALARS[kind])
        fits = fits and (kind is bool or not isinstance(value, bool))
        require(fits, f"{where} must be of type {kind.__name__}")
        if kind in (int, float):
            require(-_LARGEST <= value <= _LARGEST, f"{where} must be a finite number")
    elif isinstance(kind, type):
        require(isinstance(value, kind), f"{where} must be of type {kind.__name__}")


@functools.cache
def _annotations(kind: type[typing.Any]) -> dict[str, tuple[typing.Any, Range | None]]:
    """The type and the range of each field."""
    found = {}
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        is_ranged = typing.get_origin(hint) is Annotated
        found[field.name] = typing.get_args(hint)[:2] if is_ranged else (hint, None)
    return found


class _Checked:
    """Checks the type and the range of every field, then the rules of the class."""

    _place: ClassVar[str] = ""  # what an error puts in front of a field's name

    def __init_subclass__(cls, place: str = ""):
        cls._place = place

    def __post_init__(self):
        for name, (kind, limits) in _annotations(type(self)).items():
            value = getattr(self, name)
            where = f"`{type(self).__name__}.{name}` (={value!r})"
            if typing.get_origin(kind) is Literal:
                choices = typing.get_args(kind)
                hint = did_you_mean(str(value), choices)
                require(value in choices, f"{where} must be one of {list(choices)}{hint}")
            else:
                _check_kind(where, value, kind)
            require(
                limits is None or value is None or limits.holds(value),
                f"`{self._place}{name}` (={value}) {limits and limits.rule}",
            )
        self._check()

    def _check(self):
        """Rules between fields; raises `ConfigError`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneConfig(_Checked, place="model.backbone."):
    """The feature extractor, its width and its padding."""

    name: str = "resnet50"  # BACKBONE.TYPE: the network
    width: Positive = 1.0  # multiplies every channel count but the image's three
    # ResNet, MobileNetV2: keep the last stages at stride 8 and dilate them instead
    dilated: bool = True
    # "zeros" is the published network; "cropped" crops every output that depends on zero
    # padding (a control: the border reveals no position)
    padding: Literal["zeros", "cropped"] = "zeros"

    def _check(self):
        require(
            self.name in BACKBONE_STAGES,
            f"`model.backbone.name` (={self.name!r}) must be one of "
            f"{sorted(BACKBONE_STAGES)}{did_you_mean(self.name, BACKBONE_STAGES)}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorConfig(_Checked, place="anchors."):
    """The anchor boxes at every cell of the score map."""

    stride: Count = 8  # ANCHOR.STRIDE: pixels between cells
    ratios: tuple[float, ...] = (0.33, 0.5, 1.0, 2.0, 3.0)  # ANCHOR.RATIOS: h / w
    scales: tuple[float, ...] = (8.0,)  # ANCHOR.SCALES: side in strides

    def _check(self):
        for name in ("ratios", "scales"):
            values = getattr(self, name)
            require(
                len(values) > 0 and all(v > 0 for v in values),
                f"`anchors.{name}` (={values}) must hold positive numbers",
            )

    @property
    def count(self) -> int:
        """Anchors at each cell."""
        return len(self.ratios) * len(self.scales)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(_Checked, place="model."):
    """The network: template and search image in, `cls_logits` and `loc` out."""

    backbone: BackboneConfig = BackboneConfig()
    # BACKBONE.KWARGS.used_layers: stages of the backbone that get a head each
    levels: tuple[str, ...] = ("layer2", "layer3", "layer4")
    # ADJUST, RPN: channels of neck and head, for each level
    channels: tuple[int, ...] = (256, 256, 256)
    neck: bool = True  # ADJUST.ADJUST: 1x1 convolution and batch norm on every level
    # the neck's centre crop of the template, in cells
    template_crop: Annotated[int | None, _POSITIVE] = 7
    # RPN.TYPE: of SiamRPN++, of SiamRPN, or of SiamFC
    correlation: Literal["depthwise", "up_channel", "plain"] = "depthwise"
    # Shifted sums or a grouped convolution; "auto" chooses by platform
    xcorr_implementation: Literal["auto", "shift", "conv"] = "auto"
    # RPN.KWARGS.weighted: levels are summed with learned weights, or averaged
    fusion: Literal["weighted", "mean"] = "weighted"
    mask: bool = False  # MASK.MASK, REFINE.REFINE: SiamMask's mask branch
    anchors: AnchorConfig = AnchorConfig()
    template_size: int = 127  # TRAIN.EXEMPLAR_SIZE: side of the template, pixels
    # Side of the target with its context in both images, pixels; 0: the template's size.
    # Smaller values show more background at the same scale
    context_size: int = 0
    # TRAIN.SEARCH_SIZE, pixels; tracking has `tracker.search_size`
    search_size: SearchSize = 255
    base_size: int = 8  # TRAIN.BASE_SIZE: cells added by the template's centre crop
    # Of the computation; parameters stay float32
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False  # recompute the backbone's activations in the backward pass

    def _check(self):
        stages = BACKBONE_STAGES[self.backbone.name]
        require(len(self.levels) > 0, "`model.levels` is empty; name at least one stage")
        for level in self.levels:
            require(
                level in stages,
                f"`model.levels` names {level!r}, which {self.backbone.name} does not "
                f"have; its stages are {list(stages)}{did_you_mean(level, stages)}",
            )
        require(
            len(set(self.levels)) == len(self.levels),
            f"`model.levels` (={self.levels}) names a stage twice",
        )
        require(
            len(self.channels) == len(self.levels) and min(self.channels) > 0,
            f"`model.channels` (={self.channels}) must give one positive width for each of "
            f"`model.levels` (={self.levels})",
        )
        require(
            0 < self.template_size < self.search_size,
            f"`model.template_size` (={self.template_size}) must be positive and smaller "
            f"than `model.search_size` (={self.search_size})",
        )
        require(
            0 <= self.context_size <= self.template_size,
            f"`model.context_size` (={self.context_size}) must lie between 0 and "
            f"`model.template_size` (={self.template_size})",
        )
        self.score_size_for(self.search_size)  # which raises
        if self.mask:
            self._check_mask()

    def _check_mask(self):
        backbone = self.backbone
        needs = {
            "backbone.name": (backbone.name, backbone.name.startswith("resnet"), "a ResNet"),
            "backbone.dilated": (backbone.dilated, backbone.dilated, "True"),
            "backbone.padding": (backbone.padding, backbone.padding == "zeros", "'zeros'"),
            "levels": (
                self.levels,
                len(self.levels) == 1 and self.levels[0] in ("layer2", "layer3", "layer4"),
                "one of layer2, layer3 and layer4",
            ),
            "correlation": (self.correlation, self.correlation == "depthwise", "'depthwise'"),
            "template_size": (
                self.template_size,
                self.template_size % 8 == 7,
                "one less than a multiple of 8",
            ),
            "anchors.stride": (self.anchors.stride, self.anchors.stride == 8, "8"),
        }
        for name, (value, holds, rule) in needs.items():
            require(
                holds,
                f"`model.{name}` (={value!r}) must be {rule} with `model.mask`, whose masks "
                "are refined with a ResNet's first stages",
            )

    @property
    def context_pixels(self) -> int:
        """`context_size`, or the template's size where that is 0."""
        return self.context_size or self.template_size

    @property
    def score_size(self) -> int:
        """TRAIN.OUTPUT_SIZE: cells on a side of the score map in training."""
        return self.score_size_for(self.search_size)

    def score_size_for(self, search_size: int) -> int:
        """Cells on a side of the score map for a search image of this size, in pixels.

        Raises `ConfigError` unless it exceeds the template by whole strides.
        """
        stride = self.anchors.stride
        require(
            search_size >= self.template_size
            and (search_size - self.template_size) % stride == 0,
            f"a search size (={search_size}) must exceed `model.template_size` "
            f"(={self.template_size}) by a multiple of the stride (={stride})",
        )
        return (search_size - self.template_size) // stride + 1 + self.base_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongTermConfig(_Checked, place="long_term."):
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
class DistractorConfig(_Checked, place="distractors."):
    """DaSiamRPN's distractor memory, which lowers the scores of similar boxes."""

    count: Count = 3  # distractors in memory, and found in one frame, at most
    weight: Share = 0.5  # alpha hat of the paper: weight of distractors against the template
    min_score: Share = 0.5  # foreground score from which another box is a distractor
    max_iou: Share = 0.2  # boxes with a higher IoU are one object
    # eta of the paper: how the weight of later frames grows
    rate: Annotated[float, _between(0, 0.49)] = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackerConfig(_Checked, place="tracker."):
    """How score maps become boxes."""

    penalty_k: NotNegative = 0.04  # TRACK.PENALTY_K: penalty on changes of size and aspect
    window_influence: Share = 0.44  # TRACK.WINDOW_INFLUENCE: weight of the cosine window
    size_lr: Share = 0.4  # TRACK.LR: how fast the size follows
    search_size: SearchSize = 255  # TRACK.INSTANCE_SIZE: side of the search image, pixels
    # TRACK.CONTEXT_AMOUNT: margin around the target
    context_amount: Annotated[float, _between(0, 10)] = 0.5
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
    scale_step: Annotated[float, _between(1, 2)] = 1.0375  # SiamFC: factor between two scales
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticConfig(_Checked, place="synthetic."):
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
class SourceConfig(_Checked):
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
class AugmentConfig(_Checked):
    """How one image of a pair is augmented (DATASET.TEMPLATE.*, DATASET.SEARCH.*)."""

    shift: NotNegative = 0.0  # pixels, within +-shift on each axis
    # Distribution of the offset: uniform, a truncated normal of half the range, or one in
    # which every share of padding is equally frequent (see data/offsets.py)
    shift_law: Literal["uniform", "gaussian", "inverse_padding"] = "uniform"
    scale: Annotated[float, _between(0, 0.99)] = 0.0  # uniform in +-scale on each axis
    blur: Share = 0.0  # probability of a motion blur
    flip: Share = 0.0  # probability of a horizontal flip
    color: Share = 1.0  # probability of a change of colour


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(_Checked, place="data."):
    """Where training pairs come from and how they are sampled."""

    sources: tuple[SourceConfig, ...] = ()
    # side of a stored crop, pixels
    crop_size: Annotated[int, _between(1, 8192)] = 511
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig(_Checked, place="loss."):
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
class OptimConfig(_Checked, place="optim."):
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
    clip_norm: Annotated[float | None, _POSITIVE] = 10.0
    # TRAIN.BATCH_SIZE, the pairs per GPU in PySOT, which sums the GPUs' mean gradients: our
    # mean gradient is multiplied by batch_size / summed_batch. None: by 1
    summed_batch: Annotated[int | None, _POSITIVE] = None
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
class InitConfig(_Checked):
    """The weights that a new run starts from; a resumed run ignores them."""

    # A tracker that ships (by name), a checkpoint, a work directory, a release file, or a file
    # that `siamjax convert` reads; empty: random initialisation
    path: str = ""
    # Parts to load; empty: all that the weights have
    parts: tuple[Literal["backbone", "neck", "head", "fusion"], ...] = ()

    def _check(self):
        known = ("backbone", "neck", "head", "fusion")
        for part in self.parts:
            require(
                part in known,
                f"`init.parts` names {part!r}; a network has {list(known)}"
                f"{did_you_mean(part, known)}",
            )
        require(
            bool(self.path) or not self.parts,
            f"`init.parts` (={self.parts}) need `init.path`, the weights to load",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(_Checked, place="train."):
    """Length of a run, batch size, parallelism, logs and checkpoints."""

    seed: Seed = 123456  # of the initial parameters and of the data
    # pairs per step, over all devices
    batch_size: Annotated[int, _between(1, 10**6)] = 28
    epochs: Annotated[int, _between(1, 10**5)] = 20  # of the whole run
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
class ValidationConfig(_Checked, place="validation."):
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


class TrackingConfig(NamedTuple):
    """The part of a configuration that a tracking step is compiled for."""

    model: ModelConfig
    tracker: TrackerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(_Checked):
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
        """Rules between parts that only training has; raises `ConfigError`."""
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
