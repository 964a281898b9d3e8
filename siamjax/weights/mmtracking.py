"""State dicts of mmtracking's SiamRPN++: PySOT's network under other names."""

from collections.abc import Mapping

from siamjax.weights.pysot import backbone_module
from siamjax.weights.recipe import LEAF_NAMES, Recipe, Shape, direct

_TASK = {"cls": "cls", "loc": "reg"}
_BRANCH = {
    "kernel/conv": "kernel_convs.conv",
    "kernel/bn": "kernel_convs.bn",
    "search/conv": "search_convs.conv",
    "search/bn": "search_convs.bn",
    "output/conv0": "head_convs.0.conv",
    "output/bn0": "head_convs.0.bn",
    "output/conv1": "head_convs.1.conv",
}


def key_of(path: str, levels: tuple[str, ...]) -> str:
    """mmtracking's key for our array at `path`, of a network on these levels."""
    _, part, *parts, leaf = path.split("/")
    if part == "fusion":
        return f"head.{_TASK[leaf.removesuffix('_weight')]}_weight"
    if part == "backbone":
        module = f"backbone.{backbone_module('/'.join(parts))}"
    elif part == "neck":
        module = f"neck.convs.{levels.index(parts[0])}.{parts[1]}"
    else:
        level, task, *inside = parts
        heads = f"head.{_TASK[task]}_heads.{levels.index(level)}"
        module = f"{heads}.{_BRANCH['/'.join(inside)]}"
    return f"{module}.{LEAF_NAMES[leaf]}"


def recipes(shapes: Mapping[str, Shape], levels: tuple[str, ...]) -> dict[str, Recipe]:
    """Path -> recipe for our arrays of these shapes."""
    return {path: direct(key_of(path, levels), shape) for path, shape in shapes.items()}
