"""Prepared sets on disk: a folder of ArrayRecord files, TFDS's description, and an index.

    <folder>/dataset_info.json, features.json     TFDS's own
    <folder>/*.array_record-*                     the records, schema.Record each
    <folder>/index.npz                            video, track, frame, box size of each
    <folder>/prepared.json                        how it was prepared, what was left out

With the index, pairs are drawn without decoding an image. A set holds square crops, one for
each target in each frame, or whole frames, which several targets may share.
"""

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_pb2

from siamjax.data.sampling import TrackIndex, make_track_index
from siamjax.data.schema import Record
from siamjax.errors import InputError
from siamjax.geometry.crops import context_side
from siamjax.text import TextError, read_json

INDEX_FILE = "index.npz"
DESCRIPTION_FILE = "prepared.json"
SPLIT = "train"
_REMEDY = "remove the folder and prepare it again"


class SourceError(InputError):
    """A prepared set cannot be used; the message says why and what to do."""


class RecordError(InputError):
    """One record cannot be read."""


class Index(NamedTuple):
    """Metadata of the `n` records, known without reading them."""

    video: np.ndarray  # [n] int64
    track: np.ndarray  # [n] int64: the target within the video
    frame: np.ndarray  # [n] int64
    category: np.ndarray  # [n] int64, -1 where unknown
    box_wh: np.ndarray  # [n, 2] float32, pixels of the image
    picture: np.ndarray  # [n] int64: index of the stored image that shows it
    box_xyxy: np.ndarray  # [n, 4] float32, pixels of the image; NaN where not known
    frame_xywh: np.ndarray  # [n, 4] float32, pixels of the frame; NaN where not known


class RecordSource:
    """Random access to a prepared set. Cheap to pickle: each worker opens the files itself."""

    def __init__(self, path: str | os.PathLike):
        """Opens the folder and checks that its parts agree; raises `SourceError`."""
        self.path = Path(path)
        self.index = read_index(self.path)
        self.holds_frames = read_description(self.path).get("keep") == "frames"
        self._records = _open_records(self.path, self.index)
        size = self.index.box_wh
        self._usable = np.flatnonzero((np.isfinite(size) & (size > 0)).all(-1))
        _require(len(self._usable) > 0, self.path, "has no record with a box of any size")

    def __len__(self) -> int:
        return len(self.index.video)

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        self.__init__(state["path"])

    @property
    def num_degenerate(self) -> int:
        """Number of records whose box has no size; they are never drawn."""
        return len(self) - len(self._usable)

    @property
    def template_size(self) -> float | None:
        """Template size that the crops were cut for, pixels; None for frames."""
        if self.holds_frames:
            return None
        return float(np.median(context_side(*self.index.box_wh[self._usable].T)))

    def track_index(self) -> TrackIndex:
        """The records with a box, grouped for sampling."""
        chosen = self._usable
        return make_track_index(
            self.index.video[chosen],
            self.index.track[chosen],
            self.index.frame[chosen],
            chosen,
            self.index.category[chosen],
        )

    def read(self, record: int) -> Record:
        """One record, its image still encoded; raises `RecordError`."""
        try:
            index = self.index
            image, box_xyxy = _parse(self._records[int(index.picture[record])])
            return Record(
                image=image,
                box_xyxy=index.box_xyxy[record] if self.holds_frames else box_xyxy,
                video=int(index.video[record]),
                track=int(index.track[record]),
                frame=int(index.frame[record]),
                category=int(index.category[record]),
            )
        except (RuntimeError, ValueError, KeyError, IndexError, DecodeError) as error:
            raise RecordError(f"record {record} of {self.path}: {error}") from error


def _parse(content: bytes) -> tuple[bytes, np.ndarray]:
    """The image of a stored record, and the box of its first target.

    Parsed by hand: TFDS's own feature decoding takes three times as long, which is as long
    as decoding a small image.
    """
    # the module's classes are made when it is imported
    fields = tf_example_pb2.Example.FromString(content).features.feature
    box_xyxy = np.array(fields["box_xyxy"].float_list.value, np.float32)
    return fields["image"].bytes_list.value[0], box_xyxy


def is_prepared(path: Path) -> bool:
    """Whether a folder is a prepared set, possibly a damaged one."""
    signs = (INDEX_FILE, DESCRIPTION_FILE, "*.array_record*")
    return any(any(path.glob(sign)) for sign in signs)


def read_index(path: Path) -> Index:
    """The index of a prepared set; raises `SourceError`."""
    if not path.is_dir():
        near = sorted(p.name for p in path.parent.glob("*") if p.is_dir())
        hint = f"; {path.parent} holds {near[:8]}" if near else ""
        raise SourceError(f"{_name(path)} does not exist{hint}")
    file = path / INDEX_FILE
    _require(file.is_file(), path, f"has no {INDEX_FILE}: its preparation did not finish")
    try:
        # opened here: np.load leaks the handle of a file that is no archive
        with open(file, "rb") as opened, np.load(opened) as arrays:
            columns = {name: arrays[name] for name in Index._fields if name in arrays}
            count = len(columns["video"])
            columns.setdefault("picture", np.arange(count))
            for name in ("box_xyxy", "frame_xywh"):
                columns.setdefault(name, np.full((count, 4), np.nan, np.float32))
            index = Index(**columns)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{file} cannot be read ({error}); {_REMEDY}") from error
    _require(len(index.video) > 0, path, "is empty")
    _require(
        len({len(column) for column in index}) == 1, path, "has an index of unequal columns"
    )
    return index


def read_description(path: Path) -> dict:
    """How a set was prepared; {} where that was not recorded. Raises `SourceError`."""
    file = Path(path) / DESCRIPTION_FILE
    if not file.is_file():
        return {}
    try:
        found = read_json(file)
    except TextError as error:
        raise SourceError(f"{error}; {_REMEDY}") from None
    _require(isinstance(found, dict), file, "is no description of a set")
    return found


def write_index(path: Path, index: Index) -> None:
    """Writes the index beside the records."""
    np.savez(path / INDEX_FILE, **index._asdict())


def _open_records(path: Path, index: Index):
    """The stored images, after checking that each of their files can be read."""
    expected = int(index.picture.max()) + 1
    try:
        builder = tfds.builder_from_directory(path)
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        records = builder.as_data_source(SPLIT, deserialize_method=raw)
        split = builder.info.splits[SPLIT]
    except (tfds.core.DatasetNotFoundError, OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{_name(path)} cannot be opened: {error}; {_REMEDY}") from error
    _require(
        len(records) == expected,
        path,
        f"holds {len(records)} records, but its index names {expected}",
    )
    _require(int(index.picture.min()) >= 0, path, "has an index with negative image numbers")
    # A truncated file has lost its own index, so none of its records can be read.
    last = np.cumsum(split.shard_lengths) - 1
    for file, record in zip(split.filepaths, last.tolist(), strict=True):
        try:
            records[record]
        except (RuntimeError, ValueError, IndexError, OSError) as error:
            raise SourceError(
                f"{_name(path)}: {file} is missing or truncated ({error}); {_REMEDY}"
            ) from error
    return records


def _name(path):
    return f"the prepared set {str(path)!r}"


def _require(holds: bool, path: Path, message: str) -> None:
    if not holds:
        raise SourceError(f"{_name(path)} {message}; {_REMEDY}")
