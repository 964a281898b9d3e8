"""`siamjax export`: a tracker as programs or graphs that run without siamjax."""

import json
from pathlib import Path
from typing import Literal

from siamjax.commands.ending import named_as_options

Platform = Literal["cpu", "cuda", "rocm", "tpu"]


def export(
    *,
    out: Path,
    weights: Path | None = None,
    config: Path | None = None,
    format: Literal["stablehlo", "onnx"] = "stablehlo",
    width: int = 640,
    height: int = 480,
    platforms: tuple[Platform, ...] = ("cpu",),
    dynamic_batch: bool = False,
) -> None:
    """Exports a tracker as StableHLO programs, or its networks as ONNX graphs.

    StableHLO: a folder with init.stablehlo, update.stablehlo (for a long-term tracker one per
    search size), variables.npz, and manifest.json, which describes inputs and outputs;
    docs/export.md shows how to serve it. Loading it needs only NumPy and a JAX of a similar
    version. ONNX: template.onnx, search.onnx, for masks mask.onnx, and manifest.json with
    anchors and penalties. What this machine can run is loaded again and compared with the
    tracker. Needs the package flatbuffers, or onnx and onnxruntime.

    Args:
        out: the folder to write; must not exist
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, or a name that `siamjax models` lists; by default the
            tracker that ships
        config: a configuration file for these weights; by default the one that they come with
        format: what to write
        width: for StableHLO: width of the largest frame, pixels; smaller frames are padded
        height: for StableHLO: height of the largest frame, pixels
        platforms: for StableHLO: the devices that the programs are for
        dynamic_batch: for ONNX: graphs for any number of images at once, instead of one
    """
    from siamjax.api import load_model

    model = load_model(config, weights)
    names = ("width", "height", "platforms", "dynamic_batch", "format")
    with named_as_options(folder="out", **{name: name for name in names}):
        difference = model.export(
            out,
            width=width,
            height=height,
            platforms=platforms,
            format=format,
            dynamic_batch=dynamic_batch,
        )
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    use = "ONNX graphs for frames of any size"
    if format == "stablehlo":
        manifest = json.loads((out / "manifest.json").read_text())
        frame = " x ".join(str(side) for side in manifest["frame"][1::-1])
        use = f"frames up to {frame}, for {', '.join(platforms)}"
    print(f"wrote {out} ({size:.1f} MB): {use}")
    if difference is not None:
        print(f"loaded again, it differs from the tracker by at most {difference:.1g} pixels")
    else:
        needs = "is none of these platforms" if format == "stablehlo" else "lacks onnxruntime"
        print(f"not checked: this machine {needs}")
