"""The real pipeline, network and loop together, at the smallest size."""

import signal

import jax
import numpy as np
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
from siamjax.interrupts import Interrupted
from siamjax.training import loop
from siamjax.training.checkpoints import load_variables
from siamjax.training.loop import train

SMALL = Config(
    name="small",
    model=ModelConfig(
        backbone=BackboneConfig(name="resnet18", width=0.125),
        levels=("layer2",),
        channels=(16,),
        template_crop=5,
        template_size=63,
        search_size=111,
        base_size=2,
        anchors=AnchorConfig(scales=(4.0,)),
    ),
    tracker=TrackerConfig(search_size=111),
    data=DataConfig(
        crop_size=175,
        search=AugmentConfig(shift=16, scale=0.1),
        sources=(
            SourceConfig(
                synthetic=SyntheticConfig(sequences=4, frames=6, width=160, height=120)
            ),
        ),
    ),
    optim=OptimConfig(lr=0.03, end_lr=0.03, warmup_epochs=0),
    train=TrainConfig(batch_size=4, epochs=2, pairs_per_epoch=12, log_every=2, seed=1),
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A finished run; its rendered set serves the other tests as well."""
    path = tmp_path_factory.mktemp("small")
    train(SMALL, path)
    return path


def test_a_run_interrupted_and_resumed_equals_one_that_was_not(workdir, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(workdir / "data")

    def stopping(*arguments, **settings):
        batches = make_batches(*arguments, **settings)
        next_batch, count = batches.__next__, iter(range(100))

        class Stopping(type(batches)):
            def __next__(self):
                if next(count) == 3:
                    signal.raise_signal(signal.SIGINT)
                return next_batch()

        batches.__class__ = Stopping
        return batches

    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_batches", stopping)
        with pytest.raises(Interrupted, match="after step 4 of 6"):
            train(SMALL, tmp_path)
    again = jax.device_get(train(SMALL, tmp_path))
    assert again.step == 6
    abstract = jax.eval_shape(lambda: again.variables)
    jax.tree.map(
        np.testing.assert_array_equal, again.variables, load_variables(workdir, abstract)
    )
