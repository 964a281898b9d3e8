"""Every head and correlation overfits eight fixed pairs."""

import dataclasses
import functools

import jax
import pytest

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
)
from siamjax.data.pipeline import make_batches
from siamjax.models.build import build_network, init_variables
from siamjax.training import parallel
from siamjax.training.optimizer import build_optimizer
from siamjax.training.state import create_state
from siamjax.training.step import make_step

SHALLOW = ModelConfig(
    backbone=BackboneConfig(name="alexnet", width=0.125),
    levels=("layer5",),
    channels=(16,),
    neck=False,
    template_crop=None,
    correlation="up_channel",
    template_size=103,
    search_size=151,
    base_size=0,
    anchors=AnchorConfig(scales=(6.0,)),
)
DEEP = ModelConfig(
    backbone=BackboneConfig(name="resnet18", width=0.125),
    levels=("layer2", "layer3"),
    channels=(16, 16),
    template_crop=5,
    template_size=63,
    search_size=111,
    base_size=2,
    anchors=AnchorConfig(scales=(4.0,)),
)
SIAMFC = dataclasses.replace(
    SHALLOW,
    backbone=BackboneConfig(name="siamfc_alexnet", width=0.125),
    levels=("conv5",),
    correlation="plain",
    anchors=AnchorConfig(ratios=(1.0,)),
)
# The model, the first learning rate, and the steps that it takes.
CASES = {
    "depthwise": (DEEP, 0.1, 200),
    "up-channel": (SHALLOW, 0.02, 100),
    "plain": (SIAMFC, 0.5, 100),
}


def config_of(model, rate, steps):
    return Config(
        name="overfit",
        model=model,
        tracker=TrackerConfig(search_size=model.search_size),
        data=DataConfig(
            crop_size=239,
            labels="response" if model.correlation == "plain" else "anchors",
            search=AugmentConfig(shift=16, scale=0.1),
            negative_prob=0.0,
            sources=(
                SourceConfig(
                    synthetic=SyntheticConfig(sequences=8, frames=3, width=160, height=120)
                ),
            ),
        ),
        optim=OptimConfig(lr=rate, end_lr=rate / 4, warmup_epochs=0, weight_decay=0.0),
        # An epoch a step, so that the rate falls; but only the first batch is used.
        train=TrainConfig(batch_size=8, epochs=steps, pairs_per_epoch=8, seed=1),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_eight_fixed_pairs_are_learned(tmp_path, name):
    model, rate, steps = CASES[name]
    config = config_of(model, rate, steps)
    with make_batches(config, cache_dir=tmp_path) as batches:
        batch = next(batches)
    assert (batch.label_cls == 1).any((1, 2, 3)).all()
    mesh = parallel.make_mesh(jax.devices()[:1])
    network = build_network(model)
    init = functools.partial(init_variables, network, config=model)
    create = functools.partial(create_state, init, build_optimizer(config), 0)
    state = parallel.create_on(mesh, create)
    batch = parallel.put_batch(batch, mesh)
    step = parallel.jit_step(make_step(config, network), mesh).lower(state, batch)
    # So many steps take longer than to optimise one (see tests/conftest.py).
    step = step.compile(compiler_options={"xla_backend_optimization_level": 3})
    losses = []
    for _ in range(steps):
        state, metrics = step(state, batch)
        losses.append(metrics["loss"])
    first, last = float(losses[0]), float(losses[-1])
    assert last < first / 25, (first, last)
