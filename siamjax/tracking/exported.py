"""A tracker in a folder: its step as StableHLO, or its networks as ONNX, checked once written.

The programs take and return plain dictionaries and lists of arrays, so that loading them needs
none of our classes.
"""

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jax import export as jax_export

from siamjax.config import Config, TrackingConfig
from siamjax.errors import InputError, require_between
from siamjax.files import replacing_folder
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import step
from siamjax.tracking.exported_onnx import write_graphs
from siamjax.tracking.frames import pad_frames, padded_shape
from siamjax.tracking.served import Served, open_export, read_manifest

Format = Literal["stablehlo", "onnx"]
TOLERANCE = 1e-2  # pixels; a hundredth of that for the score


class ExportError(InputError):
    """An exported program disagrees with the tracker."""


def export(
    folder: Path,
    network: SiameseRPN | SiamFC,
    variables: dict,
    config: Config,
    *,
    width: int,
    height: int,
    platforms: tuple[str, ...],
    format: Format = "stablehlo",
    dynamic_batch: bool = False,
) -> float | None:
    """Writes an export whole or not at all, and checks it where this machine can run it.

    Sizes and platforms are those of StableHLO programs, `dynamic_batch` is of ONNX graphs.
    Returns what `check_export` does, or None if this machine lacks the platforms, or ONNX
    Runtime. Raises `InputError` for a folder that exists, sizes out of range, a missing
    package, or a dynamic batch of StableHLO.
    """
    if folder.exists():
        raise InputError(f"`folder` (={folder}) exists; name another folder, or remove it")
    require_between("width", width, 1, 16384)
    require_between("height", height, 1, 16384)
    if not platforms:
        raise InputError("`platforms` is empty; name at least one")
    if format == "onnx":
        with replacing_folder(folder) as partial:
            about = write_graphs(
                partial, network, variables, config, dynamic_batch=dynamic_batch
            )
            _write_manifest(partial, format, config, about)
            if importlib.util.find_spec("onnxruntime") is None:
                return None
            return check_export(partial, network, variables, config)
    if dynamic_batch:
        raise InputError(
            "`dynamic_batch` (=True) is for ONNX graphs: StableHLO programs follow one target; "
            "leave it out, or export with `format` onnx"
        )
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise InputError(
            "an export needs the package flatbuffers: pip install 'siamjax[export]'"
        ) from error
    with replacing_folder(folder) as partial:
        frame_shape = (*padded_shape((height, width)), 3)
        _write_programs(partial, network, variables, config, frame_shape, platforms)
        backends = {"gpu" if name in ("cuda", "rocm") else name for name in platforms}
        if jax.default_backend() not in backends:
            return None
        return check_export(partial, network, variables, config)


