"""State dicts of DaSiamRPN: SiamRPNBIG, SiamRPNVOT and SiamRPNOTB."""

from collections.abc import Mapping

from siamjax.weights.pysot import SEQUENTIAL_CONV, SEQUENTIAL_NORM
from siamjax.weights.recipe import LEAF_NAMES, Recipe, Shape, direct

_HEAD = {
    "template_loc": "conv_r1",
    "search_loc": "conv_r2",
    "template_cls": "conv_cls1",
    "search_cls": "conv_cls2",
    "loc_adjust": "regress_adjust",
}


def key_of(path: str) -> str:
    """DaSiamRPN's key for our array at `path`."""
    _, part, layer, module, leaf = path.split("/")
    if part == "head":
        return f"{_HEAD[module]}.{LEAF_NAMES[leaf]}"
    places = SEQUENTIAL_CONV if module == "conv" else SEQUENTIAL_NORM
    place = places[int(layer.removeprefix("layer")) - 1]
    return f"featureExtract.{place}.{LEAF_NAMES[leaf]}"


def recipes(shapes: Mapping[str, Shape]) -> dict[str, Recipe]:
    """Path -> recipe for our arrays of these shapes."""
    return {path: direct(key_of(path), shape) for path, shape in shapes.items()}
