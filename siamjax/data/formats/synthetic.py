"""Rendered sequences as a prepared set."""

import functools
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from siamjax.config import SyntheticConfig
from siamjax.data import synthetic
from siamjax.data.crops import crop_target
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.writer import Shard, StoredImage, finish, write_parts
from siamjax.data.jpeg import encode_tiled
from siamjax.data.rendering import photographs
from siamjax.data.rendering.scene import Sequence
from siamjax.data.schema import Record
from siamjax.data.sources import INDEX_FILE
from siamjax.files import scratch_folder

_FORMAT = 3  # increase it when the same images are stored as other bytes


def render_records(
    config: SyntheticConfig, crop_size: int, template_size: int
) -> Iterator[Record]:
    """Every record of a rendered set, in order."""
    for video in range(config.sequences):
        sequence = Sequence(config, video)
        for frame in synthetic.kept_frames(config):
            image, box_xywh = sequence.render(frame)
            crop, box_xyxy = crop_target(image, box_xywh, crop_size, template_size)
            yield Record(
                image=encode_tiled(crop),
                box_xyxy=box_xyxy,
                video=video,
                track=0,
                frame=frame,
                category=sequence.category,
            )


def prepare_synthetic(
    config: SyntheticConfig, crop_size: int, template_size: int, cache_dir: Path
) -> Path:
    """Renders a set once; returns its folder under `cache_dir`.

    The folder is named after a digest of everything that determines its content, and appears
    when it is complete; an interrupted run starts again. Raises OSError when
    the disk is full, and `InputError` for photographs that cannot be used.
    """
    described = synthetic.describe(config)
    renderer = described.pop("renderer")
    decides = [described, crop_size, template_size, renderer, _FORMAT]
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]
    folder = Path(cache_dir).resolve() / f"synthetic-{config.split}-{digest}"
    if (folder / INDEX_FILE).is_file():
        return folder
    if config.sprites or config.backgrounds:
        photographs.check_folders(config.sprites, config.backgrounds, config.split)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent) as scratch:
        count = config.sequences * len(synthetic.kept_frames(config))
        with tqdm(total=count, desc="rendering", unit="crop", mininterval=0.5) as bar:
            images = functools.partial(_images, config, crop_size, template_size, bar)
            shards = [Shard("part-000000", images, 0)]
            write_parts(shards, scratch, jobs=1, progress=bar.update)
        description = {
            "layout": "synthetic",
            "keep": "crops",
            "crop_size": crop_size,
            "template_size": template_size,
            "synthetic": described,
        }
        try:
            finish(shards, scratch, description, folder)
        except OSError:
            # another process finished the same set first
            if not (folder / INDEX_FILE).is_file():
                raise
    return folder


def _images(config, crop_size, template_size, bar, drops: Drops) -> Iterator[StoredImage]:
    for record in render_records(config, crop_size, template_size):
        yield StoredImage(record["image"], [record])
        bar.update()