def _write_programs(
    folder: Path,
    network: SiameseRPN | SiamFC,
    variables: dict,
    config: Config,
    frame_shape: tuple[int, int, int],
    platforms: tuple[str, ...],
) -> None:
    """Writes init.stablehlo, an update for each search size, variables.npz and manifest.json.

    init(variables, frame, frame_size, box_xywh) returns the state, a list of arrays;
    update(variables, state, frame, frame_size) returns the next state and a dictionary of
    `box_xywh` `[4]` and `score` `[]`, with `steps_lost` `[]` for a long-term tracker, and with
    `mask` `[s, s]` and `mask_xywh` `[4]`, the part of the frame that it covers, for SiamMask.
    `frame` is `frame_shape` uint8 BGR: the bucket that holds all frames.
    """
    options = {"network": network, "config": TrackingConfig(config.model, config.tracker)}

    def init(variables, frame, frame_size, box_xywh):
        state = step.init(variables, frame, frame_size, box_xywh, **options)
        return jax.tree.leaves(state)

    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
    frame = jax.ShapeDtypeStruct(frame_shape, np.uint8)
    pair, box = (jax.ShapeDtypeStruct((n,), np.float32) for n in (2, 4))
    state = jax.eval_shape(
        lambda *arrays: step.init(*arrays, **options), shapes, frame, pair, box
    )
    leaves, structure = jax.tree.flatten(state)

    def update(search_size):
        def update(variables, state, frame, frame_size):
            state = jax.tree.unflatten(structure, state)
            state, output = step.update(
                variables, state, frame, frame_size, search_size=search_size, **options
            )
            said = {"box_xywh": output.box_xywh, "score": output.score}
            if output.mask is not None:
                said["mask"], said["mask_xywh"] = output.mask
            if state.steps_lost is not None:
                said["steps_lost"] = state.steps_lost
            return jax.tree.leaves(state), said

        return update

    _write(folder / "init.stablehlo", init, platforms, shapes, frame, pair, box)
    files = {}
    for first in (config.tracker.search_size, config.tracker.small_target_search_size):
        for size in config.tracker.search_sizes(first) if first else ():
            files[size] = f"update_{size}.stablehlo" if files else "update.stablehlo"
            _write(folder / files[size], update(size), platforms, shapes, leaves, frame, pair)
    flat = jax.tree_util.tree_flatten_with_path(variables)[0]
    names = {"/".join(key.key for key in path): np.asarray(x) for path, x in flat}
    np.savez(folder / "variables.npz", **names)  # ty: ignore[invalid-argument-type] never a keyword
    about = {"platforms": platforms, "jax": jax.__version__, "frame": frame_shape}
    _write_manifest(folder, "stablehlo", config, {**about, "updates": files})


def _write_manifest(folder: Path, format: Format, config: Config, about: dict) -> None:
    """manifest.json: what a server needs, and the configuration, which siamjax reads."""
    manifest = {
        "format": format,
        "name": config.name,
        "color": "bgr",
        "search_sizes": config.tracker.search_sizes(config.tracker.search_size),
        "lost_score": config.tracker.lost_score,
        **about,
        "config": dataclasses.asdict(config),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _write(path: Path, function, platforms, *shapes) -> None:
    exported = jax_export.export(jax.jit(function), platforms=platforms)(*shapes)
    path.write_bytes(exported.serialize())


def check_export(
    folder: Path, network: SiameseRPN | SiamFC, variables: dict, config: Config
) -> float:
    """Loads the export and tracks a moving image with it and with the tracker.

    Returns the largest difference of their boxes in pixels; raises `ExportError` if that, or
    the difference of the scores, exceeds `TOLERANCE`. Every update starts from the first state.
    """
    manifest = read_manifest(folder)
    height, width, _ = manifest.get("frame", (512, 768, 3))
    frames = pad_frames(_moving_image(width - width // 8, height - height // 8))
    frame_size = np.array([width - width // 8, height - height // 8], np.float32)
    box = np.array([width * 0.3, height * 0.3, width * 0.2, height * 0.25], np.float32)
    settings = TrackingConfig(config.model, config.tracker)
    pair = Served(network, variables), open_export(folder)
    states = [
        step.init(
            each.variables, frames[0], frame_size, box, network=each.network, config=settings
        )
        for each in pair
    ]
    worst = 0.0
    for size, name in manifest.get("updates", manifest.get("searches", {})).items():
        output, said = (
            step.update(
                each.variables,
                state,
                frames[1],
                frame_size,
                network=each.network,
                config=settings,
                search_size=int(size),
            )[1]
            for each, state in zip(pair, states, strict=True)
        )
        apart = float(np.abs(np.asarray(said.box_xywh - output.box_xywh)).max())
        scores = abs(float(said.score) - float(output.score))
        if not (apart <= TOLERANCE and scores <= TOLERANCE / 100):
            raise ExportError(
                f"{name}: loaded again, its box differs by {apart:.3g} pixels and its score by "
                f"{scores:.3g} from the tracker's"
            )
        worst = max(worst, apart)
    return worst


def _moving_image(width: int, height: int) -> list[np.ndarray]:
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 // width, y * 255 // height, (x * 3 + y * 5) % 256], axis=-1)
    return [np.roll(image.astype(np.uint8), (3 * t, 5 * t), (0, 1)) for t in range(2)]
