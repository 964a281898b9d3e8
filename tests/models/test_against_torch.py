"""Layers against PyTorch, written out here with copied weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.models.alexnet import SiamFCAlexNet
from siamjax.models.cpu.winograd import winograd_conv, winograd_kernel_gradient
from siamjax.models.heads import UpChannelRPN
from siamjax.models.mobilenetv2 import InvertedResidual
from siamjax.models.operations import conv2d, max_pool
from siamjax.models.resnet import ResidualBlock
from siamjax.models.siamese import SiamFC
from tests.models.networks import quick_jit
from tests.models.variables import randomised, relative_error

torch = pytest.importorskip("torch")
F = torch.nn.functional


def nchw(x):
    return torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1).numpy()


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


def make(module, rng, *inputs):
    """Random variables of a module for inputs, and its output."""
    abstract = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs))
    variables = randomised(abstract, rng)
    output = quick_jit(lambda v: module.apply(v, *inputs))(variables)
    return variables["params"], variables.get("batch_stats"), output


def image(rng, *shape):
    return jnp.asarray(rng.standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(
    ("taps", "outputs", "height", "width", "padding", "dilation"),
    [
        (3, 2, 9, 9, 0, 1),
        (3, 2, 8, 11, 1, 1),
        (3, 2, 13, 10, 2, 2),
        (3, 2, 15, 31, 4, 4),
        (3, 2, 9, 12, 0, 4),
        (3, 2, 7, 8, 3, 2),
        (5, 2, 9, 10, 0, 1),
        (5, 2, 13, 10, 3, 2),
        (3, 4, 9, 13, 0, 1),
        (3, 4, 15, 7, 3, 2),
    ],
)
def test_a_convolution_with_fewer_products(
    rng, taps, outputs, height, width, padding, dilation
):
    """And its kernel's gradient: every remainder of tiles, and more padding than asked for."""
    x, kernel = image(rng, 2, height, width, 5), image(rng, taps, taps, 5, 6)
    spatial = {"padding": padding, "dilation": dilation}
    weights = torch.from_numpy(np.array(kernel)).requires_grad_()
    reference = F.conv2d(nchw(x), weights.permute(3, 2, 0, 1), **spatial)
    weight = image(rng, *nhwc(reference.detach()).shape)
    (d_kernel,) = torch.autograd.grad(reference, weights, nchw(weight))

    @quick_jit
    def forward_and_gradient(x, kernel, weight):
        tiled = {**spatial, "outputs": outputs}
        return (
            winograd_conv(x, kernel, **tiled),
            winograd_kernel_gradient(x, weight, taps=taps, **tiled),
        )

    ours = forward_and_gradient(x, kernel, weight)
    expected = nhwc(reference.detach()), d_kernel.numpy()
    for got, want in zip(ours, expected, strict=True):
        assert relative_error(got, want) < (2e-6 if taps + outputs == 5 else 1e-5)


def test_wide_3x3_convolutions_are_computed_with_fewer_products(rng):
    """The same function, whatever it chooses; bfloat16 is left to XLA, for it loses more."""
    x, kernel = image(rng, 1, 25, 25, 512), image(rng, 3, 3, 512, 512)
    ours = quick_jit(lambda x, k: conv2d(x, k, padding=2, dilation=2))(x, kernel)
    reference = F.conv2d(
        nchw(x),
        torch.from_numpy(np.array(kernel)).permute(3, 2, 0, 1),
        padding=2,
        dilation=2,
    )
    assert relative_error(ours, nhwc(reference)) < 2e-6

    def products(dtype):
        x = jax.ShapeDtypeStruct((1, 25, 25, 512), dtype)
        kernel = jax.ShapeDtypeStruct((3, 3, 512, 512), dtype)
        text = jax.jit(lambda x, k: conv2d(x, k, padding=2, dilation=2)).lower(x, kernel)
        return text.as_text().count("dot_general")

    assert products(jnp.float32) == 16
    assert products(jnp.bfloat16) == 0


