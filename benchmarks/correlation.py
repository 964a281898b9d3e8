"""Both implementations of every correlation: forward and gradient, by batch size.

    python benchmarks/correlation.py [--channels 256] [--batch 1 8 28] [--repeat 10]

Shapes are SiamRPN++'s: search features of 29 cells, kernels of 5. The last column is how
many times the shifted sum runs in the time of the grouped convolution; compilation is apart.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from harness import compile_call, print_table, time_call

from siamjax.models.xcorr import xcorr_depthwise, xcorr_plain, xcorr_up_channel

SEARCH, KERNEL, ANCHORS = 29, 5, 5
KINDS = {
    "depthwise": (xcorr_depthwise, ()),
    "plain": (xcorr_plain, ()),
    "up-channel": (xcorr_up_channel, (4 * ANCHORS,)),
}


def measure(kind: str, batch: int, channels: int, gradient: bool, repeat: int) -> list[object]:
    """One row: milliseconds of both implementations, their ratio, seconds to compile both."""
    correlate, outputs = KINDS[kind]
    rng = np.random.default_rng(0)
    shapes = [
        (batch, SEARCH, SEARCH, channels),
        (batch, KERNEL, KERNEL, channels, *outputs),
    ]
    arrays = [jax.device_put(rng.standard_normal(s).astype(np.float32)) for s in shapes]
    seconds, compiling = {}, 0.0
    for implementation in ("conv", "shift"):

        def forward(search, kernel, implementation=implementation):
            return correlate(search, kernel, implementation=implementation)

        def loss(search, kernel, forward=forward):
            return jnp.square(forward(search, kernel)).sum()

        function = jax.grad(loss, argnums=(0, 1)) if gradient else forward
        call, spent = compile_call(function, *arrays)
        seconds[implementation] = time_call(call, repeat)
        compiling += spent
    conv, shift = seconds["conv"], seconds["shift"]
    what = "gradient" if gradient else "forward"
    return [kind, what, batch, 1e3 * conv, 1e3 * shift, conv / shift, compiling]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--repeat", type=int, default=10)
    options = parser.parse_args()
    print_table(
        f"Correlation, {SEARCH} x {SEARCH} with {KERNEL} x {KERNEL}, "
        f"{options.channels} channels",
        ["kind", "what", "batch", "conv, ms", "shift, ms", "conv / shift", "compile, s"],
        [
            measure(kind, batch, options.channels, gradient, options.repeat)
            for kind in KINDS
            for gradient in (False, True)
            for batch in options.batch
        ],
    )


if __name__ == "__main__":
    main()
