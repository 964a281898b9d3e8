"""`siamjax release`: a trained tracker as one file, ready to run and to give away."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import tyro

from siamjax.errors import InputError


def release(
    weights: Annotated[Path, tyro.conf.Positional],
    *,
    out: Path,
    provenance: Path,
    config: Path | None = None,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> None:
    """Writes a trained tracker as one safetensors file.

    The file holds the configuration, the version of siamjax and the provenance too, so that it
    is all that `--weights` needs: for tracking, evaluation and export, and as the start of a
    training (`train.py --init.path`). docs/release.md has its format.

    Args:
        weights: a training's work directory or a checkpoint in it, or a file of weights
        out: the file to write, .safetensors
        provenance: a json file of what it was trained on: `pairs`, their number, and `sources`,
            a list of objects with `name` and `terms`; whatever else it says is kept
        config: a configuration file for these weights; by default the one that they come with
        dtype: type of the weights in the file; 16 bits halve it and change boxes slightly
    """
    from siamjax.api import load_model, resolve
    from siamjax.text import read_json
    from siamjax.weights.release import check_provenance, check_release_name

    check_release_name(out)
    about = read_json(provenance)
    check_provenance(about)
    settings, source = resolve(config, weights)
    if not isinstance(source, Path):
        raise InputError(f"`weights` (={source!r}) have learnt nothing that could be released")
    if source.is_file() and out.resolve() == source.resolve():
        raise InputError(
            f"`--out` (={str(out)!r}) is what is to be released; name another file"
        )
    load_model(settings, source).save(out, provenance=about, dtype=dtype)
    data = out.read_bytes()
    print(f"wrote {out} ({len(data) / 1e6:.1f} MB, {dtype})")
    print(f"sha256: {hashlib.sha256(data).hexdigest()}")
