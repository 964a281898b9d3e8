"""Small networks in PyTorch, written from the papers' tables, that run on a state dict.

Names and shapes are those of torchvision, DaSiamRPN and siamfc-pytorch; strides, padding and
dilation are the tracker's. Images are NCHW.
"""

import numpy as np
import torch
import torch.nn.functional as F

from tests.weights.torch_shapes import ALEXNET, MOBILENETV2

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def nchw(image):
    """A tensor of an NHWC array."""
    return torch.from_numpy(image.transpose(0, 3, 1, 2).copy())


def nhwc(outputs):
    """NHWC arrays of NCHW tensors."""
    return [output.permute(0, 2, 3, 1).numpy() for output in outputs]


def normalised_rgb(bgr):
    """What torchvision's networks expect, from `[b, 3, h, w]` BGR of 0..255."""
    return (bgr.flip(1) / 255 - MEAN) / STD


class Network:
    """Layers by their key in a state dict."""

    def __init__(self, state_dict, eps=1e-5):
        self.arrays = {key: torch.from_numpy(np.array(a)) for key, a in state_dict.items()}
        self.eps = eps

    def conv(self, x, key, **how):
        return F.conv2d(x, self.arrays[f"{key}.weight"], self.arrays.get(f"{key}.bias"), **how)

    def norm(self, x, key):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.arrays[f"{key}.{n}"] for n in names), eps=self.eps)


