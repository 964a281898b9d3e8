"""Releases: a tracker in one safetensors file, batch norms folded, with its provenance.

A tensor is named by its path in the tree, such as `params/backbone/layer0/conv/kernel`; the
metadata hold the format and its version, the version of siamjax that wrote it, the
configuration, the provenance: what it was trained on; and a digest of the network's shapes,
which were compared when it was written, so that reading need not trace the network again.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import ml_dtypes
import numpy as np

import siamjax
from siamjax.config import Config, ConfigError
from siamjax.config_files import config_from_dict, config_to_dict
from siamjax.models.build import abstract_variables
from siamjax.models.trees import describe, difference
from siamjax.text import parse_json
from siamjax.weights import WeightsError
from siamjax.weights.file_kinds import kind_of
from siamjax.weights.recipe import flatten, unflatten
from siamjax.weights.safetensors_file import read_metadata, read_tensors, write_tensors

FORMAT = "siamjax"
VERSION = 1  # of the format; raised when older readers would misread a file

Dtype = Literal["float32", "float16", "bfloat16"]
_DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@dataclasses.dataclass(frozen=True)
class About:
    """The metadata of a release.

    Attributes:
        config: its configuration.
        provenance: `pairs` it was trained on, `sources`, each with `name` and `terms`, and
            whatever else its author adds; empty if the author stated nothing.
        version: of siamjax that wrote it.
        digest: of the network that the tensors were found to fit; "" in files of before.
    """

    config: Config
    provenance: dict[str, Any]
    version: str
    digest: str = ""


def is_release(path: str | Path) -> bool:
    """Whether a weights file is a release; raises as `kind_of`, and for a damaged file."""
    return kind_of(path) == "safetensors" and read_metadata(Path(path)).get("format") == FORMAT


def read_about(path: str | Path) -> About:
    """The metadata of a release, without its tensors.

    Raises `WeightsError` when the file is no release, is damaged, or has another version.
    """
    path = Path(path)
    if not is_release(path):
        raise WeightsError(
            f"{path} is not a release of siamjax; `siamjax release` writes one, and `siamjax "
            "convert` reads other weights"
        )
    metadata = read_metadata(path)
    version = metadata.get("format_version", "")
    writer = metadata.get("siamjax", "unknown")
    if version != str(VERSION):
        raise WeightsError(
            f"{path} is of format {version!r}, written by siamjax {writer}; siamjax "
            f"{siamjax.__version__} reads format {VERSION}: install the siamjax that wrote it, "
            "or a later one"
        )
    try:
        config = config_from_dict(parse_json(metadata["config"]))
        provenance = parse_json(metadata["provenance"])
        if provenance != {}:
            check_provenance(provenance)
    except ConfigError as error:
        raise WeightsError(
            f"{path}, written by siamjax {writer}, does not work with siamjax "
            f"{siamjax.__version__}: {error}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is damaged: its configuration or provenance cannot be read "
            f"({type(error).__name__}: {error})"
        ) from error
    return About(config, provenance, writer, metadata.get("network", ""))


def read_release(path: str | Path) -> tuple[dict[str, Any], About]:
    """`{"params": ..., "batch_stats": {}}`, float32, and the metadata of a release.

    Raises `WeightsError` when the file is no release, is damaged, or holds values that are not
    finite. Whether the tensors fit the configured network is not checked.
    """
    path = Path(path)
    about = read_about(path)
    tensors = read_tensors(path)
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES.values():
            raise WeightsError(
                f"{path} is damaged: `{name}` holds {tensor.dtype}, and may hold "
                f"{', '.join(_DTYPES)}"
            )
        tensors[name] = tensor = tensor.astype(np.float32)
        if not np.isfinite(tensor).all():
            raise WeightsError(f"{path}: `{name}` holds values that are NaN or infinite")
    folders = {str(folder) for name in tensors for folder in PurePosixPath(name).parents}
    if folders & tensors.keys() or not all(name.startswith("params/") for name in tensors):
        raise WeightsError(f"{path} is damaged: its tensors' names are no paths of a tree")
    return {"params": {}, **unflatten(tensors), "batch_stats": {}}, about


def check_tree(variables: Mapping[str, Any], like: Mapping[str, Any], path: Path) -> None:
    """Raises `WeightsError` unless the variables of a release fit a network."""
    differs = difference(describe(variables), describe(like))
    if differs:
        raise WeightsError(
            f"{path} belongs to another network than its configuration: {differs}"
        )


def was_checked(variables: Mapping[str, Any], config: Config, about: About) -> bool:
    """Whether this siamjax compared just these shapes with this network when it wrote them."""
    return about.digest == _digest(config, describe(variables))


def _digest(config: Config, described: Mapping[str, str]) -> str:
    model = config_to_dict(config)["model"]
    facts = json.dumps([siamjax.__version__, model, dict(described)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def write_release(
    path: str | Path,
    config: Config,
    variables: Mapping[str, Any],
    provenance: Mapping[str, Any],
    dtype: Dtype = "float32",
) -> None:
    """Writes a tracker whose batch norms are folded, see `models.folding`.

    Raises `WeightsError` for variables with batch norms, of another network, or with values
    that `dtype` cannot hold, for an incomplete provenance, and for a name without .safetensors.
    """
    check_release_name(path)
    if provenance:
        check_provenance(provenance)
    if variables["batch_stats"]:
        raise WeightsError("a release has no batch norms; fold them first")
    tensors = {}
    for name, leaf in flatten({"params": variables["params"]}).items():
        with np.errstate(over="ignore"):
            tensors[name] = np.asarray(leaf).astype(_DTYPES[dtype])
        if not np.isfinite(tensors[name].astype(np.float32)).all():
            raise WeightsError(
                f"`{name}` holds values that are not finite in {dtype}; "
                + ("the weights are damaged" if dtype == "float32" else "use float32")
            )
    check_tree(variables, abstract_variables(config.model, folded=True), Path(path))
    metadata = {
        "format": FORMAT,
        "format_version": str(VERSION),
        "siamjax": siamjax.__version__,
        "config": json.dumps(config_to_dict(config)),
        "provenance": json.dumps(dict(provenance)),
        "network": _digest(config, describe(variables)),
    }
    write_tensors(Path(path), tensors, metadata)


def check_release_name(path: str | Path) -> None:
    """Raises `WeightsError` unless a release may be written to `path`."""
    if Path(path).suffix != ".safetensors" or Path(path).is_dir():
        raise WeightsError(f"{str(path)!r} must be a file whose name ends in .safetensors")


def check_provenance(provenance: Any) -> None:
    """Raises `WeightsError` unless it has the pairs and the sources with their terms."""

    def require(holds: bool, rule: str) -> None:
        if not holds:
            raise WeightsError(f"the provenance must {rule}")

    require(isinstance(provenance, Mapping), "be an object with `pairs` and `sources`")
    pairs, sources = provenance.get("pairs"), provenance.get("sources")
    require(
        type(pairs) in (int, float) and math.isfinite(pairs) and pairs > 0,
        f"have `pairs` (={pairs!r}), a positive number: how many it was trained on",
    )
    require(
        isinstance(sources, list) and len(sources) > 0,
        f"have `sources` (={sources!r}), a list of objects with `name` and `terms`",
    )
    for source in sources:
        require(
            isinstance(source, Mapping)
            and all(isinstance(source.get(k), str) and source[k] for k in ("name", "terms")),
            f"give a `name` and `terms`, both text, for each of `sources`; one is {source!r}",
        )
