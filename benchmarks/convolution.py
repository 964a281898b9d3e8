"""Forms of ResNet-50's 3x3 convolutions on CPU: what `siamjax/models/cpu/conv.py` chooses from.

    python benchmarks/convolution.py [--batch 1 8] [--gradient] [--repeat 10] [--quick]

Milliseconds, medians, of the search branch's shapes at 255 pixels. "xla" is XLA's convolution,
"taps" a matrix product for each tap, "rows" one for each row of taps, "all" one for all taps,
"winograd" the 16 products of `winograd.py`; "ours" is what `conv2d` does with the shape. The
forms take turns, so that other work on the machine falls on all of them. Run it on an idle
machine.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from harness import print_table
from jax import lax

from siamjax.models.cpu.winograd import winograd_conv
from siamjax.models.operations import conv2d

# Where in the network, side of the map, input and output channels, padding, dilation.
SHAPES = (
    ("layer1", 63, 64, 64, 1, 1),
    ("layer2", 31, 128, 128, 1, 1),
    ("layer3 shortcut", 31, 512, 1024, 1, 1),
    ("layer3", 31, 256, 256, 2, 2),
    ("layer4 shortcut", 31, 1024, 2048, 2, 2),
    ("layer4", 31, 512, 512, 4, 4),
    ("head", 31, 256, 256, 0, 1),
)


def xla(x, kernel, padding, dilation):
    """XLA's own."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        [(padding, padding)] * 2,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def products(x, kernel, padding, dilation, *, joined):
    """Matrix products over `joined` taps each: 1, a row's 3, or all 9; their sum."""
    border = (padding, padding)
    x = jnp.pad(x, ((0, 0), border, border, (0, 0)))
    height, width = (side - 2 * dilation for side in x.shape[1:3])
    shifted = [
        x[:, i * dilation :, j * dilation :][:, :height, :width]
        for i in range(3)
        for j in range(3)
    ]
    taps = kernel.reshape(9 // joined, -1, kernel.shape[-1])
    groups = [shifted[i : i + joined] for i in range(0, 9, joined)]
    return sum(jnp.concatenate(g, -1) @ taps[i] for i, g in enumerate(groups))


FORMS = {
    "ours": lambda x, k, p, d: conv2d(x, k, padding=p, dilation=d),
    "xla": xla,
    "taps": lambda *a: products(*a, joined=1),
    "rows": lambda *a: products(*a, joined=3),
    "all": lambda *a: products(*a, joined=9),
    "winograd": lambda x, k, p, d: winograd_conv(x, k, padding=p, dilation=d),
}


def measure(shape, batch: int, gradient: bool, repeat: int) -> list[object]:
    """One row: milliseconds of every form."""
    name, side, inputs, outputs, padding, dilation = shape
    rng = np.random.default_rng(0)
    arrays = [
        jax.device_put(rng.standard_normal(s).astype(np.float32))
        for s in ((batch, side, side, inputs), (3, 3, inputs, outputs))
    ]
    calls, seconds = {}, {form: [] for form in FORMS}
    for form, function in FORMS.items():

        def forward(x, kernel, function=function):
            return function(x, kernel, padding, dilation)

        def loss(x, kernel, forward=forward):
            return jnp.square(forward(x, kernel)).sum()

        calls[form] = jax.jit(jax.grad(loss, argnums=(0, 1)) if gradient else forward)
        jax.block_until_ready(calls[form](*arrays))
    for _ in range(repeat):
        for form, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call(*arrays))
            seconds[form].append(time.perf_counter() - start)
    what = "gradient" if gradient else "forward"
    return [name, what, batch, *(1e3 * statistics.median(s) for s in seconds.values())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--gradient", action="store_true", help="gradients as well")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="a smoke test of two shapes")
    options = parser.parse_args()
    shapes = SHAPES[:2] if options.quick else SHAPES
    print_table(
        "3x3 convolutions of ResNet-50",
        ["where", "what", "batch", *(f"{form}, ms" for form in FORMS)],
        [
            measure(shape, batch, gradient, options.repeat)
            for shape in shapes
            for gradient in ([False, True] if options.gradient else [False])
            for batch in options.batch
        ],
    )


if __name__ == "__main__":
    main()