def assert_convolves_like_torch(rng, x, kernel, groups=1, **spatial):
    """The output, and the gradient of both inputs."""
    shape = jax.eval_shape(lambda x, k: conv2d(x, k, **spatial), x, kernel).shape
    weight = image(rng, *shape)

    @quick_jit
    def forward_and_gradient(x, kernel, weight):
        out, pull = jax.vjp(lambda x, k: conv2d(x, k, **spatial), x, kernel)
        return out, *pull(weight)

    inputs = [nchw(x).requires_grad_(), torch.from_numpy(np.array(kernel)).requires_grad_()]
    reference = F.conv2d(inputs[0], inputs[1].permute(3, 2, 0, 1), groups=groups, **spatial)
    d_x, d_kernel = torch.autograd.grad(reference, inputs, nchw(weight))
    ours, our_d_x, our_d_kernel = forward_and_gradient(x, kernel, weight)
    assert relative_error(ours, nhwc(reference.detach())) < 1e-5
    assert relative_error(our_d_x, nhwc(d_x)) < 1e-5
    assert relative_error(our_d_kernel, d_kernel.numpy()) < 1e-5


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 2, 2), (2, 3, 2)]
)
def test_convolution(rng, groups, size, stride, padding, dilation):
    x = image(rng, 2, 13, 12, 8)
    kernel = image(rng, size, size, 8 // groups, 16)
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    assert_convolves_like_torch(rng, x, kernel, groups, **spatial)


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 80), (136, 40)])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"),
    [(3, 1, 0, 1), (3, 2, 0, 1), (3, 1, 2, 2), (3, 1, 3, 1), (1, 2, 0, 1), (7, 2, 1, 1)],
)
def test_wide_convolution_whose_gradient_is_written_out(
    rng, inputs, outputs, size, stride, padding, dilation
):
    """Few and many input channels; more padding than the kernel asks for; cells left over."""
    x, kernel = image(rng, 2, 12, 11, inputs), image(rng, size, size, inputs, outputs)
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    assert_convolves_like_torch(rng, x, kernel, **spatial)


@pytest.mark.parametrize("batch", [1, 4])
def test_gradients_of_a_wide_3x3_convolution_with_fewer_products(rng, batch):
    """Enough channels and cells for them; four images are enough for the larger tiles."""
    x, kernel = image(rng, batch, 24, 24, 256), image(rng, 3, 3, 256, 256)
    assert_convolves_like_torch(rng, x, kernel, padding=2, dilation=2)


def test_the_gradient_of_an_image_is_not_computed_unless_needed(rng):
    """What enters the first trained layer; a convolution's kernel alone has one."""
    x, kernel = image(rng, 2, 12, 12, 64), image(rng, 3, 3, 64, 64)

    def flops(argnums):
        loss = jax.grad(lambda x, k: conv2d(x, k, padding=1).sum(), argnums)
        return jax.jit(loss).lower(x, kernel).cost_analysis()["flops"]

    of_one_pass = 2 * 9 * 64 * 64 * 2 * 12 * 12
    assert flops((0, 1)) - flops(1) > 0.7 * of_one_pass


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("height", "width"), [(9, 12), (3, 4), (10, 5)])
def test_max_pool(rng, padding, height, width):
    x = image(rng, 2, height, width, 4) - 10  # zeros for padding would win
    inputs = nchw(x).requires_grad_()
    reference = F.max_pool2d(inputs, 3, 2, padding)
    np.testing.assert_array_equal(max_pool(x, padding), nhwc(reference.detach()))
    weight = image(rng, *nhwc(reference.detach()).shape)
    (want,) = torch.autograd.grad(reference, inputs, nchw(weight))
    got = quick_jit(jax.grad(lambda x: (max_pool(x, padding) * weight).sum()))(x)
    np.testing.assert_allclose(got, nhwc(want), atol=1e-6)


def test_grouped_alexnet_and_siamfc_response(rng):
    network = SiamFC(SiamFCAlexNet(width=0.125), "conv5")
    template, search = image(rng, 2, 87, 87, 3), image(rng, 2, 103, 103, 3)
    params, stats, ours = make(network, rng, template, search)
    params, stats = params["backbone"], stats["backbone"]

    def features(x):
        for i, (stride, groups) in enumerate([(2, 1), (1, 2), (1, 1), (1, 2)], start=1):
            x = conv(x, params[f"conv{i}"]["conv"], stride=stride, groups=groups)
            x = norm(x, params[f"conv{i}"]["bn"], stats[f"conv{i}"]["bn"], eps=1e-6).relu()
            x = F.max_pool2d(x, 3, 2) if i <= 2 else x
        return conv(x, params["conv5"]["conv"], groups=2)

    z, x = features(nchw(template)), features(nchw(search))
    reference = [F.conv2d(x[i : i + 1], z[i : i + 1]) * 0.001 for i in range(2)]
    assert ours.loc is None
    assert ours.cls_logits.shape == (2, 3, 3, 1, 1)
    assert relative_error(ours.cls_logits[..., 0], nhwc(torch.cat(reference))) < 1e-5


