"""Which parts of the network are trained when: the backbone is frozen first, then thaws.

Reference: PySOT's `build_opt_lr`. It builds a new optimiser when the backbone joins, which
resets every momentum; here they are reset in the same tree.
"""

from typing import Any, NamedTuple

import jax

from siamjax.config import BACKBONES, Config


class Phase(NamedTuple):
    """Steps with one set of trained parameters, and thus one compiled step.

    Attributes:
        first_step: counted from 0.
        frozen: stages of the backbone that are not trained; their batch norms are in
            inference mode.
    """

    first_step: int
    frozen: tuple[str, ...]


def phases(config: Config) -> tuple[Phase, ...]:
    """The phases of a run, in order; the first begins at step 0."""
    stages = BACKBONES[config.model.backbone.name].stages
    optim, chosen = config.optim, config.optim.backbone_train_stages
    later = () if chosen is None else tuple(name for name in stages if name not in chosen)
    joins_at = optim.backbone_train_epoch * config.train.steps_per_epoch
    if joins_at == 0 or later == stages:
        return (Phase(0, later),)
    whole = Phase(0, stages)
    return (whole, Phase(joins_at, later)) if joins_at < config.train.steps else (whole,)


def phase_at(step: int, config: Config) -> Phase:
    """The phase that step `step` belongs to."""
    return [phase for phase in phases(config) if phase.first_step <= step][-1]


def fixed_norms(config: Config, frozen: tuple[str, ...]) -> tuple[str, ...]:
    """The parts whose batch norms use running statistics, as the network's `frozen` argument.

    Those are the backbone's stages in `frozen`, and what `optim.*_norm` fixes.
    """
    if config.optim.backbone_norm == "fixed":
        frozen = BACKBONES[config.model.backbone.name].stages
    return (*frozen, "neck", "head") if config.optim.head_norm == "fixed" else frozen


def rate_scales(params: Any, config: Config, frozen: tuple[str, ...]) -> Any:
    """The factor on each parameter's learning rate, a tree of floats; 0.0 where frozen."""
    stages = BACKBONES[config.model.backbone.name].stages

    def scale(path: tuple, _) -> float:
        if path[0].key != "backbone":
            return 1.0
        # A ResNet's stem has its layers beside the stages, and belongs to the first.
        stage = path[1].key if path[1].key in stages else stages[0]
        return 0.0 if stage in frozen else config.optim.backbone_lr_scale

    return jax.tree_util.tree_map_with_path(scale, params)
