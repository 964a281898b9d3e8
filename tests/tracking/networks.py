"""Networks for tests of the tracker and not of what it learnt."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.config import load_config
from siamjax.models.build import init_variables
from siamjax.models.siamese import Prediction, TemplateFeatures
from tests.conftest import ROOT

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
        count, side, _, channels = search.shape
        assert features.kernels[0].shape == (count, 3) and channels == 3
        # 63 pixels at stride 8: the first is centred on pixel 31, as the first anchor is.
        brightness = jax.lax.reduce_window(
            search.mean(axis=-1), 0.0, jax.lax.add, (1, 63, 63), (1, 8, 8), "VALID"
        ) / (63.0 * 63.0)
        cells = (side - 63) // 8 + 1
        foreground = jnp.full((count, cells, cells, 5), -20.0)
        foreground = foreground.at[..., SQUARE].set(self.logit(features, search, brightness))
        logits = jnp.stack([jnp.zeros_like(foreground), foreground], axis=-1)
        return Prediction(logits, jnp.zeros((count, cells, cells, 5, 4)))

    def logit(self, features, search, brightness):
        return brightness / 16 - 8


def small_config():
    """The quickstart's sizes with a network that compiles in a second."""
    config = load_config(ROOT / "configs" / "quickstart.py")
    model = dataclasses.replace(config.model, levels=("layer2",), channels=(16,))
    return dataclasses.replace(config, name="small", model=model)


def random_variables(network, config):
    """Variables that keep activations near one; drawing them compiles nothing."""
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, config.model), jax.random.key(0)
    )
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return np.ones(leaf.shape, np.float32)
        if name != "kernel":
            return np.zeros(leaf.shape, np.float32)
        fan_in = np.prod(leaf.shape[:-1])
        # The stem takes pixels of 0..255; the last layer's outputs stay small.
        gain = 1 / 64 if leaf.shape[2] == 3 else 1 / 100 if "output" in str(path) else 1
        return np.float32(gain * np.sqrt(2 / fan_in) * rng.standard_normal(leaf.shape))

    return jax.tree_util.tree_map_with_path(draw, shapes)
