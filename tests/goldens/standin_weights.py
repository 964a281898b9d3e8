"""Deterministic stand-in weights: one array per state-dict key, from the key's name and shape alone."""

import zlib
import numpy as np

# Kept small so that activations stay near one through residual sums and correlations.
DAMPED = ("bn3.weight", "conv.7.weight", "conv_kernel.1.weight", "conv_search.1.weight")
STEMS = (
    "backbone.conv1.weight",
    "backbone.features.0.weight",
    "backbone.layer1.0.weight",
    "backbone.layer0.0.weight",
)


def make_array(key, shape):
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    if key.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if key.endswith("running_mean"):
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if len(shape) == 4:
        fan_in = int(np.prod(shape[1:]))
        gain = 0.01 if key in STEMS else 1.0
        return (gain * np.sqrt(2.0 / fan_in) * rng.standard_normal(shape)).astype(
            np.float32
        )
    if key.endswith(("cls_weight", "loc_weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if key.endswith("weight"):
        damp = 0.25 if key.endswith(DAMPED) else 1.0
        return (damp * rng.uniform(0.5, 1.5, shape)).astype(np.float32)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)
