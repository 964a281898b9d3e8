"""PySOT itself, from a checkout of it: its tracker and a training step, with our weights.

Needs PyTorch, yacs and a folder with PySOT's source (STVIR/pysot); nothing of it is copied.
Its own code runs, on all cores and, in tracking, without recording gradients; or as its
test.py runs it, which takes one core and records them. What PySOT moves to a GPU by name stays
where it is.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import torch

from siamjax.config import BACKBONES, Config
from siamjax.training.phases import phases
from siamjax.weights.pysot import to_state_dict


def build_model(folder: Path, config: Config, variables: dict):
    """PySOT's `ModelBuilder` of our network with our variables, and its global settings.

    Raises `WeightsError` when PySOT has no such network, ImportError when it is not there.
    """
    arrays = to_state_dict(variables, config.model, alexnet="layers")
    weights = {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    from pysot.core.config import cfg
    from pysot.models.model_builder import ModelBuilder

    _apply_settings(cfg, config, weights)
    model = ModelBuilder()
    model.load_state_dict(weights)
    return model, cfg


def _apply_settings(cfg, config: Config, weights: dict) -> None:
    """Our configuration in the words of PySOT's."""
    model, tracker = config.model, config.tracker
    backbone, anchors = model.backbone, model.anchors
    cfg.CUDA = False
    cfg.BACKBONE.TYPE = backbone.name
    arguments = {}
    if not backbone.name.startswith("resnet"):
        arguments["width_mult"] = backbone.width
    if backbone.name != "alexnet":
        arguments["used_layers"] = [int(level[-1]) for level in model.levels]
    _replace(cfg.BACKBONE.KWARGS, arguments)
    cfg.ADJUST.ADJUST = model.neck
    narrowed = [key for key in weights if key.startswith("neck.") and weights[key].ndim == 4]
    inputs = [weights[key].shape[1] for key in narrowed]
    if model.neck:
        arguments = {"in_channels": inputs, "out_channels": list(model.channels)}
        _replace(cfg.ADJUST.KWARGS, arguments)
    width = list(model.channels)
    if model.correlation == "up_channel":
        cfg.RPN.TYPE = "UPChannelRPN"
        arguments = {"anchor_num": anchors.count, "feature_in": width[0]}
    elif len(width) == 1:
        cfg.RPN.TYPE = "DepthwiseRPN"
        features = weights["rpn_head.cls.conv_kernel.0.weight"].shape[1]
        arguments = {"in_channels": features, "out_channels": width[0]}
        arguments["anchor_num"] = anchors.count
    else:
        cfg.RPN.TYPE = "MultiRPN"
        arguments = {"anchor_num": anchors.count, "in_channels": width}
        arguments["weighted"] = model.fusion == "weighted"
    _replace(cfg.RPN.KWARGS, arguments)
    cfg.ANCHOR.STRIDE = anchors.stride
    cfg.ANCHOR.RATIOS, cfg.ANCHOR.SCALES = list(anchors.ratios), list(anchors.scales)
    cfg.ANCHOR.ANCHOR_NUM = anchors.count
    cfg.TRACK.PENALTY_K = tracker.penalty_k
    cfg.TRACK.WINDOW_INFLUENCE = tracker.window_influence
    cfg.TRACK.LR = tracker.size_lr
    cfg.TRACK.EXEMPLAR_SIZE = model.template_size
    cfg.TRACK.INSTANCE_SIZE = tracker.search_size
    cfg.TRACK.BASE_SIZE = model.base_size
    cfg.TRACK.CONTEXT_AMOUNT = tracker.context_amount


def _replace(settings, values: dict) -> None:
    for key in list(settings):
        del settings[key]
    settings.update(values)


class PysotTracker:
    """`init` once, then `update` for every frame; boxes are left, top, width, height.

    With `as_shipped` it runs as PySOT's test.py does: on one core, recording gradients.
    """

    def __init__(
        self, folder: Path, config: Config, variables: dict, *, as_shipped: bool = False
    ):
        model, _ = build_model(folder, config, variables)
        from pysot.tracker.siamrpn_tracker import SiamRPNTracker

        self.tracker, self.as_shipped = SiamRPNTracker(model), as_shipped

    def init(self, frame, box_xywh) -> None:
        """Remembers the target."""
        with self._manner():
            self.tracker.init(frame, box_xywh)

    def update(self, frame) -> np.ndarray:
        """Where the target is now."""
        with self._manner():
            return np.array(self.tracker.track(frame)["bbox"], float)

    @contextlib.contextmanager
    def _manner(self):
        cores = torch.get_num_threads()
        torch.set_num_threads(1 if self.as_shipped else cores)
        try:
            with torch.set_grad_enabled(self.as_shipped):
                yield
        finally:
            torch.set_num_threads(cores)


class PysotTraining:
    """One step after another on one batch, as PySOT's train.py takes them."""

    def __init__(self, folder: Path, config: Config, variables: dict, batch):
        self.model, cfg = build_model(folder, config, variables)
        cfg.TRAIN.CLS_WEIGHT = config.loss.cls_weight
        cfg.TRAIN.LOC_WEIGHT = config.loss.loc_weight
        optim = config.optim
        self.clip = optim.clip_norm
        # The loss calls `.cuda()` on every tensor.
        torch.Tensor.cuda = lambda tensor, *_, **__: tensor
        self.model.train()
        frozen = phases(config)[-1].frozen
        backbone = self.model.backbone
        # PySOT freezes the whole of it and wakes the stages that train.
        backbone.train(not frozen).requires_grad_(not frozen)
        for name in set(BACKBONES[config.model.backbone.name].stages) - set(frozen):
            if frozen:
                getattr(backbone, name).train().requires_grad_()
        trained = [p for p in backbone.parameters() if p.requires_grad]
        rest = [p for n, p in self.model.named_parameters() if not n.startswith("backbone.")]
        self.optimizer = torch.optim.SGD(
            [
                {"params": trained, "lr": optim.backbone_lr_scale * optim.lr},
                {"params": rest, "lr": optim.lr},
            ],
            momentum=optim.momentum,
            weight_decay=optim.weight_decay,
        )
        images = (batch.template, batch.search)
        template, search = (
            torch.from_numpy(np.array(image, np.float32)).permute(0, 3, 1, 2).contiguous()
            for image in images
        )
        # Their maps are [anchors, h, w], and the four offsets come first.
        cls, loc, weight = batch.label_cls, batch.label_loc, batch.label_loc_weight
        self.data = {
            "template": template,
            "search": search,
            "label_cls": torch.from_numpy(np.array(cls, np.int64)).permute(0, 3, 1, 2),
            "label_loc": torch.from_numpy(np.array(loc)).permute(0, 4, 3, 1, 2),
            "label_loc_weight": torch.from_numpy(np.array(weight)).permute(0, 3, 1, 2),
        }
        self.data = {key: tensor.contiguous() for key, tensor in self.data.items()}

    def step(self) -> float:
        """Trains once; returns the loss that it began with."""
        loss = self.model(self.data)["total_loss"]
        value = loss.item()
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return value
