"""Networks for tests of the tracker and not of what it learnt."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.config_files import load_config
from siamjax.models.build import init_variables
from siamjax.models.siamese import Prediction, TemplateFeatures
from tests.conftest import ROOT

SQUARE = 2  # which of the five anchors: 64 x 64


def window_means(x, side):
    """Means of `[b, s, s]` over `side` pixels, squared, at stride 8, by one axis at a time."""
    for window, strides in (((1, side, 1), (1, 8, 1)), ((1, 1, side), (1, 1, 8))):
        x = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, strides, "VALID") / side
    return x


class SeesBrightness:
    """Scores the mean brightness of each square anchor, and leaves every box at its anchor.

    Compared by identity, so every instance is traced anew; `traces` counts how often.
    """

    def __init__(self, template_size=127):
        self.template_size = template_size
        self.side = template_size // 2  # of the square anchor, nearly
        self.traces = {"encode_template": 0, "predict": 0}

    def apply(self, variables, *arguments, method):
        return method(*arguments)

    def encode_template(self, template):
        self.traces["encode_template"] += 1
        assert template.shape == (1, self.template_size, self.template_size, 3)
        return TemplateFeatures((template.mean(axis=(1, 2)),))

    def predict(self, features, search):
        self.traces["predict"] += 1
        count, side, _, channels = search.shape
        assert features.kernels[0].shape == (count, 3) and channels == 3
        # 63 pixels at stride 8: the first is centred on pixel 31, where the first anchor is.
        brightness = window_means(search.mean(axis=-1), self.side)
        cells = (side - self.side) // 8 + 1
        foreground = jnp.full((count, cells, cells, 5), -20.0)
        foreground = foreground.at[..., SQUARE].set(self.logit(features, search, brightness))
        logits = jnp.stack([jnp.zeros_like(foreground), foreground], axis=-1)
        return Prediction(logits, jnp.zeros((count, cells, cells, 5, 4)))

    def logit(self, features, search, brightness):
        return brightness / 16 - 8


class SeesColor(SeesBrightness):
    """Scores how much of each square anchor has the colour of the template's middle."""

    reach = 40.0  # grey levels at which a colour counts half as the template's

    def encode_template(self, template):
        self.traces["encode_template"] += 1
        middle = slice(self.template_size * 3 // 8, self.template_size * 5 // 8)
        return TemplateFeatures((template[:, middle, middle].mean(axis=(1, 2)),))

    def logit(self, features, search, brightness):
        color = features.kernels[0][:, None, None, :]
        far = jnp.sqrt(((search - color) ** 2).sum(axis=-1)) / self.reach
        alike = window_means(1.0 / (1.0 + far**4), self.side)
        return 16.0 * alike - 6.0


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
