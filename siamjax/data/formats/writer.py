"""Writes a prepared set: files of records by several processes, then TFDS's metadata and our
index. No TensorFlow.

Every file of records is written whole or not at all, with a summary beside it, so that an
interrupted preparation resumes with the missing ones.
"""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter

from siamjax.data.formats.drops import Drops
from siamjax.data.schema import Record
from siamjax.data.sources import DESCRIPTION_FILE, SPLIT, Index, write_index
from siamjax.files import replacing, replacing_folder, write_whole
from siamjax.images import opencv_without_threads
from siamjax.text import read_object

FEATURES = tfds.features.FeaturesDict(
    {
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
        "box_xyxy": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        "video": np.int64,
        "track": np.int64,
        "frame": np.int64,
        "category": np.int64,
    }
)
_SERIALIZER = tfds.core.example_serializer.ExampleSerializer(FEATURES.get_serialized_info())
_COLUMNS = ("video", "track", "frame", "category")
_UNKNOWN = (np.nan,) * 4


class StoredImage(NamedTuple):
    """One encoded image and its targets: one in a crop, possibly several in a frame."""

    image: bytes
    targets: Sequence[Record]  # without their image
    frame_xywh: Sequence[np.ndarray] = ()  # boxes in the frame, where known


class Shard(NamedTuple):
    """One file of records to be written; picklable and deterministic.

    Attributes:
        name: of its files in the folder of parts.
        images: yields them in order, and counts what it leaves out in a `Drops`.
        steps: progress when it is done.
    """

    name: str
    images: Callable[[Drops], Iterable[StoredImage]]
    steps: int


class _Info(tfds.core.DatasetInfo):
    """Metadata of a set that is not published."""

    def initialize_from_bucket(self) -> None:
        """Does nothing: TFDS would query its cloud bucket, and leave a temporary folder."""


class PreparedSet(tfds.core.dataset_builder.FileReaderBuilder):
    """A set whose files of records are written already, in a folder of parts."""

    VERSION = tfds.core.Version("1.0.0")
    # Without a code path TFDS looks for no checksums file, which would need a package that it
    # does not declare.
    code_path = None

    def __init__(self, *, description: str, parts: Sequence[Path], data_dir: Path):
        """`parts`, which hold records, are linked into `data_dir` when it is prepared."""
        self._description, self._parts = description, parts
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description=self._description,
            features=FEATURES,
            disable_shuffling=True,  # the index relies on the order
        )

    def _download_and_prepare(self, dl_manager, download_config=None):
        template = tfds.core.ShardedFileTemplate(
            data_dir=self.data_path,
            dataset_name=self.name,
            split=SPLIT,
            filetype_suffix="array_record",
        )
        lengths, size = [], 0
        for number, part in enumerate(self._parts):
            lengths.append(_read_part(part)["records"])
            size += part.stat().st_size
            file = template.sharded_filepath(shard_index=number, num_shards=len(self._parts))
            # a link: if anything fails later, the part is still in its folder
            try:
                os.link(part, file)
            except OSError:  # a file system without links
                shutil.copyfile(part, file)
        split = tfds.core.SplitInfo(
            name=SPLIT, shard_lengths=lengths, num_bytes=size, filename_template=template
        )
        self.info.set_splits(tfds.core.splits.SplitDict([split]))


