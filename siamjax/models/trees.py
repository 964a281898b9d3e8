"""Describes how two trees of arrays differ."""

from typing import Any

import jax
import numpy as np

_NAMED = 3  # leaves that are named of each kind of difference; the others are counted


def describe(tree: Any) -> dict[str, str]:
    """Its leaves: `{"params/conv/kernel": "float32[3, 3, 3, 64]", ...}`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    """How the description of what was found differs from the model's; "" when it does not."""
    extra = [key for key in found if key not in wanted]
    absent = [key for key in wanted if key not in found]
    changed = [
        f"{key} is {found[key]} but the model wants {wanted[key]}"
        for key in wanted
        if found.get(key, wanted[key]) != wanted[key]
    ]
    parts = []
    if extra:
        parts.append(f"it has {_first_few(extra)}, which the model lacks")
    if absent:
        parts.append(f"it lacks {_first_few(absent)}, which the model has")
    if changed:
        parts.append(f"there {_first_few(changed)}")
    return "; ".join(parts)


def _first_few(items: list[str]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(items[:_NAMED]) + more
