"""The input pipeline: draws, reads, augments and labels pairs, and batches them.

The only file that imports grain. The batch of a step is a function of the configuration's
seed and the step alone: each element has a random generator seeded by its own index, and
elements are grouped into batches before they are distributed among workers.
"""

import contextlib
import functools
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import grain
import numpy as np

from siamjax.config import Config, ConfigError, SourceConfig
from siamjax.data import augment, sampling, targets
from siamjax.data.crops import crop_target
from siamjax.data.formats.synthetic import prepare_synthetic
from siamjax.data.jpeg import TiledJpeg, open_tiled
from siamjax.data.schema import Batch, DrawnBatch
from siamjax.data.sources import RecordSource, SourceError
from siamjax.images import decode_image, opencv_without_threads

_ATTEMPTS = 100  # unreadable pairs in a row before giving up
_BUFFERED = 4  # batches read ahead, or one per thread if that is more

logger = logging.getLogger(__name__)


class Example(NamedTuple):
    """One pair: the fields of a batch without the batch axis, and the records it skipped."""

    fields: Batch | DrawnBatch
    unreadable: tuple[tuple[int, int], ...]  # unreadable records drawn before: source, record


class PairMaker:
    """Turns an element of the epoch, (source, video), into an `Example`."""

    def __init__(self, sources: Sequence[RecordSource], config: Config):
        self._sources = list(sources)
        self._indices = [source.track_index() for source in sources]
        data = self._data = config.data
        self._model = config.model
        self._first_record = np.cumsum([0, *(len(source) for source in sources)])
        self._label = targets.Labeller(config)
        self._semantic = None
        if data.same_category_prob + data.other_category_prob > 0:
            self._semantic = sampling.SemanticNegatives(
                self._indices, data.same_category_prob, data.other_category_prob
            )

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state
        cv2.setNumThreads(0)  # in a worker process, which does nothing else

    def __call__(self, place: tuple[int, int], rng: np.random.Generator) -> Example:
        """Draws until both records can be read; raises `SourceError` after 100 attempts."""
        unreadable = []
        for _ in range(_ATTEMPTS):
            pair = sampling.draw_pair(
                rng,
                self._indices,
                *place,
                frame_range=self._data.sources[place[0]].frame_range,
                negative_prob=self._data.negative_prob,
                semantic=self._semantic,
            )
            before = rng.bit_generator.state
            try:
                template = self._read(pair.template)
                search = self._read(pair.search)
                return Example(self._finish(rng, pair, template, search), tuple(unreadable))
            except _Unreadable as error:
                # the next draw must not depend on where the damage showed
                rng.bit_generator.state = before
                unreadable.append(error.where)
        source = self._sources[place[0]]
        raise SourceError(
            f"the prepared set {str(source.path)!r}: {_ATTEMPTS} pairs in a row cannot be "
            "read; remove the folder and prepare it again"
        )

    def _read(self, where):
        source = self._sources[where[0]]
        try:
            content = source.read(where[1])
            box_xyxy = content["box_xyxy"]
            tiled = None if source.holds_frames else open_tiled(content["image"])
            if tiled is not None:
                return _Stored(where, tiled, box_xyxy)
            image = decode_image(content["image"])
            if source.holds_frames:
                image, box_xyxy = crop_target(
                    image,
                    np.r_[box_xyxy[:2], box_xyxy[2:] - box_xyxy[:2]],
                    self._data.crop_size,
                    self._model.context_pixels,
                )
            return _Stored(where, image, box_xyxy)
        except ValueError as error:
            raise _Unreadable(where) from error

    def _finish(self, rng, pair, template, search):
        data, model = self._data, self._model
        drawn = [
            augment.draw_augmentation(rng, data.template, model.template_size),
            augment.draw_augmentation(rng, data.search, model.search_size),
        ]
        gray = bool(rng.random() < data.gray_prob)
        template_image, _ = _cut(template, drawn[0], model.template_size, gray)
        search_image, box = _cut(search, drawn[1], model.search_size, gray)
        box = augment.flip_box(box, drawn[1], model.search_size)
        about = {
            "box_xyxy": box,
            "is_negative_pair": pair.is_negative,
            "records": np.array(
                [self._first_record[s] + r for s, r in (pair.template, pair.search)], np.int64
            ),
        }
        if data.finish_on == "device":
            return DrawnBatch(
                template=template_image,
                search=search_image,
                rank=self._label.draw_rank(rng),
                **augment.as_arrays(drawn),
                **about,
            )
        labels = self._label(rng, box, pair.is_negative)
        return Batch(
            template=augment.finish_image(template_image, drawn[0]),
            search=augment.finish_image(search_image, drawn[1]),
            **labels._asdict(),
            **about,
        )


