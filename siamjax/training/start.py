"""The weights that a run starts from, all or some parts, and the list of what was taken."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from siamjax import shipped
from siamjax.config import Config, ConfigError
from siamjax.models.folding import unfold_batch_norm
from siamjax.models.trees import describe, difference
from siamjax.training.checkpoints import CheckpointError, stored_variables
from siamjax.weights.release import is_release, read_release

if TYPE_CHECKING:
    from siamjax.training.state import TrainState

Variables = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        variables: `params` and `batch_stats` of the parts that are taken; the others are
            initialised at random.
        summary: to print: one line for the source, one for each part.
        account: the same and, for converted files, every key.
        folded: paths of the batch norms that came folded, see `batch_norm`.
    """

    variables: Variables
    summary: str
    account: str
    folded: tuple[str, ...]


def read_start(config: Config, abstract: Variables) -> Start | None:
    """The weights of `config.init`, checked against the network; None without a path.

    `abstract` holds the shapes of the network's variables. Raises `ConfigError` when the path
    does not exist or lacks a part, `CheckpointError` and `WeightsError` when the weights cannot
    be read or belong to another network.
    """
    if not config.init.path:
        return None
    path = Path(config.init.path)
    if not path.exists() and config.init.path in shipped.catalogue():
        path = shipped.weights_of(config.init.path)
    if path.is_dir():
        found, title, details, made = stored_variables(path), f"checkpoint {path}", "", []
    elif path.is_file() and is_release(path):
        released, about = read_release(path)
        found, norms = unfold_batch_norm(config.model, released, abstract)
        title, details = f"release {path} of `{about.config.name}`", ""
        made = [(f"batch_stats/{norm}/var", "folded") for norm in norms]
    elif path.is_file():
        from siamjax.weights.convert import load

        found, report = load(path, config)
        title, details, made = report.summary, report.text(), report.made
    else:
        raise ConfigError(
            f"`init.path` (={config.init.path!r}) does not exist; give the name of a tracker "
            "that ships, a work directory or a checkpoint of ours, a release file, or a .pth, "
            ".npz or .safetensors file"
        )
    parts = config.init.parts or tuple(p for p in abstract["params"] if p in found["params"])
    for part in parts:
        for name, rooms in {"it": found, "the network": abstract}.items():
            if part not in rooms["params"]:
                raise ConfigError(
                    f"`init.parts` names {part!r}, but {name} has {list(rooms['params'])} "
                    f"only (`init.path` is {config.init.path!r})"
                )
    chosen = _take(found, parts)
    differs = difference(describe(chosen), describe(_take(abstract, parts)))
    if differs:
        raise CheckpointError(f"{path} belongs to another network: {differs}")
    lines = [f"starting from {title}"]
    for part, tree in abstract["params"].items():
        count = len(jax.tree.leaves((tree, abstract["batch_stats"].get(part))))
        where = "loaded" if part in parts else "random"
        lines.append(f"  {part}: {count} arrays, {where}")
    lines += [f"  {part}: not used" for part in found["params"] if part not in parts]
    # A variance without a key belongs to a batch norm that the file does not have.
    norms = (path.split("/", 1)[1].rsplit("/", 1) for path, _ in made)
    folded = tuple(
        norm for norm, leaf in norms if leaf == "var" and norm.split("/")[0] in parts
    )
    if folded:
        lines.append(f"  {len(folded)} batch norms came folded: calibrated on the first batch")
    summary = "\n".join(lines)
    return Start(chosen, summary, f"{summary}\n\n{details}".strip() + "\n", folded)


def begin_from(start: Start, state: "TrainState") -> "TrainState":
    """`state` with the variables of `start`, on the same devices; `state` is donated."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)

    def put(state: "TrainState", variables: Variables) -> "TrainState":
        # Copied, so that no buffer is aliased when a step donates it.
        variables = jax.tree.map(jnp.copy, variables)
        old = state.variables
        return state.starting_from({kind: {**old[kind], **variables[kind]} for kind in old})

    arrays = jax.tree.map(np.asarray, start.variables)
    return jax.jit(put, out_shardings=shardings, donate_argnums=0)(state, arrays)


def _take(variables: Mapping[str, Any], parts: tuple[str, ...]) -> Variables:
    return {
        kind: {part: variables[kind][part] for part in parts if part in variables[kind]}
        for kind in ("params", "batch_stats")
    }
