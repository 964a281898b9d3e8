"""The input pipeline: pairs are drawn, read, disturbed and labelled, and come as batches.

The only file that spells grain. The batch of a step is a function of the configuration's
seed and the step alone: every element draws from a generator seeded by its own number, and
elements are grouped into batches before workers share them out.
"""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import grain
import numpy as np

from siamjax.config import Config, ConfigError, SourceConfig
from siamjax.data import augment, sampling, targets
from siamjax.data.builders.synthetic import prepare_synthetic
from siamjax.data.crops import decode_jpeg
from siamjax.data.schema import Batch
from siamjax.data.sources import RecordSource, SourceError
from siamjax.geometry.anchors import anchor_grid, anchor_sizes

_ATTEMPTS = 100  # pairs drawn before a set with unreadable records is given up
_BUFFERED = 4  # batches read ahead

logger = logging.getLogger(__name__)


class Example(NamedTuple):
    """One pair, and the records that were drawn for it but could not be read."""

    template: np.ndarray  # [t, t, 3] float32
    search: np.ndarray  # [s, s, 3] float32
    targets: targets.Targets
    box_xyxy: np.ndarray  # [4] float32
    is_negative_pair: bool
    records: tuple[int, int]
    unreadable: tuple[tuple[int, int], ...]  # source and record


class PairMaker:
    """Turns a place in the epoch (source, video) into an `Example`."""

    def __init__(self, sources: Sequence[RecordSource], config: Config):
        self._sources = list(sources)
        self._indices = [source.track_index() for source in sources]
        self._data, self._model = config.data, config.model
        self._first_record = np.cumsum([0, *(len(source) for source in sources)])
        anchors = config.model.anchors
        self._anchors = anchor_grid(
            anchor_sizes(anchors.stride, anchors.ratios, anchors.scales),
            anchors.stride,
            config.model.score_size,
            center=config.model.search_size // 2,
        )
        self._rules = targets.Rules(
            **{name: getattr(config.data, name) for name in targets.Rules._fields}
        )

    def __call__(self, place: tuple[int, int], rng: np.random.Generator) -> Example:
        """Draws until both records can be read; raises `SourceError` when none can."""
        unreadable = []
        for _ in range(_ATTEMPTS):
            pair = sampling.draw_pair(
                rng,
                self._indices,
                *place,
                frame_range=self._data.sources[place[0]].frame_range,
                negative_prob=self._data.negative_prob,
            )
            try:
                template = self._read(pair.template)
                search = self._read(pair.search)
            except _Unreadable as error:
                unreadable.append(error.where)
                continue
            return self._finish(rng, pair, template, search, tuple(unreadable))
        source = self._sources[place[0]]
        raise SourceError(
            f"the prepared set {str(source.path)!r}: {_ATTEMPTS} pairs in a row cannot be "
            "read; remove the folder and prepare it again"
        )

    def _read(self, where):
        source, record = where
        try:
            content = self._sources[source].read(record)
            return decode_jpeg(content["image"]), content["box_xyxy"]
        except ValueError as error:
            raise _Unreadable(where) from error

    def _finish(self, rng, pair, template, search, unreadable):
        data, model = self._data, self._model
        template_params = augment.draw_augmentation(rng, data.template)
        search_params = augment.draw_augmentation(rng, data.search)
        if rng.random() < data.gray_prob:
            template = (augment.to_gray(template[0]), template[1])
            search = (augment.to_gray(search[0]), search[1])
        template_image, _ = augment.apply_augmentation(
            *template, template_params, model.template_size
        )
        search_image, box = augment.apply_augmentation(
            *search, search_params, model.search_size
        )
        if pair.is_negative:
            labels = targets.assign_negative_targets(
                rng,
                box,
                self._anchors,
                self._rules,
                search_size=model.search_size,
                stride=model.anchors.stride,
            )
        else:
            labels = targets.assign_targets(rng, box, self._anchors, self._rules)
        return Example(
            template=template_image,
            search=search_image,
            targets=labels,
            box_xyxy=box,
            is_negative_pair=pair.is_negative,
            records=tuple(
                int(self._first_record[s]) + r for s, r in (pair.template, pair.search)
            ),
            unreadable=unreadable,
        )


class _Unreadable(Exception):
    def __init__(self, where):
        self.where = where