class _Stored(NamedTuple):
    where: tuple[int, int]
    image: np.ndarray | TiledJpeg
    box_xyxy: np.ndarray


def _cut(stored, params, size, gray):
    """The image `[size, size, 3]` uint8 before colour, blur and flip, and the box in it."""
    if isinstance(stored.image, TiledJpeg):
        try:
            return augment.cut_tiled(stored.image, stored.box_xyxy, params, size, gray=gray)
        except ValueError as error:
            raise _Unreadable(stored.where) from error
    image = augment.to_gray(stored.image) if gray else stored.image
    window = augment.window_xyxy(params, image.shape[0], size)
    return augment.cut(image, stored.box_xyxy, window, size)


class _Unreadable(Exception):
    def __init__(self, where):
        self.where = where


def stack(examples: Sequence[Example]) -> tuple[Batch | DrawnBatch, np.ndarray]:
    """A batch, and the `[n, 2]` unreadable (source, record) that were skipped for it."""
    columns = zip(*(example.fields for example in examples), strict=True)
    batch = type(examples[0].fields)(*(np.stack(column) for column in columns))
    unreadable = [where for example in examples for where in example.unreadable]
    return batch, np.array(unreadable, np.int64).reshape(-1, 2)


class Batches:
    """An endless iterator of `Batch`es; close it, or use it in a `with` statement.

    `unreadable` holds the (folder, record) of every record skipped so far.
    """

    def __init__(self, batches: Iterable, sources: Sequence[RecordSource]):
        self._sources = sources
        self._threads = contextlib.ExitStack()
        self._threads.enter_context(opencv_without_threads())
        # OpenCV may divide by zero where its threads go while it computes, as readers do.
        self._iterator: Any = iter(batches)
        self.unreadable: set[tuple[str, int]] = set()

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Batch | DrawnBatch:
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
        """Stops reading ahead and the workers, and gives OpenCV its threads back."""
        self._iterator.close()
        self._threads.close()


def open_sources(config: Config, cache_dir: Path) -> list[RecordSource]:
    """Opens every source of a configuration, after rendering those that are rendered."""
    if not config.data.sources:
        raise ConfigError("`data.sources` is empty; name at least one set to train on")
    sources = [
        RecordSource(_folder(source, config, cache_dir)) for source in config.data.sources
    ]
    for source in sources:
        _check_source(source, config.model.context_pixels)
    videos = sum(source.track_index().num_videos for source in sources)
    if config.data.negative_prob > 0 and videos < 2:
        raise ConfigError(
            f"`data.negative_prob` (={config.data.negative_prob}) needs at least two videos, "
            f"and the sources hold {videos}; set it to 0 or add a source"
        )
    return sources


def _check_source(source: RecordSource, context_pixels: int) -> None:
    if source.num_degenerate:
        logger.warning(
            "%d of %d records of %s have a box without size and are never drawn",
            source.num_degenerate,
            len(source),
            source.path,
        )
    # A target with its context fills the template, so the boxes tell the template size.
    prepared_for = source.template_size
    if prepared_for is not None and abs(prepared_for / context_pixels - 1) > 0.01:
        raise ConfigError(
            f"the prepared set {str(source.path)!r} was cut for templates of "
            f"{prepared_for:.0f} pixels, and those of the model have {context_pixels}; prepare "
            f"it again with `--template-size {context_pixels}`"
        )


