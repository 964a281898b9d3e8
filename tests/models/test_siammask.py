"""SiamMask's network: the features its masks are computed from.

The mask branch and its refinement are held to PyTorch in tests/weights/test_against_torch.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from siamjax.models.refine import enlarge, patches
from tests.models.networks import MODELS, make, quick_jit


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(7)
    return make(MODELS["siammask"], rng)


def test_a_prediction_carries_the_stages_and_the_mask_branchs_correlation(small):
    network, variables, template, search = small

    @quick_jit
    def run(variables):
        features = network.apply(variables, template, method=network.encode_template)
        mask = network.apply(variables, features, search, method=network.predict).mask

        def by_hand(network):
            stages = network.backbone(search)
            z = network.backbone(template)["layer3"]
            z = network.neck({"layer3": z}, False)["layer3"][:, 1:-1, 1:-1]
            x = network.neck({"layer3": stages["layer3"]}, False)["layer3"]
            kernel = network.mask_head.kernel(z, False)
            x = network.mask_head.search(x, False)
            return kernel, x, [stages[name] for name in ("stem", "layer1", "layer2")]

        return mask, network.apply(variables, method=by_hand)

    mask, (kernel, x, stages) = run(variables)
    for ours, stage in zip(mask.stages, stages, strict=True):
        np.testing.assert_array_equal(ours, stage)
    side = kernel.shape[1]
    for row, column in ((0, 0), (6, 2), (3, 5)):
        window = x[:, row : row + side, column : column + side]
        np.testing.assert_allclose(
            mask.correlation[:, row, column], (window * kernel).sum((1, 2)), rtol=1e-4
        )


def test_patches_are_cut_from_a_map_with_zeros_around_it(rng):
    x = rng.standard_normal((2, 9, 8, 3)).astype(np.float32)
    padded = np.zeros((2, 13, 12, 3), np.float32)
    padded[:, 2:-2, 2:-2] = x
    start = np.int32([[0, 3], [8, 7]])
    ours = patches(jnp.asarray(x), jnp.asarray(start), side=5, margin=2)
    for b, (row, column) in enumerate(start):
        np.testing.assert_array_equal(ours[b], padded[b, row : row + 5, column : column + 5])


@pytest.mark.parametrize(("side", "grown"), [(15, 31), (31, 61), (61, 127), (7, 15), (29, 63)])
def test_enlarging_is_pytorchs_nearest(side, grown, against):
    x = np.arange(side * side, dtype=np.float32).reshape(1, side, side, 1)

    def theirs():
        import torch

        image = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        size = (grown, grown)
        return torch.nn.functional.interpolate(image, size=size, mode="nearest")[:, 0].numpy()

    for ours, reference in against("torch", enlarge(jnp.asarray(x), grown)[..., 0], theirs):
        np.testing.assert_array_equal(ours, reference)


def test_joint_training_leaves_masks_out(small):
    network, variables, template, search = small
    shapes = jax.eval_shape(
        lambda v: network.apply(v, template, search, train=True, mutable=["batch_stats"]),
        variables,
    )
    assert jax.tree.structure(shapes[1]["batch_stats"]) == jax.tree.structure(
        variables["batch_stats"]
    )


def test_the_public_model_computes_masks_of_chosen_cells(small):
    from siamjax.api import Model
    from siamjax.config import Config

    network, variables, template, search = small
    model = Model(network, variables, Config(name="small", model=MODELS["siammask"]))
    prediction = model.predict(model.encode_template(template), search)
    cell = [(0, 6), (3, 3), (6, 1)]
    masks = model.predict_mask(prediction, cell)
    assert masks.shape == (3, 63, 63) and np.isfinite(masks).all()
    # Each image has a cell of its own: the same cells one by one.
    for i in range(3):
        alone = model.predict_mask(prediction, [cell[i]] * 3)
        np.testing.assert_allclose(masks[i], alone[i], rtol=1e-4, atol=1e-5)
    for wrong in ([(0, 7), (0, 0), (0, 0)], [(0, 0)], [(-1, 0)] * 3, [(0.5, 0)] * 3):
        with pytest.raises(ValueError, match="a row and a column, whole numbers, in the 7 x 7"):
            model.predict_mask(prediction, wrong)
    with pytest.raises(ValueError, match="`small` has no masks; use a configuration with"):
        model.predict_mask(prediction._replace(mask=None), cell)
