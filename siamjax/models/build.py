"""From a configuration to a network that is known to fit it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from siamjax.models.heads import LevelHeads, WeightedFusion
from siamjax.models.neck import Neck
from siamjax.models.resnet import ResNet
from siamjax.models.siamese import SiameseRPN

if TYPE_CHECKING:
    from siamjax.config import BackboneConfig, ModelConfig


class NetworkError(ValueError):
    """A configuration describes a network that cannot be; the message names the field."""


@functools.cache
def _rematerialised(backbone: type[nn.Module]) -> type[nn.Module]:
    # Cached, because networks are compared by class when a jitted step looks them up.
    return nn.remat(backbone, static_argnums=(2,))


def _backbone(config: BackboneConfig, last_stage: str, remat: bool, **shared) -> nn.Module:
    own = {"width": config.width, "last_stage": last_stage, **shared}
    kind = ResNet
    own |= {
        "variant": config.name,
        "dilated": config.dilated,
        "cropped": config.padding == "cropped",
    }
    return (_rematerialised(kind) if remat else kind)(**own)


def build_network(config: ModelConfig, *, folded: bool = False) -> nn.Module:
    """The network of `config`; with `folded`, the one for `fold_batch_norm`'s variables.

    Raises `NetworkError` when template or search image are too small for it, or when its
    score map is not the one that `config` states.
    """
    shared = {"folded": folded, "dtype": jnp.dtype(config.dtype)}
    stages = [f"layer{i}" for i in range(1, 5)]
    last_stage = max(config.levels, key=(["stem", *stages]).index)
    network = SiameseRPN(
        backbone=_backbone(config.backbone, last_stage, config.remat, **shared),
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
    )
    _check(network, config)
    return network


def _images(config: ModelConfig) -> tuple[Array, Array]:
    sides = (config.template_size, config.search_size)
    template, search = (jnp.zeros((1, side, side, 3), jnp.float32) for side in sides)
    return template, search


def _check(network: nn.Module, config: ModelConfig) -> None:
    try:
        prediction, _ = jax.eval_shape(
            lambda key: network.init_with_output(key, *_images(config)), jax.random.key(0)
        )
    except ValueError as error:
        raise NetworkError(
            f"no network for `model.template_size` (={config.template_size}) and "
            f"`model.search_size` (={config.search_size}): {error}"
        ) from error
    shape = prediction.cls_logits.shape[1:3]
    if shape != (config.score_size,) * 2:
        raise NetworkError(
            f"`model.score_size` (={config.score_size}) must be the side of the network's "
            f"score map, which has {shape[0]} x {shape[1]} cells"
        )


def init_variables(network: nn.Module, key: Array, config: ModelConfig) -> dict:
    """Initial `{"params": ..., "batch_stats": ...}`, plain dicts, float32. Can be jitted."""
    variables = network.init(key, *_images(config))
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
