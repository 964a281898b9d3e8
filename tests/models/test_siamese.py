"""The two entry points, training's statistics, precision, and the score layout."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.models.build import build_network
from siamjax.models.folding import fold_batch_norm
from tests.models.networks import MODELS, make, quick_jit
from tests.models.variables import relative_error


@pytest.mark.parametrize("name", MODELS)
def test_encoding_and_predicting_equal_the_joint_call(name, rng):
    config = MODELS[name]
    network, variables, template, search = make(config, rng)

    @quick_jit
    def both_ways(variables, template, search):
        features = network.apply(variables, template, method=network.encode_template)
        apart = network.apply(variables, features, search, method=network.predict)
        return apart, network.apply(variables, template, search)

    apart, joint = both_ways(variables, template, search)
    jax.tree.map(np.testing.assert_array_equal, apart, joint)
    side, anchors = config.score_size, config.anchors.count
    last = 1 if config.correlation == "plain" else 2
    assert joint.cls_logits.shape == (3, side, side, anchors, last)
    assert np.isfinite(joint.cls_logits).all() and joint.cls_logits.std() > 0
    if config.correlation == "plain":
        assert joint.loc is None
    else:
        assert joint.loc.shape == (3, side, side, anchors, 4)


def test_training_sees_template_and_search_as_two_batches(rng):
    """Running statistics move twice in a joint call, the template's batch first."""
    network, variables, template, search = make(MODELS["resnet18"], rng)

    @quick_jit
    def joint(variables):
        return network.apply(variables, template, search, train=True, mutable=["batch_stats"])

    @quick_jit
    def in_turn(variables):
        def call(stats, *inputs, method):
            return network.apply(
                {**variables, **stats},
                *inputs,
                train=True,
                mutable=["batch_stats"],
                method=method,
            )

        features, stats = call({}, template, method=network.encode_template)
        return *call(stats, features, search, method=network.predict), stats

    prediction, stats = joint(variables)
    apart, after_search, after_template = in_turn(variables)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        (prediction, stats),
        (apart, after_search),
    )

    # By hand, for the stem's batch norm: momentum 0.9, the biased variance of each batch.
    def stem(x):
        kernel = variables["params"]["backbone"]["conv1"]["kernel"]
        return jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    expected = variables["batch_stats"]["backbone"]["bn1"]
    for images, got in ((template, after_template), (search, after_search)):
        x = np.asarray(stem(images), np.float64)
        batch = {"mean": x.mean((0, 1, 2)), "var": x.var((0, 1, 2))}
        expected = {k: 0.9 * np.asarray(expected[k]) + 0.1 * batch[k] for k in expected}
        for key, value in expected.items():
            ours = got["batch_stats"]["backbone"]["bn1"][key]
            np.testing.assert_allclose(ours, value, rtol=1e-4)


def test_only_the_template_is_cropped(rng):
    """A search map as narrow as a template's keeps its cells. (PySOT's width rule does not.)"""
    config = dataclasses.replace(MODELS["resnet18"], search_size=71, channels=(8, 8))
    network, variables, template, search = make(config, rng)
    kernels = jax.eval_shape(
        lambda v: network.apply(v, template, method=network.encode_template), variables
    ).kernels
    # 63 pixels are 7 cells, of which 5 are kept, of which the head's 3x3 leaves 3.
    assert kernels[0]["cls"].shape == (3, 3, 3, 8)
    prediction = jax.eval_shape(network.apply, variables, template, search)
    assert prediction.loc.shape == (3, 4, 4, 5, 4)


def test_score_layout(rng):
    """PyTorch's channels are background of all anchors, then foreground; dx, dy, dw, dh."""
    network = build_network(MODELS["resnet18"])
    cls = np.arange(10.0).reshape(1, 1, 1, 10)
    loc = np.arange(20.0).reshape(1, 1, 1, 20)
    np.testing.assert_array_equal(
        network._by_anchor(cls)[0, 0, 0], [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]]
    )
    np.testing.assert_array_equal(network._by_anchor(loc)[0, 0, 0, 1], [1, 6, 11, 16])


