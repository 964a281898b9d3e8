"""The siamese networks: encode the template once, then score every search image."""

from typing import Any, NamedTuple

import flax.linen as nn
from jax import Array

from siamjax.errors import InputError
from siamjax.models.heads import mean_fusion
from siamjax.models.layers import center_crop
from siamjax.models.xcorr import Implementation, xcorr_plain


class TemplateFeatures(NamedTuple):
    """The encoded template: the heads' correlation kernels, by level.

    `mask` is the kernel of SiamMask's mask branch; None in the other networks.
    """

    kernels: tuple[Any, ...]
    mask: Array | None = None


class MaskFeatures(NamedTuple):
    """The features from which a mask at any cell of the score map is computed. (SiamMask)"""

    correlation: Array  # [b, h, w, c] of the mask branch, float32
    stages: tuple[Array, ...]  # of the search image, [b, h', w', c'], shallow ones first


class Prediction(NamedTuple):
    """Score maps of `h x w` cells with `a` anchors each, float32.

    `cls_logits` `[b, h, w, a, 2]` holds background and foreground, `loc` `[b, h, w, a, 4]`
    holds (dx, dy, dw, dh). SiamFC has one response, `[b, h, w, 1, 1]`, and no `loc`. `mask`
    is SiamMask's alone.
    """

    cls_logits: Array
    loc: Array | None
    mask: MaskFeatures | None = None


class SiameseRPN(nn.Module):
    """A backbone shared by template and search, a neck, heads, and their fusion.

    Images are `[b, h, w, 3]` float32, BGR 0..255. `train` makes every batch norm use and
    update batch statistics; template and search are two batches, one after the other, as in
    PySOT, so that running statistics are updated twice in a joint call. What `frozen` names,
    stages of the backbone, "neck" or "head", keeps using its running statistics, and leaves
    them as they are.

    Attributes:
        backbone: image to named stages.
        neck: stages to levels of the heads' width, or None.
        head: a `LevelHeads`.
        fusion: a `WeightedFusion`, or None for the mean.
        levels: the stages in use.
        anchors: at each cell.
        template_crop: cells on a side of the template's features that are kept, from the
            centre; None keeps them all. Search features are never cropped.
    """

    backbone: nn.Module
    neck: nn.Module | None
    head: nn.Module
    fusion: nn.Module | None
    levels: tuple[str, ...]
    anchors: int
    template_crop: int | None

    def extract(
        self, image: Array, *, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """The levels' features `[b, h, w, c]` after the neck, uncropped."""
        stages = self.backbone(image, train, frozen)
        return self.to_levels(stages, train and "neck" not in frozen)

    def to_levels(self, stages: dict[str, Array], train: bool) -> dict[str, Array]:
        """The levels among the backbone's stages, after the neck."""
        features = {level: stages[level] for level in self.levels}
        return features if self.neck is None else self.neck(features, train)

    def extract_template(
        self, template: Array, *, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> dict[str, Array]:
        """As `extract`, with the template's centre crop."""
        features = self.extract(template, train=train, frozen=frozen)
        if self.template_crop is None:
            return features
        side = self.template_crop
        return {k: center_crop(x, side, side) for k, x in features.items()}

    def encode_template(
        self, template: Array, *, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> TemplateFeatures:
        """Encodes the template `[b, t, t, 3]`, once for all frames."""
        features = self.extract_template(template, train=train, frozen=frozen)
        return TemplateFeatures(self.head.encode(features, train and "head" not in frozen))

    def predict(
        self,
        features: TemplateFeatures,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """Scores the search image `[b, s, s, 3]`.

        Raises `InputError` when it is too small, or when the levels' maps differ in size.
        """
        levels = self.extract(search, train=train, frozen=frozen)
        return self.score(features, levels, train and "head" not in frozen)

    def score(
        self, features: TemplateFeatures, levels: dict[str, Array], train: bool
    ) -> Prediction:
        """Correlates the search image's levels with the template; raises as `predict`."""
        outputs = self.head(features.kernels, levels, train)
        sizes = [cls.shape[1:3] for cls, _ in outputs]
        if len(set(sizes)) > 1:
            raise InputError(
                f"`levels` {self.levels} give score maps of different sizes {sizes}, which "
                "cannot be fused; choose levels of one stride"
            )
        cls, loc = mean_fusion(outputs) if self.fusion is None else self.fusion(outputs)
        return Prediction(self._by_anchor(cls), self._by_anchor(loc))

    def __call__(
        self,
        template: Array,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """Encodes and predicts in one call, for training."""
        features = self.encode_template(template, train=train, frozen=frozen)
        return self.predict(features, search, train=train, frozen=frozen)

    @nn.nowrap
    def _by_anchor(self, x: Array) -> Array:
        # The anchor is the fast index of PyTorch's channels, and ours is the slow one.
        return x.reshape(*x.shape[:3], -1, self.anchors).swapaxes(-1, -2)


class SiamFC(nn.Module):
    """A backbone and a plain correlation. (Bertinetto et al., ECCV 2016 workshops)

    `train` and `frozen` are those of `SiameseRPN`.

    Attributes:
        backbone: image to named stages.
        level: the stage that is correlated.
        xcorr: implementation of the correlation.
        scale: of the response; keeps the logits near one. Reference: siamfc-pytorch.
    """

    backbone: nn.Module
    level: str
    xcorr: Implementation = "auto"
    scale: float = 0.001

    def encode_template(
        self, template: Array, *, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> TemplateFeatures:
        """The template's features."""
        return TemplateFeatures((self.backbone(template, train, frozen)[self.level],))

    def predict(
        self,
        features: TemplateFeatures,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """The response to the search image, `cls_logits` `[b, h, w, 1, 1]`; no `loc`."""
        x = self.backbone(search, train, frozen)[self.level]
        (kernel,) = features.kernels
        response = xcorr_plain(x, kernel, implementation=self.xcorr) * self.scale
        return Prediction(response[..., None], None)

    def __call__(
        self,
        template: Array,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """Encodes and predicts in one call, for training."""
        features = self.encode_template(template, train=train, frozen=frozen)
        return self.predict(features, search, train=train, frozen=frozen)
