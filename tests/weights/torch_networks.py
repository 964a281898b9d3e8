"""Small networks in PyTorch, written from the papers' tables, that run on a state dict.

Names and shapes are those of torchvision, DaSiamRPN and siamfc-pytorch; strides, padding and
dilation are the tracker's. Images are NCHW.
"""

import numpy as np
import torch
import torch.nn.functional as F

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def normalised_rgb(bgr):
    """What torchvision's networks expect, from `[b, 3, h, w]` BGR of 0..255."""
    return (bgr.flip(1) / 255 - MEAN) / STD


def random_state_dict(shapes, rng):
    """Numbers of the right size for these keys and shapes, batch statistics included."""
    state_dict = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            array = np.array(1000)
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            array = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif len(shape) > 1:
            fan_in = 9 if "DEPTHWISE" in key else np.prod(shape[1:])
            deviation = np.sqrt(2 / fan_in)
            array = (deviation * rng.standard_normal(shape)).astype(np.float32)
        else:
            array = (0.2 * rng.standard_normal(shape)).astype(np.float32)
        state_dict[key] = array
    return state_dict


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


def bn_shapes(key, channels):
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{key}.{name}": (channels,) for name in vectors} | {
        f"{key}.num_batches_tracked": ()
    }


def resnet_shapes(blocks, *, bottleneck):
    """torchvision's keys: every shortcut is a 1x1 convolution."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **bn_shapes("bn1", 64)}
    into = 64
    for stage, count in enumerate(blocks, start=1):
        planes = 64 * 2 ** (stage - 1)
        out = planes * (4 if bottleneck else 1)
        for block in range(count):
            name = f"layer{stage}.{block}"
            layers = [(into, planes, 3), (planes, planes, 3)]
            if bottleneck:
                layers = [(into, planes, 1), (planes, planes, 3), (planes, out, 1)]
            for i, (a, b, side) in enumerate(layers, start=1):
                shapes[f"{name}.conv{i}.weight"] = (b, a, side, side)
                shapes |= bn_shapes(f"{name}.bn{i}", b)
            if block == 0 and into != out:
                shapes[f"{name}.downsample.0.weight"] = (out, into, 1, 1)
                shapes |= bn_shapes(f"{name}.downsample.1", out)
            into = out
    return shapes | {"fc.weight": (10, into), "fc.bias": (10,)}


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


# expansion, channels, blocks, stride of the first, dilation of the first, of the others
MOBILENETV2 = [
    (1, 16, 1, 1, 1, 1),
    (6, 24, 2, 2, 1, 1),
    (6, 32, 3, 2, 1, 1),
    (6, 64, 4, 1, 1, 2),
    (6, 96, 3, 1, 2, 2),
    (6, 160, 3, 1, 2, 4),
    (6, 320, 1, 1, 4, 4),
]


def mobilenetv2_shapes():
    shapes = {"features.0.0.weight": (32, 3, 3, 3), **bn_shapes("features.0.1", 32)}
    into, index = 32, 1
    for expansion, out, count, *_ in MOBILENETV2:
        for _ in range(count):
            name, wide = f"features.{index}.conv", into * expansion
            layers = [(f"{name}.0.0", (wide, 1, 3, 3)), (f"{name}.1", (out, wide, 1, 1))]
            norms = [(f"{name}.0.1", wide), (f"{name}.2", out)]
            if expansion > 1:
                layers = [
                    (f"{name}.0.0", (wide, into, 1, 1)),
                    (f"{name}.1.0", (wide, 1, 3, 3)),
                    (f"{name}.2", (out, wide, 1, 1)),
                ]
                norms = [(f"{name}.0.1", wide), (f"{name}.1.1", wide), (f"{name}.3", out)]
            shapes |= {f"{key}.weight": shape for key, shape in layers}
            for key, channels in norms:
                shapes |= bn_shapes(key, channels)
            into, index = out, index + 1
    shapes |= {"features.18.0.weight": (1280, into, 1, 1), **bn_shapes("features.18.1", 1280)}
    return shapes | {"classifier.1.weight": (10, 1280), "classifier.1.bias": (10,)}


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


def tflite_mobilenetv2_shapes():
    """Arrays in network order, batch norm folded, kernels `[o, kh, kw, i]`."""
    kernels = [("CONV_2D", (32, 3, 3, 3))]
    into = 32
    for expansion, out, count, *_ in MOBILENETV2:
        for _ in range(count):
            wide = into * expansion
            if expansion > 1:
                kernels.append(("CONV_2D", (wide, 1, 1, into)))
            kernels.append(("DEPTHWISE_CONV_2D", (1, 3, 3, wide)))
            kernels.append(("CONV_2D", (out, 1, 1, wide)))
            into = out
    kernels.append(("CONV_2D", (1280, 1, 1, into)))
    shapes = {}
    for i, (operation, shape) in enumerate(kernels):
        shapes[f"{i:02d}_{operation}_w"] = shape
        channels = shape[3] if operation.startswith("DEPTHWISE") else shape[0]
        shapes[f"{i:02d}_{operation}_b"] = (channels,)
    return shapes


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


ALEXNET = {
    0: (64, 3, 11),
    3: (192, 64, 5),
    6: (384, 192, 3),
    8: (256, 384, 3),
    10: (256, 256, 3),
}


def alexnet_shapes():
    shapes = {}
    for index, (out, into, side) in ALEXNET.items():
        shapes[f"features.{index}.weight"] = (out, into, side, side)
        shapes[f"features.{index}.bias"] = (out,)
    return shapes | {"classifier.1.weight": (8, 256), "classifier.1.bias": (8,)}


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