def test_up_channel_head(rng):
    anchors, width = 3, 8
    head = UpChannelRPN(width, anchors)
    template, search = image(rng, 2, 6, 6, 12), image(rng, 2, 11, 11, 12)

    def both(module, template, search):
        return module(module.encode(template, False), search, False)

    variables = randomised(
        jax.eval_shape(lambda: head.init(jax.random.key(0), template, search, method=both)), rng
    )
    ours = quick_jit(lambda v: head.apply(v, template, search, method=both))(variables)
    params = variables["params"]

    def correlate(name, outputs):
        kernels = conv(nchw(template), params[f"template_{name}"])
        assert kernels.shape[1] == outputs * width
        x = conv(nchw(search), params[f"search_{name}"])
        maps = [
            F.conv2d(x[i : i + 1], kernels[i].reshape(outputs, width, 4, 4)) for i in range(2)
        ]
        return torch.cat(maps)

    assert relative_error(ours[0], nhwc(correlate("cls", 2 * anchors))) < 1e-5
    loc = conv(correlate("loc", 4 * anchors), params["loc_adjust"])
    assert relative_error(ours[1], nhwc(loc)) < 1e-5


@pytest.mark.parametrize(
    ("stride", "dilation", "downsample"),
    [(1, 1, True), (2, 1, True), (1, 2, True), (1, 4, True), (1, 4, False)],
)
@pytest.mark.parametrize("bottleneck", [True, False])
def test_residual_block(rng, bottleneck, stride, dilation, downsample):
    planes = 8
    features = planes * 4 if bottleneck else planes
    block = ResidualBlock(planes, bottleneck, stride, dilation, downsample)
    x = image(rng, 2, 15, 15, 16 if downsample else features)
    params, stats, ours = make(block, rng, x, False)

    def layer(x, i, **spatial):
        return norm(conv(x, params[f"conv{i}"], **spatial), params[f"bn{i}"], stats[f"bn{i}"])

    first = max(dilation // 2, 1) if downsample else dilation
    spatial = {"stride": stride, "dilation": first, "padding": first if stride == 1 else 0}
    if bottleneck:
        y = layer(nchw(x), 1).relu()
        y = layer(y, 2, **spatial).relu()
        y = layer(y, 3)
    else:
        y = layer(nchw(x), 1, **spatial).relu()
        y = layer(y, 2, padding=dilation, dilation=dilation)
    shortcut = nchw(x)
    if downsample:
        own, own_stats = params["downsample"], stats["downsample"]
        is_1x1 = stride == dilation == 1
        assert own["conv"]["kernel"].shape[0] == (1 if is_1x1 else 3)
        shortcut = conv(shortcut, own["conv"], **({} if is_1x1 else spatial))
        shortcut = norm(shortcut, own["bn"], own_stats["bn"])
    assert relative_error(ours, nhwc((y + shortcut).relu())) < 1e-5


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
@pytest.mark.parametrize("features", [6, 10])
def test_inverted_residual_block(rng, stride, dilation, features):
    x = image(rng, 2, 15, 15, 10)
    block = InvertedResidual(features, 6, stride, dilation)
    params, stats, ours = make(block, rng, x, False)

    def layer(x, name, **spatial):
        x = conv(x, params[name], **spatial)
        return norm(x, params[f"{name}_bn"], stats[f"{name}_bn"])

    y = F.relu6(layer(nchw(x), "expand"))
    padding = dilation if stride == 1 else 0
    y = layer(y, "depthwise", stride=stride, padding=padding, dilation=dilation, groups=60)
    y = layer(F.relu6(y), "project")
    if stride == 1 and features == 10:
        y = y + nchw(x)
    assert relative_error(ours, nhwc(y)) < 1e-5
