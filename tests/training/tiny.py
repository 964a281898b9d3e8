"""A configuration, a network and batches so small that a training step takes milliseconds."""

import dataclasses

import flax.linen as nn
import numpy as np

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    SourceConfig,
    TrackerConfig,
    TrainConfig,
)
from siamjax.data.schema import Batch
from siamjax.models.layers import batch_axis
from siamjax.models.siamese import Prediction
from siamjax.models.xcorr import xcorr_depthwise

# 16 and 48 pixels: 2 and 6 cells of features, 5 cells of score map, 2 anchors at each.
CONFIG = Config(
    name="tiny",
    model=ModelConfig(
        template_size=16,
        search_size=48,
        base_size=0,
        anchors=AnchorConfig(ratios=(0.5, 2.0)),
    ),
    tracker=TrackerConfig(search_size=48),
    data=DataConfig(
        crop_size=48,
        search=AugmentConfig(shift=8, scale=0.1),
        sources=(SourceConfig(path="made by hand"),),
    ),
    optim=OptimConfig(lr=0.02, end_lr=0.01, warmup_lr=0.005, warmup_epochs=1),
    train=TrainConfig(
        batch_size=4, epochs=3, pairs_per_epoch=16, log_every=2, checkpoint_every=5, seed=7
    ),
)


def with_train(**values) -> Config:
    """`CONFIG` with some fields of `train` replaced."""
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, **values))


class TinyNet(nn.Module):
    """Convolution, batch norm, depthwise correlation, 1x1 convolutions."""

    @nn.compact
    def __call__(self, template, search, *, train=False, frozen=()):
        conv = nn.Conv(8, (8, 8), 8, padding="VALID", use_bias=False, name="conv")
        norm = nn.BatchNorm(
            not train, momentum=0.9, epsilon=1e-5, axis_name=batch_axis(), name="bn"
        )
        kernel = nn.relu(norm(conv(template / 64)))
        # "conv" folds the batch into channels, which a sharded batch has to survive
        maps = xcorr_depthwise(nn.relu(norm(conv(search / 64))), kernel, implementation="conv")
        cls = nn.Conv(4, (1, 1), name="cls")(maps)
        loc = nn.Conv(8, (1, 1), name="loc")(maps)
        shape = maps.shape[:3]
        return Prediction(cls.reshape(*shape, 2, 2), loc.reshape(*shape, 2, 4))


def init_tiny(network, key, config):
    """As `models.build.init_variables`."""
    template, search = (np.zeros((1, side, side, 3), np.float32) for side in (16, 48))
    return network.init(key, template, search)


def make_batch(seed: int, config: Config = CONFIG) -> Batch:
    """A batch of noise with random targets; the same for the same seed."""
    rng = np.random.default_rng(seed)
    model, b = config.model, config.train.batch_size
    cells = (b, model.score_size, model.score_size, model.anchors.count)
    label_cls = rng.choice([-1, 0, 1], cells, p=[0.5, 0.4, 0.1]).astype(np.int32)
    positive = (label_cls == 1).astype(np.float32)
    per_pair = np.maximum(positive.sum((1, 2, 3), keepdims=True), 1)

    def image(side):
        return rng.integers(0, 256, (b, side, side, 3)).astype(np.float32)

    return Batch(
        template=image(model.template_size),
        search=image(model.search_size),
        label_cls=label_cls,
        label_loc=rng.normal(size=(*cells, 4)).astype(np.float32),
        label_loc_weight=(positive / per_pair).astype(np.float32),
        box_xyxy=np.zeros((b, 4), np.float32),
        is_negative_pair=np.zeros(b, bool),
        records=rng.integers(0, 2**40, (b, 2)),
    )


class Batches:
    """As `data.pipeline.make_batches`: endless, from any step, the same every time."""

    def __init__(
        self, config, *, cache_dir=None, start_step=0, num_workers=None, host=0, hosts=1
    ):
        self.config, self.step, self.closed = config, start_step, False
        rows = config.train.batch_size // hosts
        self.rows = slice(host * rows, (host + 1) * rows)
        self.unreadable = set()

    def __iter__(self):
        return self

    def __next__(self):
        self.step += 1
        batch = make_batch(self.step - 1, self.config)
        return Batch(*(array[self.rows] for array in batch))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True


# The backbone waits for an epoch; then its second stage is trained, slowly.
STAGED = dataclasses.replace(
    CONFIG,
    model=dataclasses.replace(
        CONFIG.model,
        backbone=BackboneConfig(name="alexnet"),
        levels=("layer2",),
        channels=(8,),
    ),
    optim=OptimConfig(
        lr=0.02,
        end_lr=0.01,
        warmup_lr=0.005,
        warmup_epochs=1,
        clip_norm=1.0,
        weight_decay=0.01,
        summed_batch=2,
        backbone_train_epoch=1,
        backbone_train_stages=("layer2",),
        backbone_lr_scale=0.1,
    ),
)


class Stage(nn.Module):
    """Convolution and batch norm."""

    size: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(
            8, (self.size,) * 2, self.size, padding="VALID", use_bias=False, name="conv"
        )(x)
        return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, name="bn")(x)


class Backbone(nn.Module):
    """Two stages that can be frozen."""

    @nn.compact
    def __call__(self, x, train, frozen):
        x = nn.relu(Stage(8, name="layer1")(x / 64, train and "layer1" not in frozen))
        return Stage(1, name="layer2")(x, train and "layer2" not in frozen)


class StagedNet(nn.Module):
    """A backbone of two stages, a neck that is a batch norm, heads that are convolutions."""

    @nn.compact
    def __call__(self, template, search, *, train=False, frozen=()):
        backbone = Backbone(name="backbone")
        batch = train and "neck" not in frozen
        neck = nn.BatchNorm(not batch, momentum=0.9, epsilon=1e-5, name="neck")
        kernel = nn.relu(neck(backbone(template, train, frozen)))
        maps = xcorr_depthwise(nn.relu(neck(backbone(search, train, frozen))), kernel)
        cls = nn.Conv(4, (1, 1), name="cls")(maps)
        loc = nn.Conv(8, (1, 1), name="loc")(maps)
        shape = maps.shape[:3]
        return Prediction(cls.reshape(*shape, 2, 2), loc.reshape(*shape, 2, 4))
