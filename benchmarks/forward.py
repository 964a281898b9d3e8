"""Forward pass of the search branch, beside the same network in PyTorch on the same cores.

    python benchmarks/forward.py [--models siamrpnpp_r50 siamfc] [--batch 1 8] [--quick]

Milliseconds, medians; "folded" is the network without batch norms (`fold_batch_norm`), and
PyTorch (eager, NCHW) keeps the template's kernels as we do, which PySOT does not. SiamMask
correlates for its masks too, and makes none: a tracker makes one of them a frame. "differs"
is the relative error between the two; compile time stands apart. On a GPU or TPU the table
has float32 and bfloat16 instead of PyTorch. Run it on an idle machine.
"""

import argparse
import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
from harness import compile_call, print_table, time_call

from siamjax.config import ModelConfig
from siamjax.config_files import load_config
from siamjax.models.build import build_network, init_variables
from siamjax.models.folding import fold_batch_norm

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MODELS = (
    "siamrpnpp_r50",
    "siamrpnpp_r50_lt",
    "siammask_r50",
    "siamrpnpp_mobilenetv2",
    "siamrpnpp_alexnet",
    "dasiamrpn",
    "siamrpn_vot2018",
    "siamfc",
    "quickstart",
)


def random_variables(network, config: ModelConfig) -> dict:
    """Variables that keep activations near one, batch statistics included."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name, shape = path[-1].key, leaf.shape
        if name == "kernel":
            value = rng.standard_normal(shape) * (1 / np.prod(shape[:-1])) ** 0.5
        elif name in ("var", "scale") or name.endswith("_weight"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = 0.1 * rng.standard_normal(shape)
        return value.astype(np.float32)

    init = functools.partial(init_variables, network, config=config)
    abstract = jax.eval_shape(lambda key: init(key=key), jax.random.key(0))
    return jax.device_put(jax.tree_util.tree_map_with_path(draw, abstract))


def predict_call(network, variables, template, search):
    """The compiled search branch on an encoded template, and the seconds it took."""
    features = jax.jit(functools.partial(network.apply, method=network.encode_template))(
        variables, template
    )
    predict = functools.partial(network.apply, method=network.predict)
    return compile_call(predict, variables, features, search)


def compare_with_torch(config, variables, template, search, ours, repeat):
    """Seconds of PyTorch's forward pass, and how far its `cls` is from ours."""
    import torch
    from torch_networks import TorchNetwork, to_nchw

    reference = TorchNetwork(config, variables)
    template, search = to_nchw(template), to_nchw(search)
    with torch.inference_mode():
        kernels = reference.encode(template)
        cls, _ = reference.predict(kernels, search)
        seconds = time_call(lambda: reference.predict(kernels, search)[0], repeat)
    # Both with PyTorch's channels: what the anchors' axis hides is not compared here.
    ours = np.asarray(ours.cls_logits).swapaxes(-1, -2)
    ours = ours.reshape(*ours.shape[:3], -1).transpose(0, 3, 1, 2)
    return seconds, float(np.linalg.norm(ours - cls.numpy()) / np.linalg.norm(cls.numpy()))


def measure(name: str, batch: int, repeat: int) -> list:
    config = load_config(CONFIGS / f"{name}.py")
    model, side = config.model, config.tracker.search_size
    rng = np.random.default_rng(1)
    template, search = (
        rng.uniform(0, 2, (batch, s, s, 3)).astype(np.float32)
        for s in (model.template_size, side)
    )
    network = build_network(model)
    variables = random_variables(network, model)
    call, compile_seconds = predict_call(network, variables, template, search)
    seconds = time_call(call, repeat)
    row = [name, batch, side, compile_seconds, seconds * 1e3]
    if jax.default_backend() != "cpu":
        half = build_network(dataclasses.replace(model, dtype="bfloat16"))
        call, _ = predict_call(half, variables, template, search)
        return [*row, time_call(call, repeat) * 1e3]
    folded, _ = predict_call(*fold_batch_norm(model, variables), template, search)
    folded_seconds = time_call(folded, repeat)
    torch_seconds, error = compare_with_torch(
        model, variables, template, search, call(), repeat
    )
    speedup = torch_seconds / folded_seconds
    return [*row, folded_seconds * 1e3, torch_seconds * 1e3, speedup, error]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batch", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a smoke test of small models")
    options = parser.parse_args()
    if options.quick:
        options.models, options.batch, options.repeat = ("quickstart", "siamfc"), (1,), 2
    rows = [
        measure(name, batch, options.repeat)
        for name in options.models
        for batch in options.batch
    ]
    header = ["model", "batch", "search", "compile, s"]
    if jax.default_backend() == "cpu":
        header += ["ms", "folded, ms", "PyTorch, ms", "PyTorch / folded", "differs"]
    else:
        header += ["float32, ms", "bfloat16, ms"]
    print_table("Forward pass of the search branch", header, rows)


if __name__ == "__main__":
    main()