def _folder(source: SourceConfig, config: Config, cache_dir: Path) -> Path:
    if source.synthetic is None:
        return Path(source.path)
    return prepare_synthetic(
        source.synthetic, config.data.crop_size, config.model.context_pixels, cache_dir
    )


def shares(sources: Sequence[RecordSource], config: Config) -> list[float]:
    """Relative weights of the sources in the mix."""
    result = []
    for source, settings in zip(sources, config.data.sources, strict=True):
        videos = source.track_index().num_videos
        uses = {0: 1, -1: videos}.get(settings.num_use, settings.num_use)
        result.append(settings.weight * uses)
    return result


def make_dataset(
    sources: Sequence[RecordSource], config: Config, *, host: int = 0, hosts: int = 1
) -> grain.MapDataset:
    """The endless dataset of (batch, unreadable) by step: this host's rows of each batch."""
    seeds = np.random.SeedSequence(config.train.seed).generate_state(len(sources) + 1)
    passes: list[Any] = [
        sampling.Passes(source.track_index().num_videos, int(seed))
        for source, seed in zip(sources, seeds[1:], strict=True)
    ]
    places = [
        grain.MapDataset.source(each).map(functools.partial(_place, number))
        for number, each in enumerate(passes)
    ]
    mixed = grain.MapDataset.mix(places, shares(sources, config))
    pairs = mixed.random_map(PairMaker(sources, config), seed=int(seeds[0]))
    rows = config.train.batch_size // hosts
    if hosts > 1:
        pairs = grain.MapDataset.source(_Rows(pairs, rows, host, hosts))
    return pairs.batch(rows, drop_remainder=True, batch_fn=stack)


class _Rows:
    """This host's rows of every batch, concatenated: a subset of a dataset of pairs."""

    def __init__(self, pairs: grain.MapDataset, rows: int, host: int, hosts: int):
        self._pairs, self._rows, self._host, self._hosts = pairs, rows, host, hosts

    def __len__(self) -> int:
        return len(self._pairs) // (self._rows * self._hosts) * self._rows

    def __getitem__(self, index: int) -> Any:
        step, row = divmod(index, self._rows)
        return self._pairs[(step * self._hosts + self._host) * self._rows + row]


def _place(source, video):
    return source, video


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_batches(
    config: Config,
    *,
    cache_dir: Path,
    start_step: int = 0,
    num_workers: int | None = None,
    host: int = 0,
    hosts: int = 1,
) -> Batches:
    """An endless iterator of batches from step `start_step` on.

    Rendered sources are prepared once under `cache_dir`. With `num_workers` (by default
    `data.num_workers`) of 0, `data.num_threads` threads of this process read ahead; otherwise
    that many worker processes do, and the calling program must be import-safe
    (`if __name__ == "__main__"`). The batches are the same either way. Of several `hosts`
    each reads its own rows; concatenated in order of hosts, they are the batch that a single
    host reads. With `data.finish_on` of "device" they are `DrawnBatch`es. Raises
    `SourceError` for a set that cannot be used, `ConfigError` for settings that contradict each
    other.
    """
    workers = config.data.num_workers if num_workers is None else num_workers
    if not 0 <= host < hosts:
        raise ConfigError(f"`host` (={host}) must be one of the `hosts` (={hosts}), from 0")
    if config.train.batch_size % hosts:
        raise ConfigError(
            f"`train.batch_size` (={config.train.batch_size}) must be divisible by the {hosts} "
            "hosts that share it"
        )
    sources = open_sources(config, Path(cache_dir))
    dataset = make_dataset(sources, config, host=host, hosts=hosts)[start_step:]
    if workers == 0:
        count = config.data.num_threads or max(2, _cores())
        threads = grain.ReadOptions(
            num_threads=count, prefetch_buffer_size=max(count, _BUFFERED)
        )
        return Batches(dataset.to_iter_dataset(threads), sources)
    single = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    return Batches(dataset.to_iter_dataset(single).mp_prefetch(processes), sources)
