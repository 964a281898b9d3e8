"""A network without weights, for tests of the tracker and not of what it learnt."""

import jax
import jax.numpy as jnp

from siamjax.models.siamese import Prediction, TemplateFeatures

SQUARE = 2  # which of the five anchors: 64 x 64


class SeesBrightness:
    """Scores the mean brightness of each square anchor, and leaves every box at its anchor.

    Compared by identity, so every instance is traced anew; `traces` counts how often.
    """

    def __init__(self):
        self.traces = {"encode_template": 0, "predict": 0}

    def apply(self, variables, *arguments, method):
        return method(*arguments)

    def encode_template(self, template):
        self.traces["encode_template"] += 1
        assert template.shape == (1, 127, 127, 3)
        return TemplateFeatures((template.mean(axis=(1, 2)),))

    def predict(self, features, search):
        self.traces["predict"] += 1
        assert search.shape == (1, 255, 255, 3)
        # 63 pixels at stride 8: the first is centred on pixel 31, as the first anchor is.
        brightness = jax.lax.reduce_window(
            search.mean(axis=-1), 0.0, jax.lax.add, (1, 63, 63), (1, 8, 8), "VALID"
        ) / (63.0 * 63.0)
        foreground = jnp.full((1, 25, 25, 5), -20.0).at[..., SQUARE].set(brightness / 16 - 8)
        logits = jnp.stack([jnp.zeros_like(foreground), foreground], axis=-1)
        return Prediction(logits, jnp.zeros((1, 25, 25, 5, 4)))
