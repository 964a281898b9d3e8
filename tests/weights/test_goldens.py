"""The imported networks against PySOT's own outputs, see tests/goldens/README.md."""

import numpy as np
import pytest

from siamjax.models.build import build_network
from siamjax.weights.convert import convert
from tests.models.networks import quick_jit
from tests.weights.published import CONFIGS, published

CASES = {
    "siamrpn_alex_dwxcorr": ("siamrpnpp_alexnet", 287, None),
    "siamrpn_r50_l234_dwxcorr": ("siamrpnpp_r50", 255, 7),
}


def images(search_size):
    rng = np.random.Generator(np.random.PCG64(7))
    for size in (127, search_size):
        image = rng.integers(0, 256, (1, 3, size, size)).astype(np.float32)
        yield image.transpose(0, 2, 3, 1)


def assert_close(ours, reference, what):
    """`ours` is NHWC, the reference NCHW."""
    ours = np.asarray(ours).transpose(0, 3, 1, 2)
    assert ours.shape == reference.shape, what
    error = np.linalg.norm(ours - reference) / np.linalg.norm(reference)
    assert error < 1e-4, f"{what}: {error:.2e}"


@pytest.mark.parametrize("name", CASES)
def test_the_imported_network_gives_the_reference_outputs(name, goldens):
    config_name, search_size, crop = CASES[name]
    config, golden = CONFIGS[config_name], np.load(goldens / f"{name}.npz")
    variables, _ = convert(published(name), config)
    network = build_network(config.model)
    template, search = images(search_size)

    @quick_jit
    def run(variables, template, search):
        def features(network, image):
            return network.backbone(image), network.extract(image)

        template_features = network.apply(variables, template, method=features)
        search_features = network.apply(variables, search, method=features)
        encoded = network.apply(variables, template, method=network.encode_template)
        prediction = network.apply(variables, encoded, search, method=network.predict)
        return template_features[1], search_features[0], prediction

    adjusted, stages, prediction = run(variables, template, search)
    for i, level in enumerate(config.model.levels):
        feature = adjusted[level]
        if crop is not None:
            start = (feature.shape[1] - crop) // 2
            feature = feature[:, start : start + crop, start : start + crop]
        assert_close(feature, golden[f"template_feature_{i}"], f"template feature {level}")
        reference = golden[f"search_backbone_{i}_every16th_channel"]
        assert_close(stages[level][..., ::16], reference, f"backbone feature {level}")
    for ours, key in ((prediction.cls_logits, "cls"), (prediction.loc, "loc")):
        # Their channels: the class or coordinate first, then the anchor.
        flat = np.swapaxes(ours, -1, -2).reshape(*ours.shape[:3], -1)
        assert_close(flat, golden[key], key)
