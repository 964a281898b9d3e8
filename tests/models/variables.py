"""Random variables for networks under test: every leaf random, batch statistics too."""

import jax
import numpy as np


def randomised(variables, rng):
    """As `variables`, with leaves that keep activations near one.

    Freshly made batch norms are identities and biases zeros, which would hide mistakes.
    """

    def draw(path, leaf):
        name, shape = path[-1].key, leaf.shape
        if name == "kernel":
            value = rng.standard_normal(shape) * (2 / np.prod(shape[:-1])) ** 0.5
        elif name in ("var", "scale") or name.endswith("_weight"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * rng.standard_normal(shape)
        return jax.numpy.asarray(value, np.float32)

    return jax.tree_util.tree_map_with_path(draw, variables)


def relative_error(ours, reference) -> float:
    """Norm of the difference over norm of the reference."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    assert ours.shape == reference.shape
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))