def stack(examples: Sequence[Example]) -> tuple[Batch, np.ndarray]:
    """A batch, and the `[n, 2]` (source, record) that could not be read on the way to it."""
    batch = Batch(
        template=np.stack([e.template for e in examples]),
        search=np.stack([e.search for e in examples]),
        label_cls=np.stack([e.targets.label_cls for e in examples]),
        label_loc=np.stack([e.targets.label_loc for e in examples]),
        label_loc_weight=np.stack([e.targets.label_loc_weight for e in examples]),
        box_xyxy=np.stack([e.box_xyxy for e in examples]),
        is_negative_pair=np.array([e.is_negative_pair for e in examples]),
        records=np.array([e.records for e in examples], np.int64),
    )
    unreadable = [where for e in examples for where in e.unreadable]
    return batch, np.array(unreadable, np.int64).reshape(-1, 2)


class Batches:
    """An endless iterator of `Batch`es; close it, or use it in a `with` statement.

    `unreadable` holds the (folder, record) of every record that had to be skipped so far.
    """

    def __init__(self, iterator, sources: Sequence[RecordSource]):
        self._iterator = iterator
        self._sources = sources
        self.unreadable: set[tuple[str, int]] = set()

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Batch:
        batch, unreadable = next(self._iterator)
        for source, record in unreadable.tolist():
            where = (str(self._sources[source].path), record)
            if where not in self.unreadable:
                self.unreadable.add(where)
                logger.warning("record %d of %s cannot be read and is skipped", *where[::-1])
        return batch

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Stops reading ahead, and the workers."""
        self._iterator.close()


def open_sources(config: Config, cache_dir: Path) -> list[RecordSource]:
    """Every source of a configuration, rendered first where it is a rendered one."""
    if not config.data.sources:
        raise ConfigError("`data.sources` is empty; name at least one set to train on")
    sources = [
        RecordSource(_folder(source, config, cache_dir)) for source in config.data.sources
    ]
    for source in sources:
        _check_source(source, config.model.template_size)
    videos = sum(source.track_index().num_videos for source in sources)
    if config.data.negative_prob > 0 and videos < 2:
        raise ConfigError(
            f"`data.negative_prob` (={config.data.negative_prob}) needs at least two videos, "
            f"and the sources hold {videos}; set it to 0 or add a source"
        )
    return sources


def _check_source(source: RecordSource, template_size: int) -> None:
    if source.num_degenerate:
        logger.warning(
            "%d of %d records of %s have a box without size and are left out",
            source.num_degenerate,
            len(source),
            source.path,
        )
    # A target's context fills the template, so the boxes tell what size they were cut for.
    prepared_for = source.template_size
    if abs(prepared_for / template_size - 1) > 0.01:
        raise ConfigError(
            f"the prepared set {str(source.path)!r} was cut for templates of "
            f"{prepared_for:.0f} pixels, and `model.template_size` is {template_size}; prepare "
            "it again for this model"
        )


def _folder(source: SourceConfig, config: Config, cache_dir: Path) -> Path:
    if source.synthetic is None:
        return Path(source.path)
    return prepare_synthetic(
        source.synthetic, config.data.crop_size, config.model.template_size, cache_dir
    )


def make_dataset(sources: Sequence[RecordSource], config: Config) -> grain.MapDataset:
    """The endless dataset of (batch, unreadable), by step."""
    seeds = np.random.SeedSequence(config.train.seed).generate_state(len(sources) + 1)
    places = [
        grain.MapDataset.range(source.track_index().num_videos)
        .seed(int(seed))
        .shuffle()
        .repeat()
        .map(functools.partial(_place, number))
        for number, (source, seed) in enumerate(zip(sources, seeds[1:], strict=True))
    ]
    mixed = grain.MapDataset.mix(places, [s.weight for s in config.data.sources])
    return mixed.random_map(PairMaker(sources, config), seed=int(seeds[0])).batch(
        config.train.batch_size, drop_remainder=True, batch_fn=stack
    )


def _place(source, video):
    return source, video


def make_batches(
    config: Config, *, cache_dir: Path, start_step: int = 0, num_workers: int | None = None
) -> Batches:
    """Batches from step `start_step` on, endless.

    Rendered sources are prepared once under `cache_dir`. With `num_workers` (by default
    `data.num_workers`) of 0, threads of this process read ahead; otherwise that many
    processes, and the program that calls this must be import-safe
    (`if __name__ == "__main__"`). The batches are the same either way. Raises `SourceError`
    for a set that cannot be used, `ConfigError` for settings that make no sense together.
    """
    workers = config.data.num_workers if num_workers is None else num_workers
    sources = open_sources(config, Path(cache_dir))
    dataset = make_dataset(sources, config)[start_step:]
    threads = grain.ReadOptions(num_threads=2, prefetch_buffer_size=_BUFFERED)
    if workers == 0:
        return Batches(iter(dataset.to_iter_dataset(threads)), sources)
    single = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    iterable = dataset.to_iter_dataset(single).mp_prefetch(processes)
    return Batches(iter(iterable), sources)