def resnet(state_dict, blocks, x, *, bottleneck):
    """The stages layer1 to layer4 for normalised RGB, with torchvision's 1x1 shortcuts."""
    net = Network(state_dict)
    x = F.relu(net.norm(net.conv(x, "conv1", stride=2), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    stages = []
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            name, first = f"layer{stage}.{block}", block == 0
            # layer2 strides without padding; layer3 and layer4 dilate, half as far at first.
            final = {3: 2, 4: 4}.get(stage, 1)
            dilation = max(final // 2, 1) if first else final
            strided = first and stage == 2
            how = {"stride": 2} if strided else {"padding": dilation, "dilation": dilation}
            if bottleneck:
                y = F.relu(net.norm(net.conv(x, f"{name}.conv1"), f"{name}.bn1"))
                y = F.relu(net.norm(net.conv(y, f"{name}.conv2", **how), f"{name}.bn2"))
                y = net.norm(net.conv(y, f"{name}.conv3"), f"{name}.bn3")
            else:
                y = F.relu(net.norm(net.conv(x, f"{name}.conv1", **how), f"{name}.bn1"))
                y = net.conv(y, f"{name}.conv2", padding=final, dilation=final)
                y = net.norm(y, f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state_dict:
                # The unpadded 3x3 windows have their centres at odd places.
                x = x[:, :, 1:-1:2, 1:-1:2] if strided else x
                x = net.norm(net.conv(x, f"{name}.downsample.0"), f"{name}.downsample.1")
            x = F.relu(x + y)
        stages.append(x)
    return stages


def mobilenetv2(state_dict, x):
    """The stages layer1 to layer7 for normalised RGB; the first block does not expand."""
    net = Network(state_dict)
    x = F.relu6(net.norm(net.conv(x, "features.0.0", stride=2), "features.0.1"))
    stages, index = [], 1
    for expansion, _, count, stride, first_dilation, dilation in MOBILENETV2:
        for block in range(count):
            name, y, layer = f"features.{index}.conv", x, 0
            if expansion > 1:
                y = F.relu6(net.norm(net.conv(y, f"{name}.0.0"), f"{name}.0.1"))
                layer = 1
            step, far = (stride, first_dilation) if block == 0 else (1, dilation)
            how = {"stride": 2} if step == 2 else {"padding": far, "dilation": far}
            y = net.conv(y, f"{name}.{layer}.0", groups=y.shape[1], **how)
            y = F.relu6(net.norm(y, f"{name}.{layer}.1"))
            y = net.norm(net.conv(y, f"{name}.{layer + 1}"), f"{name}.{layer + 2}")
            x = x + y if x.shape == y.shape else y
            index += 1
        stages.append(x)
    return stages


def tflite_mobilenetv2(arrays, x):
    """The stages layer1 to layer7 for RGB of -1..1."""
    kernels = [torch.from_numpy(a) for key, a in arrays.items() if key.endswith("_w")]
    biases = [torch.from_numpy(a) for key, a in arrays.items() if key.endswith("_b")]
    steps = iter(zip(kernels, biases, strict=True))

    def conv(x, **how):
        kernel, bias = next(steps)
        order = (3, 0, 1, 2) if kernel.shape[0] == 1 else (0, 3, 1, 2)
        return F.conv2d(x, kernel.permute(*order), bias, **how)

    x, stages = F.relu6(conv(x, stride=2)), []
    for expansion, _, count, stride, first_dilation, dilation in MOBILENETV2:
        for block in range(count):
            y = F.relu6(conv(x)) if expansion > 1 else x
            step, far = (stride, first_dilation) if block == 0 else (1, dilation)
            how = {"stride": 2} if step == 2 else {"padding": far, "dilation": far}
            y = conv(F.relu6(conv(y, groups=y.shape[1], **how)))
            x = x + y if x.shape == y.shape else y
        stages.append(x)
    return stages


def siammask(state_dict, template, search, stages, row, column):
    """PySOT's mask branch and its refinement at one cell of the score map.

    `template` and `search` are the neck's features, `stages` the search image's stem, layer1
    and layer2. Gives the correlation, the 63 x 63 logits and the refined 127 x 127 ones.
    """
    net = Network(state_dict)

    def branch(x, side):
        x = net.conv(x, f"mask_head.conv_{side}.0")
        return F.relu(net.norm(x, f"mask_head.conv_{side}.1"))

    kernel, x = branch(template, "kernel"), branch(search, "search")
    batch, channels = x.shape[:2]
    maps = [F.conv2d(x[b, None], kernel[b, :, None], groups=channels) for b in range(batch)]
    correlation = torch.cat(maps)
    x = F.relu(net.norm(net.conv(correlation, "mask_head.head.0"), "mask_head.head.1"))
    coarse = net.conv(x, "mask_head.head.3")[:, :, row, column].reshape(batch, 63, 63)

    def twice(x, key):
        for layer in (0, 2):
            x = F.relu(net.conv(x, f"refine_head.{key}.{layer}", padding=1))
        return x

    deconv = [net.arrays[f"refine_head.deconv.{name}"] for name in ("weight", "bias")]
    vector = correlation[:, :, row : row + 1, column : column + 1]
    out = F.conv_transpose2d(vector, *deconv, stride=15)
    # stage, cells of it for one of the score map, zeros around it, side of the patch, next side
    plan = [(2, 1, 4, 15, 31), (1, 2, 8, 31, 61), (0, 4, 16, 61, 127)]
    for post, (stage, step, zeros, side, grown) in enumerate(plan):
        padded = F.pad(stages[stage], [zeros] * 4)
        top, left = step * row, step * column
        near = padded[:, :, top : top + side, left : left + side]
        out = twice(out, f"h{stage}") + twice(near, f"v{stage}")
        out = F.interpolate(out, size=(grown, grown), mode="nearest")
        out = net.conv(out, f"refine_head.post{post}", padding=1)
    return correlation, coarse, out[:, 0]


def alexnet(state_dict, x):
    """torchvision's filters on normalised RGB: a stem of stride 2, no padding; all layers."""
    net, outputs = Network(state_dict), []
    for index in ALEXNET:
        x = net.conv(x, f"features.{index}", stride=2 if index == 0 else 1)
        outputs.append(x)
        x = F.relu(x)
        if index in (0, 3):
            x = F.max_pool2d(x, 3, 2)
    return outputs


def dasiamrpn(state_dict, template, search):
    """cls `[1, 2a, h, w]` and loc `[1, 4a, h, w]` of DaSiamRPN's networks."""
    net = Network(state_dict)

    def extract(x):
        for layer, (conv, norm) in enumerate(((0, 1), (4, 5), (8, 9), (11, 12), (14, 15))):
            x = net.conv(x, f"featureExtract.{conv}", stride=2 if layer == 0 else 1)
            x = net.norm(x, f"featureExtract.{norm}")
            x = F.max_pool2d(x, 3, 2) if layer < 2 else x
            x = F.relu(x) if layer < 4 else x
        return x

    z, x = extract(template), extract(search)
    width = z.shape[1]
    loc_kernel = net.conv(z, "conv_r1").reshape(-1, width, 4, 4)
    cls_kernel = net.conv(z, "conv_cls1").reshape(-1, width, 4, 4)
    loc = F.conv2d(net.conv(x, "conv_r2"), loc_kernel)
    return F.conv2d(net.conv(x, "conv_cls2"), cls_kernel), net.conv(loc, "regress_adjust")


def siamfc(state_dict, template, search):
    """The response `[1, 1, h, w]` of siamfc-pytorch to RGB images of 0..255."""
    net = Network(state_dict, eps=1e-6)

    def extract(x):
        for layer in range(1, 6):
            groups = 2 if layer in (2, 4, 5) else 1
            stride = 2 if layer == 1 else 1
            x = net.conv(x, f"backbone.conv{layer}.0", groups=groups, stride=stride)
            if layer < 5:
                x = F.relu(net.norm(x, f"backbone.conv{layer}.1"))
            x = F.max_pool2d(x, 3, 2) if layer < 3 else x
        return x

    return 0.001 * F.conv2d(extract(search), extract(template))
