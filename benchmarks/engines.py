"""Our networks and trackers beside the engines that people deploy on a CPU, by turns.

    python benchmarks/engines.py [--models siamjax_small quickstart] [--repeat 20] [--quick]

Milliseconds, medians, batch 1, the same weights (random ones, but for what ships). In each turn
an engine is called six times and the last call counts: for a while after a call, the threads of
other engines wait in a busy loop. First the search branch: ours, compiled with folded batch
norms, and the graph of `siamjax export --format onnx` in ONNX Runtime and in OpenVINO, in
float32 and as it comes, which takes bfloat16 where the processor multiplies it. Then whole
updates on a frame of 640 x 480: ours, and the same step around ONNX Runtime. What is not
installed is left out. Run it on an idle machine.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from forward import random_variables
from harness import print_table, time_by_turns

import siamjax
from siamjax.config_files import load_config
from siamjax.models.build import build_network
from siamjax.models.forward import forward_jit

MODELS = (
    "siamjax_small",
    "siamrpnpp_mobilenetv2_half",
    "quickstart",
    "siamrpnpp_mobilenetv2",
    "siamrpnpp_alexnet",
    "siamrpnpp_r50",
)


def load(name: str) -> siamjax.Model:
    """The tracker that ships, or a network with random weights."""
    if name == "siamjax_small":
        return siamjax.load_model()
    config = load_config(name)
    network = build_network(config.model)
    return siamjax.Model(network, random_variables(network, config.model), config)


def onnxruntime(path: Path, given: dict[str, np.ndarray]) -> Callable[[], object]:
    """One run of the graph."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, given)


def openvino(path: Path, given: dict[str, np.ndarray], **options) -> Callable[[], object]:
    """One run of the graph."""
    import openvino

    core = openvino.Core()
    request = core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY", **options})
    request = request.create_infer_request()
    return lambda: request.infer(given)


def search_calls(model: siamjax.Model, folder: Path) -> dict[str, Callable[[], object]]:
    """The search branch in each engine."""
    own = model.folded()
    size, search_size = own.config.model.template_size, own.config.tracker.search_size
    rng = np.random.default_rng(0)
    template, search = (
        rng.uniform(0, 255, (1, side, side, 3)).astype(np.float32)
        for side in (size, search_size)
    )
    features = own.network.apply(own.variables, template, method="encode_template")
    predict = forward_jit()(lambda *arrays: own.network.apply(*arrays, method="predict"))
    compiled = predict.trace(own.variables, features, search).lower().compile()
    calls = {"siamjax": lambda: compiled(own.variables, features, search)}

    def first(array):
        return np.ascontiguousarray(np.moveaxis(array, -1, 1))

    paths = folder / "template.onnx", folder / "search.onnx"
    try:
        import onnxruntime as runtime

        kernels = runtime.InferenceSession(paths[0])
        names = [each.name for each in kernels.get_outputs()]
        given = dict(zip(names, kernels.run(None, {"image": first(template)}), strict=True))
        given["image"] = first(search)
        calls["ONNX Runtime"] = onnxruntime(paths[1], given)
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        calls["OpenVINO"] = openvino(paths[1], given, **exact)
        calls["OpenVINO as it comes"] = openvino(paths[1], given)
    except ImportError as error:
        print(f"left out: {error}")
    return calls


def update_calls(model: siamjax.Model, folder: Path) -> dict[str, Callable[[], object]]:
    """A whole update, and the wait for its box."""
    frame = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    trackers = {"siamjax": model.tracker()}
    try:
        trackers["around ONNX Runtime"] = siamjax.load_tracker(weights=folder)
    except siamjax.SiamjaxError as error:
        print(f"left out: {error}")
    for tracker in trackers.values():
        tracker.init(frame, (300, 200, 60, 50))

    def update(tracker):
        return lambda: tracker.update(frame).box_xywh

    return {name: update(tracker) for name, tracker in trackers.items()}


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two repetitions of quickstart")
    options = parser.parse_args()
    names, repeat = (["quickstart"], 2) if options.quick else (options.models, options.repeat)
    tables: dict[str, list[list[object]]] = {"search": [], "update": []}
    for name in names:
        model = load(name)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "served"
            model.export(folder, format="onnx")
            for table, calls in (("search", search_calls), ("update", update_calls)):
                found = time_by_turns(calls(model, folder), repeat, unmeasured=5).medians
                ours, *rest = (1e3 * seconds for seconds in found.values())
                tables[table].append([name, ours, *rest, *(ours / x for x in rest[:1])])
    engines = ["ONNX Runtime", "OpenVINO", "OpenVINO as it comes"]
    header = ["network", "siamjax", *engines, "siamjax / ONNX Runtime"]
    print_table("Search branch", header, tables["search"])
    header = ["tracker", "siamjax", "around ONNX Runtime", "ratio"]
    print_table("Whole updates on 640 x 480", header, tables["update"])


if __name__ == "__main__":
    main()
