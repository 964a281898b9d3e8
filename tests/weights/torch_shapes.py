"""Keys and shapes of torchvision's and TensorFlow Lite's state dicts, and numbers for them."""

import numpy as np


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
