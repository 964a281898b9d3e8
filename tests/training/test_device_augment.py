"""Augmentation on the device: the batch that the host would have made, to rounding."""

import dataclasses

import jax
import numpy as np
import pytest

from siamjax.config import AugmentConfig, SourceConfig, SyntheticConfig
from siamjax.data.pipeline import make_batches
from siamjax.data.schema import drawn_shapes
from siamjax.training import parallel
from siamjax.training.device_augment import make_finish
from tests.data.conftest import config as data_config

RENDERED = SyntheticConfig(sequences=3, frames=6, frame_step=2, width=128, height=96)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config():
    tiny = data_config.__wrapped__()
    data = dataclasses.replace(
        tiny.data,
        sources=(SourceConfig(synthetic=RENDERED, frame_range=4),),
        template=AugmentConfig(shift=2, scale=0.05, blur=0.5, flip=0.5),
        search=AugmentConfig(shift=32, scale=0.18, blur=0.5, flip=0.5, color=0.7),
        anchor_choice="ranked",
    )
    return dataclasses.replace(tiny, data=data)


def on_device(config):
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, finish_on="device")
    )


def compare(config, cache, steps=8):
    finish = jax.jit(make_finish(config))
    kinds = set()
    with (
        make_batches(config, cache_dir=cache) as host,
        make_batches(on_device(config), cache_dir=cache) as device,
    ):
        for _ in range(steps):
            expected, drawn = next(host), next(device)
            np.testing.assert_array_equal(drawn.records, expected.records)
            batch = finish(drawn._replace(records=None))
            for name in ("template", "search"):
                away = np.abs(np.asarray(getattr(batch, name)) - getattr(expected, name))
                assert away.max() < 0.05  # of 255 grey levels
            np.testing.assert_array_equal(batch.label_cls, expected.label_cls)
            np.testing.assert_allclose(batch.label_loc, expected.label_loc, atol=1e-5)
            np.testing.assert_allclose(batch.label_loc_weight, expected.label_loc_weight)
            np.testing.assert_array_equal(batch.box_xyxy, expected.box_xyxy)
            sizes = drawn.blur_size.ravel() > 1
            kinds |= set(zip(sizes.tolist(), drawn.flip.ravel().tolist(), strict=True))
            kinds |= set(expected.is_negative_pair.tolist())
    return kinds


def test_same_batch_on_host_and_device(config, cache):
    """Blurred or not, flipped or not, positive and negative: all were there."""
    assert len(compare(config, cache)) == 6


def test_same_responses_on_host_and_device(config, cache):
    """SiamFC's labels, which need no anchors."""
    model = dataclasses.replace(
        config.model, anchors=dataclasses.replace(config.model.anchors, ratios=(1.0,))
    )
    data = dataclasses.replace(config.data, labels="response")
    compare(dataclasses.replace(config, model=model, data=data), cache, steps=2)


def test_shapes_are_those_of_the_schema(config, cache):
    """What the step is compiled for is what the pipeline gives."""
    model, settings = config.model, on_device(config)
    shapes = drawn_shapes(
        config.train.batch_size,
        model.template_size,
        model.search_size,
        model.score_size,
        model.anchors.count,
    )
    with make_batches(settings, cache_dir=cache) as batches:
        batch = next(batches)
    for array, (shape, dtype) in zip(batch, shapes, strict=True):
        assert (array.shape, array.dtype) == (shape, dtype)
    mesh = parallel.make_mesh(jax.devices()[:1])
    abstract = parallel.abstract_batch(settings, mesh)
    placed = parallel.put_batch(batch, mesh)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), abstract) == jax.tree.map(
        lambda a: (a.shape, a.dtype), placed
    )
