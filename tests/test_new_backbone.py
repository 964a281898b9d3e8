"""CONTRIBUTING.md's promise: a backbone is one file in `siamjax/models` and one line."""

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import DTypeLike

import siamjax
from siamjax.config import (
    AnchorConfig,
    BackboneConfig,
    Config,
    ModelConfig,
    OptimConfig,
    TrackerConfig,
)
from siamjax.config.model import BACKBONES, Backbone
from siamjax.models.build import NetworkError
from siamjax.models.layers import conv_norm
from siamjax.training.phases import phases, rate_scales
from tests.models.variables import randomised


class ToyStage(nn.Module):
    """A strided convolution without overlap, a batch norm, and a ReLU."""

    features: int
    stride: int
    folded: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x, train):
        shared = {"train": train, "folded": self.folded, "dtype": self.dtype}
        return nn.relu(conv_norm(x, self.features, self.stride, stride=self.stride, **shared))


class Toy(nn.Module):
    """Two stages: what the file would hold."""

    width: float = 1.0
    last_stage: str = "deep"
    folded: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x, train=False, frozen=()):
        stages = {}
        for name, features, stride in (("shallow", 8, 4), ("deep", 16, 2)):
            stage = ToyStage(
                int(features * self.width), stride, self.folded, self.dtype, name=name
            )
            stages[name] = x = stage(x, train and name not in frozen)
            if self.last_stage in stages:
                break
        return stages


@pytest.fixture
def toy(monkeypatch):
    """The file, and the line."""
    file = types.ModuleType("siamjax.models.toy")
    file.Toy = Toy
    monkeypatch.setitem(sys.modules, "siamjax.models.toy", file)
    monkeypatch.setitem(BACKBONES, "toy", Backbone("toy.Toy", ("shallow", "deep")))


def config(**backbone):
    return Config(
        name="toy",
        model=ModelConfig(
            backbone=BackboneConfig(name="toy", **backbone),
            levels=("deep",),
            channels=(8,),
            template_size=32,
            search_size=64,
            template_crop=None,
            base_size=0,
            anchors=AnchorConfig(ratios=(1.0,)),
        ),
        tracker=TrackerConfig(search_size=64),
        optim=OptimConfig(
            backbone_train_epoch=0, backbone_train_stages=("deep",), backbone_lr_scale=0.1
        ),
    )


def test_a_new_backbone_tracks_folds_and_is_released(toy, rng, tmp_path):
    model = siamjax.load_model(config(), "random")
    model = siamjax.Model(
        model.network, randomised(model.variables, rng), model.config, model.provenance
    )
    template, search = (rng.uniform(0, 255, (1, n, n, 3)).astype("float32") for n in (32, 64))
    expected = model.network.apply(model.variables, template, search)
    assert expected.cls_logits.shape == (1, 5, 5, 1, 2)  # 4 x 4 cells of 8 x 8, by hand
    model.save(tmp_path / "toy.safetensors")
    released = siamjax.load_model(weights=tmp_path / "toy.safetensors")
    found = released.network.apply(released.variables, template, search)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max())
    frames = rng.integers(0, 255, (3, 80, 100, 3), np.uint8)
    results = list(released.track(frames, (40, 30, 20, 20)))
    assert len(results) == 3 and all(np.isfinite(r.box_xywh).all() for r in results)


def test_its_stages_are_trained_by_name(toy):
    params = siamjax.load_model(config(), "random").variables["params"]
    (phase,) = phases(config())
    scales = rate_scales(params, config(), phase.frozen)["backbone"]
    assert set(jax.tree.leaves(scales["shallow"])) == {0.0}
    assert set(jax.tree.leaves(scales["deep"])) == {0.1}


def test_what_it_lacks_is_refused(toy):
    with pytest.raises(NetworkError, match=r"'toy'.* has neither dilation nor padding"):
        siamjax.load_model(config(dilated=False), "random")
