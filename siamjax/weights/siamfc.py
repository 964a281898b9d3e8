"""State dicts of siamfc-pytorch, whose networks take RGB where ours take BGR."""

from collections.abc import Mapping

from siamjax.weights.recipe import (
    LEAF_NAMES,
    Recipe,
    Shape,
    direct,
    kernel_from_torch,
    shape_in_torch,
)


def key_of(path: str) -> str:
    """siamfc-pytorch's key for our array at `path`."""
    _, _, layer, module, leaf = path.split("/")
    return f"backbone.{layer}.{'0' if module == 'conv' else '1'}.{LEAF_NAMES[leaf]}"


def _recipe(path: str, shape: Shape) -> Recipe:
    key = key_of(path)
    if path == "params/backbone/conv1/conv/kernel":
        return Recipe(
            (key,),
            (shape_in_torch(shape),),
            lambda kernel: kernel_from_torch(kernel[:, ::-1]),
            "input channels reversed, RGB to BGR",
        )
    return direct(key, shape)


def recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for our arrays of these shapes."""
    return {path: _recipe(path, shape) for path, shape in shapes.items()}
