"""`siamjax export`: a tracker as StableHLO programs that run without siamjax."""

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
    width: int = 640,
    height: int = 480,
    platforms: tuple[Platform, ...] = ("cpu",),
) -> None:
    """Exports a tracker as StableHLO programs.

    Writes a folder with init.stablehlo, update.stablehlo (for a long-term tracker one per
    search size), variables.npz, and manifest.json, which describes inputs and outputs;
    docs/export.md shows how to serve it. Loading it needs only NumPy and a JAX of a similar
    version. If this machine is one of the platforms, the programs are loaded again and
    compared with the tracker. Needs the package flatbuffers.

    Args:
        out: the folder to write; must not exist
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, or a name that `siamjax models` lists; by default the
            tracker that ships
        config: a configuration file for these weights; by default the one that they come with
        width: width of the largest frame, pixels; smaller frames are padded
        height: height of the largest frame, pixels
        platforms: the devices that the programs are for
    """
    from siamjax.api import load_model

    model = load_model(config, weights)
    with named_as_options(folder="out", width="width", height="height", platforms="platforms"):
        difference = model.export(out, width=width, height=height, platforms=platforms)
    manifest = json.loads((out / "manifest.json").read_text())
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    frame = " x ".join(str(side) for side in manifest["frame"][1::-1])
    print(f"wrote {out} ({size:.1f} MB): frames up to {frame}, for {', '.join(platforms)}")
    if difference is not None:
        print(f"loaded again, it differs from the tracker by at most {difference:.1g} pixels")
    else:
        print("not checked: this machine is none of these platforms")
