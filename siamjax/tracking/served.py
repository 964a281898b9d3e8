"""What `exported.export` wrote, in the place of a network: the trackers take either."""

import hashlib
import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax import export as jax_export

from siamjax.errors import InputError
from siamjax.models.siamese import Prediction
from siamjax.tracking.frames import FrameError
from siamjax.tracking.state import Mask, TrackerState, TrackOutput

Engine = Literal["jax", "onnxruntime", "openvino"]
ENGINES: dict[str, tuple[Engine, ...]] = {
    "stablehlo": ("jax",),
    "onnx": ("onnxruntime", "openvino"),
}
# From arrays by name to arrays in the order of the graph's outputs.
_Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class Served(NamedTuple):
    """An export, as trackers take it."""

    network: Any  # `Programs` or `OnnxNetwork`
    variables: dict  # of the programs; for graphs, what tells them apart


def is_export(path: Path) -> bool:
    """Whether this is a folder that `exported.export` wrote."""
    return (path / "manifest.json").is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json of an export; raises `InputError` for one of another program."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["format"] in ENGINES and "config" in manifest:
            return manifest
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(f"{folder}: its manifest.json is none that this `siamjax export` writes")


def open_export(folder: Path, engine: Engine | None = None) -> Served:
    """An export, to be run by `engine`, by default the first that can.

    Raises `InputError` for an engine that cannot, or is not installed, and for programs of
    other devices than this machine's.
    """
    manifest = read_manifest(folder)
    able = ENGINES[manifest["format"]]
    if engine is not None and engine not in able:
        raise InputError(
            f"`engine` (={engine!r}) cannot run {manifest['format']}; {folder} needs "
            f"{' or '.join(able)}"
        )
    if manifest["format"] == "stablehlo":
        return Served(Programs(folder, manifest), read_variables(folder))
    digest = hashlib.sha256((engine or able[0]).encode())
    for path in sorted(folder.glob("*.onnx")):
        digest.update(path.read_bytes())
    variables = {"params": {"graphs": np.frombuffer(digest.digest(), np.uint8)}}
    network = OnnxNetwork(folder, manifest, engine or able[0])
    return Served(network, {**variables, "batch_stats": {}})


def read_variables(folder: Path) -> dict:
    """variables.npz as the nested dictionary that the programs take."""
    variables: dict = {"params": {}, "batch_stats": {}}
    with np.load(folder / "variables.npz") as stored:
        for name in stored.files:
            *path, last = name.split("/")
            inner = variables
            for key in path:
                inner = inner.setdefault(key, {})
            inner[last] = stored[name]
    return variables


class Programs:
    """StableHLO programs, which `step.init` and `step.update` call instead of a network."""

    def __init__(self, folder: Path, manifest: dict[str, Any]):
        self.frame = tuple(manifest["frame"])
        self.is_long_term = len(manifest["search_sizes"]) > 1
        self._init = _program(folder / "init.stablehlo")
        self._updates = {
            int(size): _program(folder / name) for size, name in manifest["updates"].items()
        }
        backends = {"cuda": "gpu", "rocm": "gpu"}
        platforms = manifest["platforms"]
        if jax.default_backend() not in {backends.get(name, name) for name in platforms}:
            raise InputError(
                f"{folder} holds programs for {', '.join(platforms)}, and JAX runs on "
                f"{jax.default_backend()} here; export it with `platforms` of this machine"
            )

    def init(
        self, variables: dict, frame: Array, frame_size: Array, box: Array
    ) -> TrackerState:
        """As `step.init`."""
        leaves = self._init.call(variables, self._fit(frame), frame_size, box)
        steps_lost = jnp.int32(0) if self.is_long_term else None
        return TrackerState(*leaves[:3], template=leaves[3:], steps_lost=steps_lost)

    def update(
        self,
        variables: dict,
        state: TrackerState,
        frame: Array,
        frame_size: Array,
        search_size: int,
    ) -> tuple[TrackerState, TrackOutput]:
        """As `step.update`."""
        leaves = [state.center, state.size, state.pad_color, *state.template]
        leaves, said = self._updates[search_size].call(
            variables, leaves, self._fit(frame), frame_size
        )
        mask = Mask(said["mask"], said["mask_xywh"]) if "mask" in said else None
        state = TrackerState(
            *leaves[:3], template=leaves[3:], steps_lost=said.get("steps_lost")
        )
        return state, TrackOutput(said["box_xywh"], said["score"], mask)

    def apply(self, *_, **__):
        """Raises `InputError`: no network of its own."""
        raise InputError(
            "exported programs take whole frames; load the weights for its network"
        )

    def _fit(self, frame: Array) -> Array:
        room = [most - side for most, side in zip(self.frame, frame.shape, strict=True)]
        if min(room) < 0:
            height, width = self.frame[:2]
            raise FrameError(
                f"`frame` is larger than the {width} x {height} pixels that these programs "
                "were exported for; resize it, or export with a larger `width` and `height`"
            )
        return jnp.pad(frame, [(0, side) for side in room])


