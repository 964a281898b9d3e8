"""Recipes: how each of our arrays is made from arrays of a file; flat paths name ours.

Paths are `params/backbone/conv1/kernel` and the like. Kernels are `[kh, kw, i, o]` here
and `[o, i, kh, kw]` in PyTorch, grouped and depthwise ones included.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]

# Names of an array in its module: ours, and PyTorch's.
LEAF_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one of our arrays is made.

    Attributes:
        keys: keys of the file, in the order of the arguments of `make`.
        shapes: the expected shapes of their arrays.
        make: returns our array.
        note: what happens besides a change of layout, for the report.
    """

    keys: tuple[str, ...]
    shapes: tuple[Shape, ...]
    make: Callable[..., np.ndarray]
    note: str = ""


def kernel_from_torch(kernel: np.ndarray) -> np.ndarray:
    """`[o, i, kh, kw]` to `[kh, kw, i, o]`."""
    return kernel.transpose(2, 3, 1, 0)


def kernel_to_torch(kernel: np.ndarray) -> np.ndarray:
    """`[kh, kw, i, o]` to `[o, i, kh, kw]`."""
    return kernel.transpose(3, 2, 0, 1)


def shape_in_torch(shape: Shape) -> Shape:
    """The shape in PyTorch of an array that has this shape here."""
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape


def direct(key: str, shape: Shape) -> Recipe:
    """Our array of `shape` is the file's array `key`, kernels transposed to our layout."""
    make = kernel_from_torch if len(shape) == 4 else np.asarray
    return Recipe((key,), (shape_in_torch(shape),), make)


def constant(array: np.ndarray, note: str) -> Recipe:
    """Our array does not depend on the file."""
    return Recipe((), (), lambda: array, note)


def flatten(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts to path -> leaf."""
    flat = {}
    for name, value in variables.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}/{path}": leaf for path, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    variables: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        inner = variables
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = leaf
    return variables


class Normalisation(NamedTuple):
    """Input normalisation of an ImageNet network, folded into its stem.

    Such networks take RGB as (x / 255 - mean) / std, ours BGR in 0..255. Stems have no padding
    here, so each output is a full sum over the kernel and the folding is exact.

    Attributes:
        mean, std: `[3]` of red, green and blue, on a scale of 0..1.
    """

    mean: np.ndarray
    std: np.ndarray

    def folded_kernel(self, kernel: np.ndarray) -> np.ndarray:
        """A stem's kernel `[o, 3, kh, kw]` for normalised RGB, turned into one for raw BGR."""
        scaled = kernel / (255 * self.std)[:, None, None]
        return scaled[:, ::-1].astype(np.float32)

    def folded_offset(self, kernel: np.ndarray) -> np.ndarray:
        """The offset `[o]` that the mean subtracts from each output of the stem.

        Normalised RGB through `kernel` equals raw BGR through `folded_kernel(kernel)` minus it.
        """
        return (kernel * (self.mean / self.std)[:, None, None]).sum((1, 2, 3))


TORCHVISION = Normalisation(np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225)))
MINUS_ONE_TO_ONE = Normalisation(np.full(3, 0.5), np.full(3, 0.5))
