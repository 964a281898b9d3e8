"""Builds a network from its configuration, and checks that they fit."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import BACKBONES
from siamjax.errors import InputError
from siamjax.models.heads import DepthwiseBranch, LevelHeads, Neck, WeightedFusion
from siamjax.models.refine import Refine
from siamjax.models.siamese import Prediction, SiameseRPN, SiamFC
from siamjax.models.siammask import SiamMask

if TYPE_CHECKING:
    from siamjax.config import BackboneConfig, ModelConfig


class NetworkError(InputError):
    """A configuration describes a network that cannot be; the message names the field."""


def build_network(
    config: ModelConfig, *, folded: bool = False, checked: bool = True
) -> SiameseRPN | SiamFC:
    """The network of `config`; with `folded`, the one that `fold_batch_norm` makes.

    `checked` traces the network once; a caller that knows that it fits saves that time.
    Raises `NetworkError` when template or search image are too small for it, when its
    levels have different strides, or when its score map is not the one that `config` states.
    """
    shared: dict = {"folded": folded, "dtype": jnp.dtype(config.dtype)}
    backbone = _backbone(config.backbone, config.levels, config.remat, **shared)
    if config.correlation == "plain":
        network = _siamfc(config, backbone)
    else:
        kind = SiamMask if config.mask else SiameseRPN
        own = _mask_heads(config, **shared) if config.mask else {}
        network = kind(
            backbone=backbone,
            neck=Neck(config.levels, config.channels, **shared) if config.neck else None,
            head=LevelHeads(
                config.correlation,
                config.levels,
                config.channels,
                config.anchors.count,
                config.xcorr_implementation,
                **shared,
            ),
            fusion=WeightedFusion()
            if config.fusion == "weighted" and len(config.levels) > 1
            else None,
            levels=config.levels,
            anchors=config.anchors.count,
            template_crop=config.template_crop,
            **own,
        )
    if checked:
        _shapes(network, config)  # ty: ignore[invalid-argument-type] Flax's modules hash
    return network


def abstract_variables(config: ModelConfig, *, folded: bool = False) -> dict:
    """The variables of `init_variables` as `jax.ShapeDtypeStruct`s; cached, do not modify.

    Raises `NetworkError` as `build_network` does.
    """
    network = build_network(config, folded=folded, checked=False)
    return _shapes(network, config)  # ty: ignore[invalid-argument-type] Flax's modules hash


def init_variables(network: nn.Module, key: Array, config: ModelConfig) -> dict:
    """Initial `{"params": ..., "batch_stats": ...}`, plain dicts, float32. Can be jitted.

    Its one trace makes the check of `build_network` as well, and raises `NetworkError`.
    """
    try:
        prediction, made = network.init_with_output(key, *_images(config))
    except ValueError as error:
        raise NetworkError(
            f"no network for `model.template_size` (={config.template_size}) and "
            f"`model.search_size` (={config.search_size}): {error}"
        ) from error
    _check_score_map(prediction, config)
    return {"params": made["params"], "batch_stats": made.get("batch_stats", {})}


def backbone_class(name: str) -> type[nn.Module]:
    """The Linen module that `config.BACKBONES` names."""
    file, kind = BACKBONES[name].module.split(".")
    return getattr(importlib.import_module(f"siamjax.models.{file}"), kind)


@functools.cache
def _rematerialised(backbone: type[nn.Module]) -> type[nn.Module]:
    # Cached, because networks are compared by class when a jitted step looks them up.
    return nn.remat(backbone, static_argnums=(2, 3))


def _backbone(
    config: BackboneConfig, levels: tuple[str, ...], remat: bool, **shared
) -> nn.Module:
    kind, stages = backbone_class(config.name), BACKBONES[config.name].stages
    cropped = config.padding == "cropped"
    if not hasattr(kind, "dilated") and (cropped or not config.dilated):
        raise NetworkError(
            f"`model.backbone.name` (={config.name!r}) has neither dilation nor padding; "
            "leave `model.backbone.dilated` and `model.backbone.padding` as they are"
        )
    offered = {"variant": config.name, "dilated": config.dilated, "cropped": cropped}
    own = {field: value for field, value in offered.items() if hasattr(kind, field)}
    return (_rematerialised(kind) if remat else kind)(
        width=config.width, last_stage=max(levels, key=stages.index), **own, **shared
    )


def _siamfc(config: ModelConfig, backbone: nn.Module) -> SiamFC:
    rules = {
        "levels": len(config.levels) == 1,
        "neck": not config.neck,
        "template_crop": config.template_crop is None,
        "anchors": config.anchors.count == 1,
    }
    for field, holds in rules.items():
        if not holds:
            raise NetworkError(
                f"`model.{field}` (={getattr(config, field)}) does not suit "
                "`model.correlation` (='plain'), which needs one level, no neck, no "
                "template crop, and one ratio and scale"
            )
    return SiamFC(backbone, config.levels[0], config.xcorr_implementation)


def _mask_heads(config: ModelConfig, *, folded: bool, dtype: jnp.dtype) -> dict:
    (channels,) = config.channels
    side = config.template_size // 2
    branch = DepthwiseBranch(channels, side**2, config.xcorr_implementation, folded, dtype)
    # The template has one cell of layer2 in 8 pixels; its crop takes off `base_size` of them.
    refine = Refine(config.template_size // 8, config.base_size // 2, dtype)
    return {"mask_head": branch, "refine_head": refine}


def _images(config: ModelConfig) -> tuple[Array, Array]:
    sides = (config.template_size, config.search_size)
    template, search = (jnp.zeros((1, side, side, 3), jnp.float32) for side in sides)
    return template, search


@functools.lru_cache(maxsize=8)
def _shapes(network: nn.Module, config: ModelConfig) -> dict:
    """The variables as shapes, from one trace of the network, which is checked."""
    return jax.eval_shape(lambda key: init_variables(network, key, config), jax.random.key(0))


def _check_score_map(prediction: Prediction, config: ModelConfig) -> None:
    height, width = prediction.cls_logits.shape[1:3]
    if (height, width) != (config.score_size, config.score_size):
        raise NetworkError(
            f"`model.score_size` (={config.score_size}) must be the side of the network's "
            f"score map, which has {height} x {width} cells with `model.template_crop` "
            f"(={config.template_crop})"
        )
