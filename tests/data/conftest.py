"""A small rendered set, prepared once for all tests of this room; a disk that is full."""

import os
import subprocess
import sys

import pytest

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    DataConfig,
    ModelConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
)
from siamjax.data.formats.synthetic import prepare_synthetic
from tests.conftest import ROOT

TINY = SyntheticConfig(sequences=4, frames=12, frame_step=2, width=128, height=96)


@pytest.fixture(scope="session")
def config() -> Config:
    """A configuration in miniature: 24 records, batches of 4 pairs."""
    return Config(
        name="tiny",
        model=ModelConfig(
            backbone=BackboneConfig(name="resnet18", width=0.25),
            channels=(32, 32, 32),
            template_crop=5,
            anchors=AnchorConfig(scales=(4.0,)),
            template_size=63,
            search_size=143,
            base_size=2,
        ),
        tracker=TrackerConfig(search_size=143),
        data=DataConfig(
            sources=(SourceConfig(synthetic=TINY, frame_range=4),),
            crop_size=255,
            template=AugmentConfig(shift=2, scale=0.05),
            search=AugmentConfig(shift=32, scale=0.18, blur=0.3, flip=0.3),
            negative_prob=0.3,
            gray_prob=0.3,
        ),
        train=TrainConfig(batch_size=4, pairs_per_epoch=16, seed=5),
    )


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory, config):
    """Where the small set is prepared."""
    folder = tmp_path_factory.mktemp("cache")
    prepare_synthetic(TINY, config.data.crop_size, config.model.template_size, folder)
    return folder


@pytest.fixture(scope="session")
def prepared(cache_dir):
    """The folder of the small prepared set; not to be changed, copy it first."""
    (folder,) = cache_dir.iterdir()
    return folder


@pytest.fixture
def run_on_full_disk():
    """Runs a program of the given lines, whose files cannot grow; returns what it complains."""
    pytest.importorskip("resource")

    def run(limit: int, *lines: str) -> str:
        limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
        program = "\n".join([limits.format(limit), *lines])
        done = subprocess.run(
            [sys.executable, "-c", program],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 1
        return done.stderr

    return run
