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


def layers():
    from tests.models import torch_layers

    return torch_layers


def make(module, rng, *inputs):
    """Random variables of a module for inputs, and its output."""
    abstract = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs))
    variables = randomised(abstract, rng)
    output = quick_jit(lambda v: module.apply(v, *inputs))(variables)
    return variables["params"], variables.get("batch_stats"), output


def image(rng, *shape):
    return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def assert_close(pairs, tolerance=1e-5):
    for both in pairs:
        for ours, theirs in zip(*map(jax.tree.leaves, both), strict=True):
            assert relative_error(ours, theirs) < tolerance


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
    rng, taps, outputs, height, width, padding, dilation, against
):
    """And its kernel's gradient: every remainder of tiles, and more padding than asked for."""
    x, kernel = image(rng, 2, height, width, 5), image(rng, taps, taps, 5, 6)
    spatial = {"padding": padding, "dilation": dilation}
    shape = jax.eval_shape(lambda x, k: conv2d(x, k, **spatial), x, kernel).shape
    weight = image(rng, *shape)

    def theirs():
        return layers().convolution_and_gradients(x, kernel, weight, **spatial)[::2]

    @quick_jit
    def forward_and_gradient(x, kernel, weight):
        tiled = {**spatial, "outputs": outputs}
        return (
            winograd_conv(x, kernel, **tiled),
            winograd_kernel_gradient(x, weight, taps=taps, **tiled),
        )

    assert_close(
        against("torch", forward_and_gradient(x, kernel, weight), theirs),
        2e-6 if taps + outputs == 5 else 1e-5,
    )


def test_wide_3x3_convolutions_are_computed_with_fewer_products(rng, against):
    """The same function, whatever it chooses; bfloat16 is left to XLA, for it loses more."""
    x, kernel = image(rng, 1, 25, 25, 512), image(rng, 3, 3, 512, 512)
    ours = quick_jit(lambda x, k: conv2d(x, k, padding=2, dilation=2))(x, kernel)

    def theirs():
        torch = layers()
        spatial = {"padding": 2, "dilation": 2}
        return torch.nhwc(torch.conv(torch.nchw(x), {"kernel": kernel}, **spatial))

    assert_close(against("torch", ours, theirs), 2e-6)

    def products(dtype):
        x = jax.ShapeDtypeStruct((1, 25, 25, 512), dtype)
        kernel = jax.ShapeDtypeStruct((3, 3, 512, 512), dtype)
        text = jax.jit(lambda x, k: conv2d(x, k, padding=2, dilation=2)).lower(x, kernel)
        return text.as_text().count("dot_general")

    assert products(jnp.float32) == 4  # each of four products
    assert products(jnp.bfloat16) == 0


def assert_convolves_like_torch(against, rng, x, kernel, groups=1, **spatial):
    """The output, and the gradient of both inputs."""
    shape = jax.eval_shape(lambda x, k: conv2d(x, k, **spatial), x, kernel).shape
    weight = image(rng, *shape)

    @quick_jit
    def forward_and_gradient(x, kernel, weight):
        out, pull = jax.vjp(lambda x, k: conv2d(x, k, **spatial), x, kernel)
        return out, *pull(weight)

    def theirs():
        return layers().convolution_and_gradients(x, kernel, weight, groups=groups, **spatial)

    assert_close(against("torch", forward_and_gradient(x, kernel, weight), theirs))


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 2, 2), (2, 3, 2)]
)
def test_convolution(rng, groups, size, stride, padding, dilation, against):
    x = image(rng, 2, 13, 12, 8)
    kernel = image(rng, size, size, 8 // groups, 16)
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    assert_convolves_like_torch(against, rng, x, kernel, groups, **spatial)


@pytest.mark.parametrize(("inputs", "outputs"), [(64, 80), (136, 40)])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"),
    [(3, 1, 0, 1), (3, 2, 0, 1), (3, 1, 2, 2), (3, 1, 3, 1), (1, 2, 0, 1), (7, 2, 1, 1)],
)
def test_wide_convolution_whose_gradient_is_written_out(
    rng, inputs, outputs, size, stride, padding, dilation, against
):
    """Few and many input channels; more padding than the kernel asks for; cells left over."""
    x, kernel = image(rng, 2, 12, 11, inputs), image(rng, size, size, inputs, outputs)
    spatial = {"stride": stride, "padding": padding, "dilation": dilation}
    assert_convolves_like_torch(against, rng, x, kernel, **spatial)