def write_parts(
    shards: Sequence[Shard], folder: Path, *, jobs: int, progress: Callable[[int], object]
) -> None:
    """Writes every file of records that is not in `folder` yet, with `jobs` processes.

    With one job, this process does it. `progress` is called with the number of steps done.
    Raises `OSError` when the disk is full; finished files stay.
    """
    todo = []
    for shard in shards:
        if (folder / f"{shard.name}.json").is_file():
            progress(shard.steps)
        else:
            todo.append(shard)
    if jobs == 1 or len(todo) < 2:
        for shard in todo:
            _write_part(shard, folder)
            progress(shard.steps)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    executor = ProcessPoolExecutor(
        min(jobs, len(todo)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(os.getpid(), stop),
    )
    try:
        running = {executor.submit(_write_part, shard, folder): shard for shard in todo}
        for future in as_completed(running):
            future.result()
            progress(running[future].steps)
    except BaseException:
        # Otherwise a second Ctrl-C would leave workers that wait for ever.
        stop.set()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(parent, stop):
    """Ignores Ctrl-C, which the parent handles; exits when told to or when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent and not stop.wait(1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _write_part(shard: Shard, folder: Path) -> None:
    drops = Drops()
    rows: list[tuple] = []
    count = 0
    with opencv_without_threads(), replacing(folder / f"{shard.name}.array_record") as scratch:
        try:
            # one record per group: each is read without its neighbours
            writer = ArrayRecordWriter(str(scratch), "group_size:1")
            try:
                for stored in shard.images(drops):
                    boxes = stored.frame_xywh or [_UNKNOWN] * len(stored.targets)
                    for target, box in zip(stored.targets, boxes, strict=True):
                        columns = tuple(int(target[name]) for name in _COLUMNS)
                        rows.append((*columns, count, *map(float, target["box_xyxy"]), *box))
                    first: Any = {**stored.targets[0], "image": stored.image}
                    writer.write(_serialize(first))
                    count += 1
            finally:
                writer.close()
        except RuntimeError as error:  # what the record writer raises for a full disk
            raise OSError(f"records cannot be written: {error}") from error
    table = np.array(rows, np.float64).reshape(-1, len(_COLUMNS) + 9)
    with replacing(folder / f"{shard.name}.npy") as scratch, open(scratch, "wb") as opened:
        np.save(opened, table)
    # last: its presence means that the other files are complete
    content = {"records": count, "drops": drops.to_dict()}
    write_whole(folder / f"{shard.name}.json", json.dumps(content))


def _serialize(record: Record) -> bytes:
    opened = {**record, "image": io.BytesIO(record["image"])}
    example = _SERIALIZER.get_tf_example(FEATURES.encode_example(opened))
    # otherwise the order of fields differs between processes
    return example.SerializeToString(deterministic=True)


def _read_part(part: Path) -> dict:
    return read_object(part.with_suffix(".json"), records=int, drops=dict)


def read_drops(shards: Sequence[Shard], folder: Path) -> Drops:
    """What was left out of all files, merged in their order."""
    drops = Drops()
    for shard in shards:
        content = _read_part(folder / f"{shard.name}.array_record")
        drops.merge(Drops.from_dict(content["drops"]))
    return drops


def finish(shards: Sequence[Shard], folder: Path, description: dict, out: Path) -> None:
    """Puts the files together as the set `out`, which appears when it is complete.

    The parts stay until their folder is removed; parts without records are left out.
    """
    files = [folder / f"{shard.name}.array_record" for shard in shards]
    files = [file for file in files if _read_part(file)["records"]]
    with replacing_folder(out) as done:
        builder = PreparedSet(
            description=json.dumps(description, sort_keys=True), parts=files, data_dir=done
        )
        with quiet():
            builder.download_and_prepare()
        for file in Path(builder.data_dir).iterdir():
            file.rename(done / file.name)
        shutil.rmtree(done / builder.name)  # TFDS's <name>/<version>, empty by now
        write_index(done, _join(files))
        text = json.dumps(description, indent=1, sort_keys=True)
        write_whole(done / DESCRIPTION_FILE, text + "\n")


def _join(files) -> Index:
    tables, start = [], 0
    for file in files:
        table = np.load(file.with_suffix(".npy"))
        table[:, len(_COLUMNS)] += start
        start += _read_part(file)["records"]
        tables.append(table)
    joined = np.concatenate(tables)
    whole = {
        name: joined[:, i].astype(np.int64) for i, name in enumerate((*_COLUMNS, "picture"))
    }
    box, frame_xywh = joined[:, -8:-4].astype(np.float32), joined[:, -4:].astype(np.float32)
    return Index(**whole, box_xyxy=box, box_wh=box[:, 2:] - box[:, :2], frame_xywh=frame_xywh)


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Silences TFDS's progress bars and messages; ours are shown instead."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield
