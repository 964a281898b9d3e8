"""How a tracker becomes another kind of itself: other levels, other padding, SiamFC."""

from siamjax.config import BACKBONE_STAGES, AnchorConfig, Config, TrackerConfig
from siamjax.config_files import changed


def with_levels(config: Config, levels: tuple[str, ...]) -> Config:
    """The network with these stages, each as wide as its first, and no deeper ones to train."""
    model, trained = config.model, config.optim.backbone_train_stages
    stages = BACKBONE_STAGES[model.backbone.name]
    built = stages[: max(map(stages.index, levels)) + 1]
    return changed(
        config,
        {
            "model.levels": levels,
            "model.channels": (model.channels[0],) * len(levels),
            "optim.backbone_train_stages": trained
            and tuple(stage for stage in trained if stage in built),
        },
    )


def plain(config: Config) -> Config:
    """SiamFC on the same backbone: its last level, one response, three scales when tracking.

    Labels, window and size rate are SiamFC's. (Bertinetto et al., ECCV 2016 workshops)
    """
    model = config.model
    return changed(
        config,
        {
            "model.levels": model.levels[-1:],
            "model.channels": model.channels[-1:],
            "model.neck": False,
            "model.template_crop": None,
            "model.correlation": "plain",
            "model.anchors": AnchorConfig(stride=model.anchors.stride, ratios=(1.0,)),
            "model.base_size": 0,
            "tracker": TrackerConfig(
                search_size=model.search_size, window_influence=0.176, size_lr=0.59
            ),
            "data.labels": "response",
            "data.response_radius": 16.0 * model.context_pixels / 127,
            "data.negative_prob": 0.0,
        },
    )


def up_to(config: Config, level: str, padding: str, margin: int) -> Config:
    """The same network up to one stage alone, with zero padding or without any.

    Without, every image has `margin` pixels more on a side, at the same scale, so that real
    surroundings stand where zeros stood: as many cells, and the same ones, are left.
    """
    config = with_levels(config, (level,))
    model = config.model
    added = 2 * margin if padding == "cropped" else 0
    return changed(
        config,
        {
            "model.backbone.padding": padding,
            "model.context_size": model.context_pixels,
            "model.template_size": model.template_size + added,
            "model.search_size": model.search_size + added,
            "tracker.search_size": config.tracker.search_size + added,
            "data.crop_size": config.data.crop_size + 2 * margin,
        },
    )