@pytest.mark.parametrize("batch", [1, 4])
def test_gradients_of_a_wide_3x3_convolution_with_fewer_products(rng, batch, against):
    """Enough channels and cells for them; four images are enough for the larger tiles."""
    x, kernel = image(rng, batch, 24, 24, 256), image(rng, 3, 3, 256, 256)
    assert_convolves_like_torch(against, rng, x, kernel, padding=2, dilation=2)


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
def test_max_pool(rng, padding, height, width, against):
    x = image(rng, 2, height, width, 4) - 10  # zeros for padding would win
    pooled = max_pool(x, padding)
    weight = image(rng, *pooled.shape)
    gradient = quick_jit(jax.grad(lambda x: (max_pool(x, padding) * weight).sum()))(x)

    def theirs():
        return layers().max_pool_and_gradient(x, weight, padding)

    for ours, reference in against("torch", (pooled, gradient), theirs):
        np.testing.assert_array_equal(ours[0], reference[0])
        np.testing.assert_allclose(ours[1], reference[1], atol=1e-6)


def test_grouped_alexnet_and_siamfc_response(rng, against):
    network = SiamFC(SiamFCAlexNet(width=0.125), "conv5")
    template, search = image(rng, 2, 87, 87, 3), image(rng, 2, 103, 103, 3)
    params, stats, ours = make(network, rng, template, search)
    assert ours.loc is None
    assert ours.cls_logits.shape == (2, 3, 3, 1, 1)

    def theirs():
        return layers().siamfc(params["backbone"], stats["backbone"], template, search)

    assert_close(against("torch", ours.cls_logits[..., 0], theirs))


def test_up_channel_head(rng, against):
    anchors, width = 3, 8
    head = UpChannelRPN(width, anchors)
    template, search = image(rng, 2, 6, 6, 12), image(rng, 2, 11, 11, 12)

    def both(module, template, search):
        return module(module.encode(template, False), search, False)

    variables = randomised(
        jax.eval_shape(lambda: head.init(jax.random.key(0), template, search, method=both)), rng
    )
    ours = quick_jit(lambda v: head.apply(v, template, search, method=both))(variables)

    def theirs():
        return layers().up_channel_rpn(variables["params"], template, search, anchors, width)

    assert_close(against("torch", ours, theirs))


@pytest.mark.parametrize(
    ("stride", "dilation", "downsample"),
    [(1, 1, True), (2, 1, True), (1, 2, True), (1, 4, True), (1, 4, False)],
)
@pytest.mark.parametrize("bottleneck", [True, False])
def test_residual_block(rng, bottleneck, stride, dilation, downsample, against):
    planes = 8
    features = planes * 4 if bottleneck else planes
    block = ResidualBlock(planes, bottleneck, stride, dilation, downsample)
    x = image(rng, 2, 15, 15, 16 if downsample else features)
    params, stats, ours = make(block, rng, x, False)

    def theirs():
        shape = bottleneck, stride, dilation, downsample
        return layers().residual_block(params, stats, x, *shape)

    assert_close(against("torch", ours, theirs))


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
@pytest.mark.parametrize("features", [6, 10])
def test_inverted_residual_block(rng, stride, dilation, features, against):
    x = image(rng, 2, 15, 15, 10)
    block = InvertedResidual(features, 6, stride, dilation)
    params, stats, ours = make(block, rng, x, False)

    def theirs():
        return layers().inverted_residual(params, stats, x, features, stride, dilation)

    assert_close(against("torch", ours, theirs))
