"""The networks as ONNX graphs, with what a tracker around them needs to know."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from siamjax.config import Config
from siamjax.errors import InputError
from siamjax.geometry.anchors import anchor_sizes
from siamjax.models.build import build_network
from siamjax.models.siamese import SiameseRPN, SiamFC


def write_graphs(
    folder: Path,
    network: SiameseRPN | SiamFC,
    variables: dict,
    config: Config,
    *,
    dynamic_batch: bool = False,
) -> dict[str, Any]:
    """Writes template.onnx, a search graph for each search size, and mask.onnx for SiamMask.

    Images are `[1, 3, n, n]` float32, BGR 0..255, or `[batch, 3, n, n]` with `dynamic_batch`
    (but for mask.onnx). The template's outputs are inputs of the search graphs, whose mask
    features are those of mask.onnx, under the same names. Returns the manifest. Raises
    `InputError` for a missing package, or what has no ONNX form.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            "this export needs the package onnx: pip install 'siamjax[onnx]'"
        ) from error
    from siamjax.tracking.onnx_graph import ANY_BATCH, to_onnx

    rows = ANY_BATCH if dynamic_batch else 1
    if dynamic_batch:
        # ONNX's convolutions have a fixed number of groups, and so of images.
        network = build_network(
            dataclasses.replace(config.model, xcorr_implementation="shift"),
            folded=network.backbone.folded,
            checked=False,
        )
    variables = jax.device_get(variables)
    outputs: dict[str, dict[str, list[int]]] = {}

    def apply(method) -> Any:
        return lambda *arguments: network.apply(variables, *arguments, method=method)

    def write(name: str, method, given: dict[str, Any], title: str = "") -> Any:
        """Writes the graph of a method; `given` are its arguments by name, trees of shapes."""
        arguments = list(given.values())
        found = jax.eval_shape(apply(method), *arguments)
        names = [leaf for key, tree in given.items() for leaf in leaf_names(tree, key)]
        results = leaf_names(found, title)
        graph = to_onnx(apply(method), arguments, names, results)
        onnx.save(graph, folder / name)
        outputs[name] = {
            each.name: [side.dim_value or 1 for side in each.type.tensor_type.shape.dim]
            for each in graph.graph.output
        }
        return found

    def image(side: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, side, side, 3), np.float32)

    rules, model = config.tracker, config.model
    template = write(
        "template.onnx", network.encode_template, {"image": image(model.template_size)}
    )
    searches: dict[int, str] = {}
    for first in (rules.search_size, rules.small_target_search_size):
        for size in rules.search_sizes(first) if first else ():
            searches[size] = f"search_{size}.onnx" if searches else "search.onnx"
            given = {"": template, "image": image(size)}
            prediction = write(searches[size], network.predict, given)
            if model.mask and size == rules.search_size:
                cell = jax.ShapeDtypeStruct((1, 2), np.int32)
                one = jax.tree.map(
                    lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), prediction.mask
                )
                given = {"mask": one, "cell": cell}
                write("mask.onnx", network.predict_mask, given, "probability_logits")
    anchors = model.anchors
    return {
        "searches": searches,
        "outputs": outputs,
        "layout": "nchw",
        "dynamic_batch": dynamic_batch,
        "template_size": model.template_size,
        "search_size": rules.search_size,
        "score_size": model.score_size_for(rules.search_size),
        "context_pixels": model.context_pixels,
        "context_amount": rules.context_amount,
        "stride": anchors.stride,
        "anchors": anchor_sizes(anchors.stride, anchors.ratios, anchors.scales).tolist(),
        "penalty_k": rules.penalty_k,
        "window_influence": rules.window_influence,
        "size_lr": rules.size_lr,
    }


def leaf_names(tree: Any, prefix: str = "") -> list[str]:
    """The names of a tree's arrays in the graphs, such as `kernels_0_cls`."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    names = (jax.tree_util.keystr(path, simple=True, separator="_") for path in paths)
    return ["_".join(filter(None, (prefix, name))) for name in names]
