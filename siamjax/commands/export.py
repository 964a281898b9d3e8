"""`siamjax export`: the tracker as two StableHLO programs that need nothing of ours."""

import json
from pathlib import Path
from typing import Literal

from siamjax.errors import InputError, require_between
from siamjax.files import replacing_folder

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
    """Exports a tracker as StableHLO programs, and checks what was written.

    --out becomes a folder of init.stablehlo, update.stablehlo (for a long-term tracker one for
    each search size), variables.npz and manifest.json, which says what goes in and comes out;
    docs/export.md shows how to serve it. Reading it back takes jax and NumPy only, of a
    version not much older or newer. Where this machine is one of the platforms, the programs
    are loaded again and must give what the tracker gives. Needs the package flatbuffers.

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
    if out.exists():
        raise InputError(f"`--out` (={out}) exists; name another folder, or remove it")
    require_between("--width", width, 1, 16384)
    require_between("--height", height, 1, 16384)
    if not platforms:
        raise InputError("`--platforms` is empty; name at least one")
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise InputError(
            "`siamjax export` needs the package flatbuffers: pip install 'siamjax[export]'"
        ) from error
    import jax

    from siamjax.api import load_model
    from siamjax.tracking.exported import check_export, write_export

    model = load_model(config, weights).folded()
    with replacing_folder(out) as partial:
        write_export(
            partial,
            model.network,
            model.variables,
            model.config,
            width=width,
            height=height,
            platforms=platforms,
        )
        checked = jax.default_backend() in _backends(platforms)
        if checked:
            difference = check_export(partial, model.network, model.variables, model.config)
    manifest = json.loads((out / "manifest.json").read_text())
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    frame = " x ".join(str(side) for side in manifest["frame"][1::-1])
    print(f"wrote {out} ({size:.1f} MB): frames up to {frame}, for {', '.join(platforms)}")
    if checked:
        print(f"loaded again, it differs from the tracker by at most {difference:.1g} pixels")
    else:
        print("not checked: this machine is none of these platforms")


def _backends(platforms) -> set[str]:
    return {"gpu" if name in ("cuda", "rocm") else name for name in platforms}
