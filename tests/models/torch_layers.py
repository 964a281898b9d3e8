"""Layers in PyTorch, written out with our parameters: NHWC, and kernels `[h, w, i, o]`."""

import numpy as np
import torch
import torch.nn.functional as F


def nchw(x):
    """A tensor of an NHWC array."""
    return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)


def nhwc(x):
    """The array of an NCHW tensor."""
    return x.detach().permute(0, 2, 3, 1).numpy()


def conv(x, params, **spatial):
    weight = torch.from_numpy(np.array(params["kernel"])).permute(3, 2, 0, 1)
    bias = torch.from_numpy(np.array(params["bias"])) if "bias" in params else None
    return F.conv2d(x, weight, bias, **spatial)


def norm(x, params, stats, eps=1e-5):
    scale, bias, mean, var = (
        torch.from_numpy(np.array(a))
        for a in (params["scale"], params["bias"], stats["mean"], stats["var"])
    )
    return F.batch_norm(x, mean, var, scale, bias, False, 0.1, eps)


def convolution_and_gradients(x, kernel, weight, **how):
    """The output, and the gradients of x and the kernel where the output's is `weight`."""
    inputs = [nchw(x).requires_grad_(), torch.from_numpy(np.array(kernel)).requires_grad_()]
    output = F.conv2d(inputs[0], inputs[1].permute(3, 2, 0, 1), **how)
    d_x, d_kernel = torch.autograd.grad(output, inputs, nchw(weight))
    return nhwc(output), nhwc(d_x), d_kernel.numpy()


def max_pool_and_gradient(x, weight, padding):
    inputs = nchw(x).requires_grad_()
    output = F.max_pool2d(inputs, 3, 2, padding)
    (d_x,) = torch.autograd.grad(output, inputs, nchw(weight))
    return nhwc(output), nhwc(d_x)


def siamfc(params, stats, template, search):
    """The response of SiamFC with its grouped AlexNet."""

    def features(x):
        for i, (stride, groups) in enumerate([(2, 1), (1, 2), (1, 1), (1, 2)], start=1):
            x = conv(x, params[f"conv{i}"]["conv"], stride=stride, groups=groups)
            x = norm(x, params[f"conv{i}"]["bn"], stats[f"conv{i}"]["bn"], eps=1e-6).relu()
            x = F.max_pool2d(x, 3, 2) if i <= 2 else x
        return conv(x, params["conv5"]["conv"], groups=2)

    z, x = features(nchw(template)), features(nchw(search))
    maps = [F.conv2d(x[i : i + 1], z[i : i + 1]) * 0.001 for i in range(len(z))]
    return nhwc(torch.cat(maps))


def up_channel_rpn(params, template, search, anchors, width):
    """cls and loc of DaSiamRPN's head."""

    def correlate(name, outputs):
        kernels = conv(nchw(template), params[f"template_{name}"])
        assert kernels.shape[1] == outputs * width
        x = conv(nchw(search), params[f"search_{name}"])
        kernels = kernels.reshape(len(x), outputs, width, 4, 4)
        maps = [F.conv2d(x[i : i + 1], kernels[i]) for i in range(len(x))]
        return torch.cat(maps)

    loc = conv(correlate("loc", 4 * anchors), params["loc_adjust"])
    return nhwc(correlate("cls", 2 * anchors)), nhwc(loc)


def residual_block(params, stats, x, bottleneck, stride, dilation, downsample):
    def layer(x, i, **spatial):
        return norm(conv(x, params[f"conv{i}"], **spatial), params[f"bn{i}"], stats[f"bn{i}"])

    first = max(dilation // 2, 1) if downsample else dilation
    spatial = {"stride": stride, "dilation": first, "padding": first if stride == 1 else 0}
    x = nchw(x)
    if bottleneck:
        y = layer(x, 1).relu()
        y = layer(y, 2, **spatial).relu()
        y = layer(y, 3)
    else:
        y = layer(x, 1, **spatial).relu()
        y = layer(y, 2, padding=dilation, dilation=dilation)
    if downsample:
        own, own_stats = params["downsample"], stats["downsample"]
        is_1x1 = stride == dilation == 1
        assert own["conv"]["kernel"].shape[0] == (1 if is_1x1 else 3)
        x = conv(x, own["conv"], **({} if is_1x1 else spatial))
        x = norm(x, own["bn"], own_stats["bn"])
    return nhwc((y + x).relu())


def inverted_residual(params, stats, x, features, stride, dilation):
    def layer(x, name, **spatial):
        x = conv(x, params[name], **spatial)
        return norm(x, params[f"{name}_bn"], stats[f"{name}_bn"])

    x = nchw(x)
    y = F.relu6(layer(x, "expand"))
    padding = dilation if stride == 1 else 0
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    y = layer(y, "depthwise", groups=y.shape[1], **spatial)
    y = layer(F.relu6(y), "project")
    return nhwc(y + x if stride == 1 and features == x.shape[1] else y)