def _program(path: Path) -> jax_export.Exported:
    return jax_export.deserialize(bytearray(path.read_bytes()))


class OnnxNetwork:
    """ONNX graphs with the methods of a `SiameseRPN`, called from within compiled functions.

    Its template features and mask features are dictionaries of arrays, by their names in the
    graphs. A batch runs one image after the other, but for graphs with a dynamic batch.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], engine: Engine):
        self._outputs = manifest["outputs"]
        self._dynamic_batch = manifest.get("dynamic_batch", False)
        self._searches = {int(size): name for size, name in manifest["searches"].items()}
        self._run = {name: _load(folder / name, engine) for name in self._outputs}

    def apply(self, variables: dict, *arguments, method) -> Any:
        """As `flax.linen.Module.apply`; the graphs have the weights."""
        del variables
        return (getattr(self, method) if isinstance(method, str) else method)(*arguments)

    def encode_template(self, image: Array) -> dict[str, Array]:
        """As `SiameseRPN.encode_template`."""
        return self._call("template.onnx", {"image": image})

    def predict(self, features: dict[str, Array], search: Array) -> Prediction:
        """As `SiameseRPN.predict`, for the search sizes that were exported."""
        side = search.shape[1]
        if side not in self._searches:
            raise InputError(
                f"`search` has {side} pixels on a side, but the sizes {sorted(self._searches)} "
                "were exported"
            )
        found = self._call(self._searches[side], {**features, "image": search})
        cls, loc = found.pop("cls_logits"), found.pop("loc", None)
        mask: Any = found or None
        return Prediction(cls, loc, mask)

    def predict_mask(self, features: dict[str, Array], cell: Array) -> Array:
        """As `SiamMask.predict_mask`."""
        return self._call("mask.onnx", {**features, "cell": cell})["probability_logits"]

    def _call(self, name: str, given: dict[str, Array]) -> dict[str, Array]:
        count = next(iter(given.values())).shape[0]
        shapes = {
            key: jax.ShapeDtypeStruct((count, *shape[1:]), np.float32)
            for key, shape in self._outputs[name].items()
        }
        run = self._run[name]
        if not self._dynamic_batch or name == "mask.onnx":
            run = partial(_run_rows, run)
        # Experimental in JAX: nothing but ONNX graphs is to depend on it.
        from jax.experimental.buffer_callback import buffer_callback

        def in_place(_, results, arrays):
            found = run({key: np.asarray(array) for key, array in arrays.items()})
            for key, array in zip(shapes, found, strict=True):
                np.asarray(results[key])[...] = array

        def pure(arrays):
            host = {key: np.asarray(array) for key, array in arrays.items()}
            return dict(zip(shapes, run(host), strict=True))

        # A pure callback on the CPU copies its arguments on the thread that it blocks: with
        # one core it would wait for ever.
        found = jax.lax.platform_dependent(
            {key: _channels_first(array) for key, array in given.items()},
            cpu=buffer_callback(in_place, shapes, vmap_method="sequential"),
            default=lambda arrays: jax.pure_callback(
                pure, shapes, arrays, vmap_method="sequential"
            ),
        )
        return {key: _channels_last(array) for key, array in found.items()}


def _run_rows(run: _Run, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs for every row of a batch, as a graph for one row gives them."""
    count = len(next(iter(given.values())))
    rows = [run({key: array[i : i + 1] for key, array in given.items()}) for i in range(count)]
    return [np.concatenate(arrays) for arrays in zip(*rows, strict=True)]


def _channels_first(array: Array) -> Array:
    axes = range(array.ndim)
    return array.transpose(0, *axes[:2:-1], 1, 2) if array.ndim > 3 else array


def _channels_last(array: Array) -> Array:
    axes = range(array.ndim)
    return array.transpose(0, -2, -1, *axes[-3:0:-1]) if array.ndim > 3 else array


def _load(path: Path, engine: Engine) -> _Run:
    """Raises `InputError` if the engine is not installed, or refuses the graph."""
    try:
        return {"onnxruntime": _onnxruntime, "openvino": _openvino}[engine](path)
    except ImportError as error:
        raise InputError(
            f"`engine` (={engine!r}) is not installed: pip install {engine}"
        ) from error


def _onnxruntime(path: Path) -> _Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return partial(session.run, None)


def _openvino(path: Path) -> _Run:
    # Its import would fork this process, with JAX's threads, to report its use to its authors;
    # without the module it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # ty: ignore[no-matching-overload]
    import openvino

    # Not bfloat16, where the processor has it.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    request, lock = compiled.create_infer_request(), threading.Lock()

    def run(given: dict[str, np.ndarray]) -> list[np.ndarray]:
        with lock:  # a request runs once at a time
            found = request.infer(given)
            return [np.array(found[output]) for output in compiled.outputs]

    return run
