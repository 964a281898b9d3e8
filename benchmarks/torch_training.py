"""A training step in PyTorch: the networks of `torch_networks`, PySOT's losses and SGD."""

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch_networks import TorchNetwork, to_nchw

from siamjax.config import Config
from siamjax.training.phases import phases, rate_scales


class TrainedNetwork(TorchNetwork):
    """A network whose batch norms use the batch's statistics, but for frozen stages."""

    def __init__(self, config: Config, variables: dict, device: str):
        super().__init__(config.model, variables)
        frozen = phases(config)[-1].frozen
        scales = rate_scales(variables["params"], config, frozen)
        move = jax.tree_util.tree_map_with_path
        is_tensor = {"is_leaf": lambda leaf: isinstance(leaf, torch.Tensor)}
        to = {"device": device, "memory_format": torch.contiguous_format}
        self.params = move(lambda _, t: t.to(**to), self.params, **is_tensor)
        self.stats = move(lambda _, t: t.to(**to), self.stats, **is_tensor)
        self._in_eval = {
            jax.tree_util.keystr(path[:-1])
            for path, scale in jax.tree_util.tree_leaves_with_path(scales)
            if scale == 0
        }
        self.trained: dict[float, list] = {}
        for scale, tensor in zip(
            jax.tree.leaves(scales), jax.tree.leaves(self.params, **is_tensor), strict=True
        ):
            if scale:
                tensor.requires_grad_()
                self.trained.setdefault(scale, []).append(tensor)

    def _layer(self, x, path, names=("conv", "bn"), eps=1e-5, **spatial):
        params, stats = self.params, self.stats
        for key in path.split("/"):
            params, stats = params[key], stats.get(key, {})
        conv, norm = params[names[0]], names[1]
        x = F.conv2d(x, conv["kernel"], conv.get("bias"), **spatial)
        if norm not in params:
            return x
        keys = [*path.split("/"), norm]
        name = "".join(f"['{key}']" for key in keys)
        scale, bias = params[norm]["scale"], params[norm]["bias"]
        mean, var = stats[norm]["mean"], stats[norm]["var"]
        trains = name not in self._in_eval
        return F.batch_norm(x, mean, var, scale, bias, training=trains, eps=eps)


class TorchTraining:
    """One step after another on one batch; `precision` is "float32", "tf32" or "bfloat16"."""

    def __init__(
        self, config: Config, variables: dict, batch, device: str = "cpu", precision="float32"
    ):
        self.network = TrainedNetwork(config, variables, device)
        self.config, self.device, self.precision = config, device, precision
        torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        optim = config.optim
        self.optimizer = torch.optim.SGD(
            [
                {"params": tensors, "lr": optim.lr * scale}
                for scale, tensors in self.network.trained.items()
            ],
            momentum=optim.momentum,
            weight_decay=optim.weight_decay,
        )
        self.images = [to_nchw(image).to(device) for image in (batch.template, batch.search)]
        self.labels = {
            name: torch.from_numpy(np.array(getattr(batch, name))).to(device)
            for name in ("label_cls", "label_loc", "label_loc_weight")
        }

    def step(self) -> float:
        """Trains once; returns the loss that it began with, which waits for the device."""
        half = self.precision == "bfloat16"
        with torch.autocast(self.device, torch.bfloat16, enabled=half):
            kernels = self.network.encode(self.images[0])
            cls, loc = self.network.predict(kernels, self.images[1])
        loss = self._loss(cls.float(), None if loc is None else loc.float())
        self.optimizer.zero_grad()
        loss.backward()
        clip = self.config.optim.clip_norm
        if clip is not None:
            tensors = [t for group in self.network.trained.values() for t in group]
            torch.nn.utils.clip_grad_norm_(tensors, clip)
        self.optimizer.step()
        return loss.item()

    def _loss(self, cls, loc):
        """PySOT's channels: two classes, or four offsets, before the anchors."""
        labels, weights = self.labels["label_cls"], self.config.loss
        if loc is None:
            logit = cls.permute(0, 2, 3, 1)
            return weights.cls_weight * _balanced(F.softplus(-logit), F.softplus(logit), labels)
        b, _, h, w = cls.shape
        scores = cls.reshape(b, 2, -1, h, w).permute(0, 3, 4, 2, 1).log_softmax(-1)
        loc = loc.reshape(b, 4, -1, h, w).permute(0, 3, 4, 2, 1)
        distance = (loc - self.labels["label_loc"]).abs().sum(-1)
        location = (distance * self.labels["label_loc_weight"]).sum() / b
        classification = _balanced(-scores[..., 1], -scores[..., 0], labels)
        return weights.cls_weight * classification + weights.loc_weight * location


def _balanced(if_positive, if_negative, labels):
    return 0.5 * if_positive[labels == 1].mean() + 0.5 * if_negative[labels == 0].mean()