def test_fusion(rng):
    """Weighted: softmaxed weights, cls and loc apart; mean: neither weights nor softmax."""
    from siamjax.models.heads import WeightedFusion, mean_fusion

    maps = [
        (jnp.asarray(rng.standard_normal((2, 3, 3, n)), jnp.float32) for n in (4, 8))
        for _ in range(3)
    ]
    outputs = [tuple(pair) for pair in maps]
    raw = {"cls_weight": jnp.array([0.0, 1.0, 2.0]), "loc_weight": jnp.array([1.0, 0.0, 0.0])}
    cls, loc = WeightedFusion().apply({"params": raw}, outputs)
    e = np.exp([0, 1, 2])
    want = sum(w * np.asarray(x[0]) for w, x in zip(e / e.sum(), outputs, strict=True))
    np.testing.assert_allclose(cls, want, rtol=1e-5, atol=1e-6)
    e = np.exp([1, 0, 0])
    want = sum(w * np.asarray(x[1]) for w, x in zip(e / e.sum(), outputs, strict=True))
    np.testing.assert_allclose(loc, want, rtol=1e-5, atol=1e-6)
    mean = mean_fusion(outputs)
    np.testing.assert_allclose(mean[0], np.mean([x[0] for x in outputs], 0), atol=1e-6)
    np.testing.assert_allclose(mean[1], np.mean([x[1] for x in outputs], 0), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_folded_batch_norms_change_nothing(name, rng):
    network, variables, template, search = make(MODELS[name], rng)
    folded, folded_variables = fold_batch_norm(MODELS[name], variables)
    assert not folded_variables["batch_stats"]
    leaves = jax.tree_util.tree_leaves_with_path(folded_variables["params"])
    names = {path[-1].key for path, _ in leaves}
    assert "scale" not in names
    want = quick_jit(network.apply)(variables, template, search)
    got = quick_jit(folded.apply)(folded_variables, template, search)
    assert relative_error(got.cls_logits, want.cls_logits) < 1e-4
    if want.loc is not None:
        assert relative_error(got.loc, want.loc) < 1e-4
    if want.mask is not None:
        assert relative_error(got.mask.correlation, want.mask.correlation) < 1e-4


def test_each_part_is_folded_with_its_own_epsilon(rng):
    """1e-6 in SiamFC's backbone, 1e-5 in neck and heads: seen where variances are small."""
    sizes = {"template_size": 103, "search_size": 119, "base_size": 0}
    own = {"correlation": "depthwise", "neck": True, "channels": (8,)}
    config = dataclasses.replace(MODELS["siamfc"], **sizes, **own)
    network, variables, template, search = make(config, rng)
    small = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * 1e-5 if path[-1].key == "var" else leaf,
        variables["batch_stats"],
    )
    variables = {**variables, "batch_stats": small}
    folded, folded_variables = fold_batch_norm(config, variables)
    want = quick_jit(network.apply)(variables, template, search)
    got = quick_jit(folded.apply)(folded_variables, template, search)
    assert relative_error(got.cls_logits, want.cls_logits) < 1e-4
    assert relative_error(got.loc, want.loc) < 1e-4


def test_a_folded_network_is_not_trained(rng):
    config = MODELS["mobilenetv2"]
    _, variables, template, search = make(config, rng)
    folded, folded_variables = fold_batch_norm(config, variables)
    with pytest.raises(ValueError, match="folded batch norms cannot run with train=True"):
        folded.apply(folded_variables, template, search, train=True)


@pytest.mark.parametrize("name", ["resnet18", "alexnet up_channel"])
def test_bfloat16_computes_with_float32_parameters(name, rng):
    config = dataclasses.replace(MODELS[name], dtype="bfloat16")
    network, variables, template, search = make(config, rng)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {np.dtype(np.float32)}

    def forward(params):
        return network.apply(
            {**variables, "params": params},
            template,
            search,
            train=True,
            mutable=["batch_stats"],
        )

    def loss(params):
        prediction, stats = forward(params)
        return (prediction.cls_logits**2).mean() + (prediction.loc**2).mean(), stats

    (value, stats), gradient = quick_jit(jax.value_and_grad(loss, has_aux=True))(
        variables["params"]
    )
    assert value.dtype == jnp.float32
    for tree in (stats, gradient):
        assert {x.dtype for x in jax.tree.leaves(tree)} == {np.dtype(np.float32)}
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(tree))
    text = quick_jit(forward).lower(variables["params"]).as_text()
    assert "bf16" in text

    exact = build_network(MODELS[name])
    prediction = quick_jit(network.apply)(variables, template, search)
    assert prediction.cls_logits.dtype == prediction.loc.dtype == jnp.float32
    want = quick_jit(exact.apply)(variables, template, search)
    assert 0 < relative_error(prediction.loc, want.loc) < 0.05


def test_rematerialisation_changes_nothing_but_the_memory(rng):
    config = dataclasses.replace(MODELS["resnet18"], levels=("layer2",), channels=(8,))
    network, variables, template, search = make(config, rng)
    remat = build_network(dataclasses.replace(config, remat=True))

    def gradient(network):
        def loss(params):
            prediction, stats = network.apply(
                {**variables, "params": params},
                template,
                search,
                train=True,
                mutable=["batch_stats"],
            )
            return (prediction.cls_logits**2).mean() + (prediction.loc**2).mean(), stats

        return jax.value_and_grad(loss, has_aux=True)

    want = quick_jit(gradient(network))(variables["params"])
    got = quick_jit(gradient(remat))(variables["params"])
    assert jax.tree.structure(got) == jax.tree.structure(want)
    flat, flat_want = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (got, want)
    )
    assert relative_error(flat, flat_want) < 1e-4
    text = quick_jit(gradient(remat)).lower(variables["params"]).as_text()
    assert "optimization_barrier" in text
