"""The networks once more in PyTorch, eager and NCHW, on the variables of ours."""

import jax
import numpy as np
import torch
import torch.nn.functional as F

from siamjax.config import ModelConfig
from siamjax.models.alexnet import SiamFCAlexNet
from siamjax.models.mobilenetv2 import GROUPS
from siamjax.models.resnet import RESNETS


def _tensor(path, array) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(array))
    if path[-1].key == "kernel":
        return tensor.permute(3, 2, 0, 1).contiguous()
    return tensor


def to_nchw(images) -> torch.Tensor:
    """`[b, h, w, c]` as PyTorch wants it."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous()


class TorchNetwork:
    """`encode` and `predict` of the network that `config` describes, batch norms in eval.

    Template and search are NCHW; `predict` returns PyTorch's channels, `(cls, loc)`.
    """

    def __init__(self, config: ModelConfig, variables: dict):
        self.config = config
        convert = jax.tree_util.tree_map_with_path
        self.params = convert(_tensor, variables["params"])
        self.stats = convert(_tensor, variables["batch_stats"])

    def _layer(self, x, path, names=("conv", "bn"), eps=1e-5, **spatial):
        params, stats = self.params, self.stats
        for key in path.split("/"):
            params, stats = params[key], stats.get(key, {})
        conv, norm = params[names[0]], names[1]
        x = F.conv2d(x, conv["kernel"], conv.get("bias"), **spatial)
        if norm not in params:
            return x
        mean, var = stats[norm]["mean"], stats[norm]["var"]
        return F.batch_norm(x, mean, var, params[norm]["scale"], params[norm]["bias"], eps=eps)

    def _resnet(self, x):
        blocks, bottleneck = RESNETS[self.config.backbone.name]
        x = self._layer(x, "backbone", ("conv1", "bn1"), stride=2).relu_()
        x = F.max_pool2d(x, 3, 2, 1)
        stages = {}
        for i, count in enumerate(blocks):
            stage = f"layer{i + 1}"
            if stage not in self.params["backbone"]:
                break
            for b in range(count):
                block = f"backbone/{stage}/block{b}"
                stride, dilation = 2 if i == 1 and b == 0 else 1, max(2 ** (i - 1), 1)
                first = max(dilation // 2, 1) if b == 0 else dilation
                padding = 0 if stride == 2 else first
                spatial = {"stride": stride, "padding": padding, "dilation": first}
                if bottleneck:
                    y = self._layer(x, block, ("conv1", "bn1")).relu_()
                    y = self._layer(y, block, ("conv2", "bn2"), **spatial).relu_()
                    y = self._layer(y, block, ("conv3", "bn3"))
                else:
                    second = {"padding": dilation, "dilation": dilation}
                    y = self._layer(x, block, ("conv1", "bn1"), **spatial).relu_()
                    y = self._layer(y, block, ("conv2", "bn2"), **second)
                if "downsample" in self.params["backbone"][stage][f"block{b}"]:
                    x = self._layer(x, f"{block}/downsample", **(spatial if i else {}))
                x = (y + x).relu_()
            stages[stage] = x
        return stages

    def _mobilenetv2(self, x):
        x = F.relu6(self._layer(x, "backbone/layer0", stride=2))
        stages, previous = {"layer0": x}, 1
        for g, (_, _, count, group_stride, dilation, _) in enumerate(GROUPS, start=1):
            if f"layer{g}" not in self.params["backbone"]:
                break  # no level needs it
            for b in range(count):
                block = f"backbone/layer{g}/block{b}"
                stride = 1 if b else group_stride
                first = dilation if b or dilation == previous else max(dilation // 2, 1)
                y = F.relu6(self._layer(x, block, ("expand", "expand_bn")))
                y = self._layer(
                    y,
                    block,
                    ("depthwise", "depthwise_bn"),
                    stride=stride,
                    padding=first if stride == 1 else 0,
                    dilation=first,
                    groups=y.shape[1],
                )
                y = self._layer(F.relu6(y), block, ("project", "project_bn"))
                x = x + y if x.shape == y.shape else y
            stages[f"layer{g}"], previous = x, dilation
        return stages

    def _alexnet(self, x):
        is_siamfc = self.config.backbone.name == "siamfc_alexnet"
        groups = (1, 2, 1, 2, 2) if is_siamfc else (1,) * 5
        stages = {}
        for i in range(1, 6):
            stage = f"conv{i}" if is_siamfc else f"layer{i}"
            x = self._layer(
                x,
                f"backbone/{stage}",
                eps=SiamFCAlexNet.norm_epsilon if is_siamfc else 1e-5,
                stride=2 if i == 1 else 1,
                groups=groups[i - 1],
            )
            if is_siamfc:
                x = x.relu_() if i < 5 else x
                x = F.max_pool2d(x, 3, 2) if i <= 2 else x
            else:
                x = F.max_pool2d(x, 3, 2) if i <= 2 else x
                x = x.relu_() if i < 5 else x
            stages[stage] = x
        return stages

    def extract(self, image):
        """The levels' features, after the neck where there is one."""
        name = self.config.backbone.name
        kind = {"mobilenetv2": self._mobilenetv2}.get(name, self._alexnet)
        stages = (self._resnet if name in RESNETS else kind)(image)
        levels = {level: stages[level] for level in self.config.levels}
        if not self.config.neck:
            return levels
        return {level: self._layer(x, f"neck/{level}") for level, x in levels.items()}

    def encode(self, template):
        """What is kept of the template, by level and branch."""
        levels = self.extract(template)
        if self.config.template_crop is not None:
            crop = self.config.template_crop
            start = {level: (x.shape[-1] - crop) // 2 for level, x in levels.items()}
            levels = {
                level: x[..., start[level] :, start[level] :][..., :crop, :crop]
                for level, x in levels.items()
            }
        if self.config.correlation == "plain":
            return levels
        if self.config.correlation == "depthwise":
            kernels = {
                (level, branch): self._layer(x, f"head/{level}/{branch}/kernel").relu_()
                for level, x in levels.items()
                for branch in ("cls", "loc")
            }
            if self.config.mask:
                (x,) = levels.values()
                kernels["mask"] = self._layer(x, "mask_head/kernel").relu_()
            return kernels
        return {
            (level, branch): self._layer(x, f"head/{level}", (f"template_{branch}", ""))
            for level, x in levels.items()
            for branch in ("cls", "loc")
        }

    def predict(self, kernels, search):
        """Scores the search images."""
        levels = self.extract(search)
        if self.config.correlation == "plain":
            ((level, x),) = levels.items()
            return _correlate(x, kernels[level], 1) * 0.001, None
        branch = self._depthwise if self.config.correlation == "depthwise" else self._up_channel
        fused = []
        for name in ("cls", "loc"):
            maps = [branch(kernels[level, name], x, level, name) for level, x in levels.items()]
            weights = torch.full((len(maps),), 1 / len(maps))
            if "fusion" in self.params:
                weights = self.params["fusion"][f"{name}_weight"].softmax(0)
            fused.append(sum(w * x for w, x in zip(weights, maps, strict=True)))
        if self.config.mask:
            (x,) = levels.values()
            self.mask_correlation = self._correlation(kernels["mask"], x, "mask_head")
        return tuple(fused)

    def _correlation(self, kernel, x, path):
        x = self._layer(x, f"{path}/search").relu_()
        b, c, h, w = x.shape
        folded = kernel.reshape(b * c, 1, *kernel.shape[2:])
        x = F.conv2d(x.reshape(1, b * c, h, w), folded, groups=b * c)
        return x.reshape(b, c, *x.shape[2:])

    def _depthwise(self, kernel, x, level, name):
        path = f"head/{level}/{name}"
        x = self._correlation(kernel, x, path)
        x = self._layer(x, f"{path}/output", ("conv0", "bn0")).relu_()
        return self._layer(x, f"{path}/output", ("conv1", ""))

    def _up_channel(self, kernel, x, level, name):
        x = self._layer(x, f"head/{level}", (f"search_{name}", ""))
        out = _correlate(x, kernel, kernel.shape[1] // x.shape[1])
        if name == "cls":
            return out
        return self._layer(out, f"head/{level}", ("loc_adjust", ""))


def _correlate(x, kernel, outputs):
    b, c, h, w = x.shape
    folded = kernel.reshape(b * outputs, c, *kernel.shape[2:])
    out = F.conv2d(x.reshape(1, b * c, h, w), folded, groups=b)
    return out.reshape(b, outputs, *out.shape[2:])
