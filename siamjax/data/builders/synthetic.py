"""Rendered sequences as a prepared set: a TFDS builder that needs no TensorFlow."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from siamjax.config import SyntheticConfig
from siamjax.data import synthetic
from siamjax.data.crops import crop_target, encode_jpeg
from siamjax.data.rendering.scene import Sequence
from siamjax.data.schema import Record
from siamjax.data.sources import INDEX_FILE, SPLIT, Index, write_index

FEATURES = {
    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
    "box_xyxy": tfds.features.Tensor(shape=(4,), dtype=np.float32),
    "video": np.int64,
    "track": np.int64,
    "frame": np.int64,
    "category": np.int64,
}


class SyntheticCrops(tfds.core.GeneratorBasedBuilder):
    """Crops around the targets of rendered sequences, in order of sequence and frame."""

    VERSION = tfds.core.Version("1.0.0")
    # Nothing is downloaded, so there is no list of checksums beside this file to look for;
    # looking for it takes a package that TFDS does not declare.
    code_path = None

    def __init__(
        self, *, config: SyntheticConfig, crop_size: int, template_size: int, data_dir: Path
    ):
        """Prepares into `data_dir`; see `crops.crop_target` for the two sizes."""
        self._config, self._sizes = config, (crop_size, template_size)
        self.rows: list[tuple] = []  # of the index, filled while records are generated
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self._config}, crops of {self._sizes[0]} pixels",
            features=tfds.features.FeaturesDict(FEATURES),
            disable_shuffling=True,  # the index relies on the order
        )

    def _split_generators(self, dl_manager):
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self):
        config = self._config
        count = config.sequences * len(synthetic.kept_frames(config))
        records = render_records(config, *self._sizes)
        bar = tqdm(records, "rendering", total=count, unit="crop", mininterval=0.5)
        for number, record in enumerate(bar):
            box = record["box_xyxy"]
            self.rows.append(
                (
                    record["video"],
                    record["track"],
                    record["frame"],
                    record["category"],
                    box[2:] - box[:2],
                )
            )
            yield number, {**record, "image": io.BytesIO(record["image"])}


def render_records(
    config: SyntheticConfig, crop_size: int, template_size: int
) -> Iterator[Record]:
    """Every record of a rendered set, in order."""
    for video in range(config.sequences):
        sequence = Sequence(config, video)
        for frame in synthetic.kept_frames(config):
            picture, box_xywh = sequence.render(frame)
            crop, box_xyxy = crop_target(picture, box_xywh, crop_size, template_size)
            yield Record(
                image=encode_jpeg(crop),
                box_xyxy=box_xyxy,
                video=video,
                track=0,
                frame=frame,
                category=-1,
            )


def prepare_synthetic(
    config: SyntheticConfig, crop_size: int, template_size: int, cache_dir: Path
) -> Path:
    """Renders a set once; returns its folder under `cache_dir`.

    The folder is named after everything that decides its content, and appears only when it
    is complete: what an interrupted run left is removed and done again. Raises OSError when
    the disk is full.
    """
    decides = [dataclasses.asdict(config), crop_size, template_size, synthetic.RENDERER]
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]
    folder = Path(cache_dir).resolve() / f"synthetic-{config.split}-{digest}"
    if (folder / INDEX_FILE).is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".rendering-") as scratch:
        builder = SyntheticCrops(
            config=config,
            crop_size=crop_size,
            template_size=template_size,
            data_dir=Path(scratch),
        )
        try:
            with _quiet():
                builder.download_and_prepare()
        except RuntimeError as error:  # how the record writer says that a disk is full
            raise OSError(f"a rendered set cannot be written to {folder}: {error}") from error
        columns = [np.array(column) for column in zip(*builder.rows, strict=True)]
        done = Path(builder.data_dir)
        write_index(done, Index(*columns))
        _publish(done, folder)
    return folder


def _publish(done, folder):
    try:
        os.replace(done, folder)
    except OSError:
        # another process that renders the same set was faster
        if not (folder / INDEX_FILE).is_file():
            raise


@contextlib.contextmanager
def _quiet():
    """Keeps TFDS's own bars and messages away; ours says what happens."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield
