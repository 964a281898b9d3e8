"""Writes what is in this folder, with the code of commit 1aed102 (see README.md)."""

import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import siamjax
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
from siamjax.data.sources import RecordSource
from siamjax.images import decode_image
from siamjax.studies.cells import prepare_workdir
from siamjax.studies.study import Study, Variant, changed
from siamjax.tracking.exported import write_export
from siamjax.training.loop import train
from siamjax.weights.release import write_release

HERE = Path(__file__).parent
PARTS = ("run", "prepared", "export", "study", "release.safetensors")
BOX = (50.0, 40.0, 30.0, 24.0)
CONFIG = Config(
    name="before",
    model=ModelConfig(
        backbone=BackboneConfig(name="resnet18", width=0.0625),
        levels=("layer2",),
        channels=(8,),
        template_crop=5,
        template_size=63,
        search_size=111,
        base_size=2,
        score_size=9,
        anchors=AnchorConfig(scales=(4.0,)),
    ),
    tracker=TrackerConfig(search_size=111),
    data=DataConfig(
        crop_size=127,
        search=AugmentConfig(shift=8, scale=0.1),
        sources=(
            SourceConfig(
                synthetic=SyntheticConfig(sequences=2, frames=3, width=128, height=96)
            ),
        ),
    ),
    optim=OptimConfig(lr=0.03, end_lr=0.03, warmup_epochs=0),
    train=TrainConfig(batch_size=2, epochs=2, pairs_per_epoch=4, log_every=1, seed=1),
)


def frames():
    """Four frames, 128 x 96, of a texture that moves: [4, 96, 128, 3] uint8."""
    texture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    return np.stack([np.roll(texture, (2 * t, 3 * t), (0, 1)) for t in range(4)])


def track(config, weights):
    """x, y, w, h and score in each frame but the first."""
    tracker = siamjax.load_tracker(config, weights)
    tracker.init(frames()[0], BOX)
    rows = []
    for frame in frames()[1:]:
        tracker.update(frame)
        rows.append([*np.ravel(tracker.box_xywh), float(tracker.score)])
    return np.array(rows)


def main():
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "run"
        train(CONFIG, workdir)
        (prepared,) = (index.parent for index in (workdir / "data").glob("**/index.npz"))
        shutil.copytree(prepared, HERE / "prepared")
        shutil.copytree(workdir, HERE / "run", ignore=shutil.ignore_patterns("data", "best*"))
    expected["run"] = track(HERE / "run" / "config.json", HERE / "run")
    model = siamjax.load_model(CONFIG, HERE / "run")
    template = model.encode_template(frames()[:1, 16:79, 32:95])
    search = np.pad(frames()[1:2], ((0, 0), (8, 7), (0, 0), (0, 0)))[:, :111, 8:119]
    prediction = model.predict(template, search)
    expected["cls_logits"] = np.asarray(prediction.cls_logits)
    expected["loc"] = np.asarray(prediction.loc)

    source = RecordSource(HERE / "prepared")
    records = [source.read(number) for number in range(len(source))]
    expected["boxes_xyxy"] = np.array([record["box_xyxy"] for record in records])
    images = [decode_image(record["image"]).astype(np.float64) for record in records]
    expected["image_means"] = np.array([image.mean((0, 1)) for image in images])

    folded = model.folded()
    provenance = {"pairs": 8, "sources": [{"name": "rendered", "terms": "CC0"}]}
    write_release(HERE / "release.safetensors", CONFIG, folded.variables, provenance)
    expected["release"] = track(None, HERE / "release.safetensors")
    write_export(
        HERE / "export",
        folded.network,
        folded.variables,
        CONFIG,
        width=128,
        height=96,
        platforms=("cpu",),
    )
    variants = (
        Variant(name="before", config=CONFIG),
        Variant(name="faster", config=changed(CONFIG, {"optim.lr": 0.05})),
    )
    study = Study(name="study", question="Is it read?", base="before", variants=variants)
    prepare_workdir(study, HERE / "study")
    np.savez_compressed(HERE / "expected.npz", **expected)
    with tarfile.open(HERE / "files.tar.xz", "w:xz") as archive:
        for part in PARTS:
            archive.add(HERE / part, part)


if __name__ == "__main__":
    main()
