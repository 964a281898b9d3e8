"""SiamMask: the region proposals of the family, and a mask at any cell of the score map."""

import flax.linen as nn
from jax import Array
from jax import numpy as jnp

from siamjax.models.refine import REFINING_STAGES
from siamjax.models.siamese import MaskFeatures, Prediction, SiameseRPN, TemplateFeatures


class SiamMask(SiameseRPN):
    """A `SiameseRPN` of one level with a branch for masks. (Wang et al., CVPR 2019)

    A prediction carries the features of the masks; the mask of a cell is computed on demand,
    since a tracker needs one of hundreds.

    Attributes:
        mask_head: a `DepthwiseBranch` of m * m outputs, m half the template's side.
        refine_head: a `Refine`.
    """

    mask_head: nn.Module
    refine_head: nn.Module

    def encode_template(
        self, template: Array, *, train: bool = False, frozen: tuple[str, ...] = ()
    ) -> TemplateFeatures:
        """Encodes the template `[b, t, t, 3]`, once for all frames."""
        features = self.extract_template(template, train=train, frozen=frozen)
        (level,) = self.levels
        train = train and "head" not in frozen
        mask = self.mask_head.encode(features[level], train)
        return TemplateFeatures(self.head.encode(features, train), mask)

    def predict(
        self,
        features: TemplateFeatures,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """Scores the search image `[b, s, s, 3]`; raises as `SiameseRPN.predict`."""
        stages = self.backbone(search, train, frozen)
        levels = self.to_levels(stages, train and "neck" not in frozen)
        train = train and "head" not in frozen
        (level,) = self.levels
        correlation = self.mask_head.correlate(features.mask, levels[level], train)
        mask = MaskFeatures(correlation, tuple(stages[name] for name in REFINING_STAGES))
        return self.score(features, levels, train)._replace(mask=mask)

    def coarse_mask(self, features: MaskFeatures, cell: Array) -> Array:
        """Logits `[b, m, m]` float32 of the mask at `cell` `[b, 2]` int32, row and column.

        From the correlation alone, half as fine as `predict_mask`.
        """
        logits = self.mask_head.output(_at(features.correlation, cell)[:, None, None], False)
        side = round(logits.shape[-1] ** 0.5)
        return logits.reshape(-1, side, side)

    def predict_mask(self, features: MaskFeatures, cell: Array) -> Array:
        """Logits `[b, t, t]` float32 of the mask at `cell` `[b, 2]` int32, row and column.

        It shows the part of the search image that the template's side covers there: its
        first pixel is `8 * (column, row) - 4 * base_size` of the search image.
        """
        vector = _at(features.correlation, cell)
        return self.refine_head(vector, features.stages, cell)

    def __call__(
        self,
        template: Array,
        search: Array,
        *,
        train: bool = False,
        frozen: tuple[str, ...] = (),
    ) -> Prediction:
        """Encodes and predicts in one call, without masks."""
        features = self.encode_template(template, train=train, frozen=frozen)
        prediction = self.predict(features, search, train=train, frozen=frozen)
        if self.is_initializing() and prediction.mask is not None:
            cell = jnp.zeros((template.shape[0], 2), jnp.int32)
            self.coarse_mask(prediction.mask, cell)
            self.predict_mask(prediction.mask, cell)
        return prediction


def _at(x: Array, cell: Array) -> Array:
    """`[b, c]` of `[b, h, w, c]`."""
    return x[jnp.arange(x.shape[0]), cell[:, 0], cell[:, 1]]
