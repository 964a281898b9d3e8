"""Inspection of a data set before training: counts, histograms, problems."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from siamjax.data.contact_sheet import GREEN, write_sheet
from siamjax.data.formats.annotations import LayoutError
from siamjax.data.formats.cutting import (
    LOOKS_NORMALISED,
    OTHER_SIZE,
    UNREADABLE,
    Settings,
    cut_clips,
    look_like_corners,
)
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.layouts import LAYOUTS, detect, find_clips
from siamjax.data.formats.mot import NO_TARGET, NOT_CONSIDERED
from siamjax.data.sources import Index, RecordError, RecordSource, read_description
from siamjax.images import decode_image

_SAMPLES, _COLUMNS, _TILE = 24, 6, 192
_TOLERATED = 0.01  # fraction of damaged targets that training tolerates
_BAR = 40

_SIZES = (0, 8, 16, 32, 64, 128, 256, 512, np.inf)
_ASPECTS = (0, 1 / 8, 1 / 4, 1 / 2, 1 / 1.2, 1.2, 2, 4, 8, np.inf)
_MOTIONS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, np.inf)


class Sample(NamedTuple):
    """An image of the contact sheet."""

    image: np.ndarray  # [h, w, 3] uint8
    box_xyxy: np.ndarray  # [4]
    label: str


class Report:
    """The result of an inspection.

    Attributes:
        counts: by name.
        problems: why the set is unfit for training.
        remarks: other findings.
        samples: random images with boxes.
    """

    def __init__(self):
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.samples: list[Sample] = []
        self._histograms: list[tuple[str, np.ndarray, tuple]] = []

    @property
    def is_fit(self) -> bool:
        """Whether no problem was found."""
        return not self.problems

    def add_boxes(self, index: Index) -> None:
        """Adds counts and histograms of boxes and tracks, and problems with them."""
        tracks, lengths = np.unique(
            np.stack([index.video, index.track]), axis=1, return_counts=True
        )
        self.counts |= {
            "targets": len(index.video),
            "tracks": tracks.shape[1],
            "videos or images": len(np.unique(tracks[0])),
            "categories": len(np.unique(index.category[index.category >= 0])),
            "tracks of length one": int((lengths == 1).sum()),
        }
        if np.all(lengths == 1):
            self.remarks.append(
                "every track has one frame: these are still images, and both images of a "
                "positive pair come from the same one"
            )
        rows = np.stack([index.video, index.track, index.frame])
        self.counts["duplicates"] = double = rows.shape[1] - np.unique(rows, axis=1).shape[1]
        if double:
            self.problems.append(
                f"{double} targets are listed twice (same video, track and frame)"
            )

        known = np.all(np.isfinite(index.frame_xywh), -1)
        size = np.where(known[:, None], index.frame_xywh[:, 2:], index.box_wh)
        degenerate = ~(np.all(np.isfinite(size), -1) & np.all(size > 0, -1))
        self.add_share("boxes without size", degenerate)
        stored = np.all(np.isfinite(index.box_wh), -1) & np.all(index.box_wh > 0, -1)
        self.add_share(
            "boxes that look like fractions of the frame (are they normalised?)",
            stored & np.all(index.box_wh <= 2, -1),
        )
        good = size[~degenerate]
        where = "pixels of the frame" if known.all() else "pixels"
        self._histograms += [
            (f"size, sqrt(w h), {where}", np.sqrt(good.prod(-1)), _SIZES),
            ("aspect, w / h", good[:, 0] / good[:, 1], _ASPECTS),
        ]
        motion = _motion(index, known & ~degenerate)
        if len(motion):
            name = "motion per frame, relative to the target size"
            self._histograms.append((name, motion, _MOTIONS))
        if len(np.unique(tracks[0])) < 2:
            self.problems.append("there is only one video: no negative pair can be made")

    def add_share(self, name: str, bad: np.ndarray) -> None:
        """Counts bad targets, which are a problem if they are more than training tolerates."""
        count = int(bad.sum())
        self.counts[name] = count
        if count > _TOLERATED * len(bad):
            self.problems.append(f"{count} of {len(bad)}: {name}")

    def add_images(self, read: int, unreadable: list[str], digests: list[bytes]) -> None:
        """Adds what reading the images showed; `digests` are those of the readable ones."""
        self.counts |= {
            "images read": read,
            "unreadable": len(unreadable),
            "identical images": len(digests) - len(set(digests)),
        }
        if len(unreadable) > _TOLERATED * read:
            self.problems.append(f"{len(unreadable)} of {read} images cannot be read")
        self.remarks += unreadable[:5]

    def lines(self) -> Iterator[str]:
        """The report as text, with histograms as bars."""
        for name, count in self.counts.items():
            yield f"{count:10d}  {name}"
        for title, values, edges in self._histograms:
            yield f"\n{title}"
            yield from _bars(values, edges)
        yield ""
        yield from self.remarks
        for problem in self.problems:
            yield f"PROBLEM: {problem}"

    def write_sheet(self, path: Path) -> bool:
        """Writes the samples as one contact sheet; False when there are none."""
        if not self.samples:
            return False
        write_sheet([_tile(sample) for sample in self.samples], _COLUMNS, path)
        return True


def _motion(index, usable):
    """Motion of each target per frame, relative to its size."""
    order = np.lexsort((index.frame, index.track, index.video))
    order = order[usable[order]]
    video, track, frame = (c[order] for c in (index.video, index.track, index.frame))
    box = index.frame_xywh[order].astype(np.float64)
    same = (np.diff(video) == 0) & (np.diff(track) == 0) & (np.diff(frame) > 0)
    center = box[:, :2] + box[:, 2:] / 2
    away = np.hypot(*np.diff(center, axis=0).T)
    size = np.sqrt(box[1:, 2:].prod(-1))
    return (away / size / np.maximum(np.diff(frame), 1))[same]


def _bars(values, edges):
    counts, _ = np.histogram(values, edges)
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        share = count / max(1, len(values))
        bar = "#" * round(_BAR * share)
        yield f"  {low:6.3g} to {high:<6.3g} {count:9d}  {share:6.1%} {bar}".rstrip()


def _tile(sample):
    """A tile of the contact sheet: the image, its box and a label."""
    height, width = sample.image.shape[:2]
    scale = _TILE / max(height, width)
    small = cv2.resize(sample.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    small = small[:_TILE, :_TILE]
    tile[: small.shape[0], : small.shape[1]] = small
    x1, y1, x2, y2 = (round(float(v) * scale) for v in np.nan_to_num(sample.box_xyxy))
    cv2.rectangle(tile, (x1, y1), (x2, y2), GREEN, 1)
    cv2.putText(
        tile, sample.label[:30], (3, _TILE - 4), cv2.FONT_HERSHEY_PLAIN, 0.8, (0, 255, 255), 1
    )
    return tile


def inspect_prepared(path: Path, *, limit: int, seed: int = 0) -> Report:
    """Inspects a prepared set, reading at most `limit` of its targets; raises `SourceError`."""
    source = RecordSource(path)
    report = Report()
    report.add_boxes(source.index)
    chosen = _choose(len(source), limit, seed)

    def read(record):
        try:
            content = source.read(record)
            image = decode_image(content["image"])
        except (RecordError, ValueError) as error:
            return None, f"record {record}: {error}", record, content_box(record)
        return image, hashlib.sha256(content["image"]).digest(), record, content["box_xyxy"]

    def content_box(record):
        return source.index.box_xyxy[record]

    shown = set(chosen[:: max(1, len(chosen) // _SAMPLES)][:_SAMPLES].tolist())
    unreadable, digests, outside = [], [], []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for image, told, record, box in pool.map(read, chosen.tolist()):
            if image is None:
                unreadable.append(told)
                continue
            # a frame that several targets share is no duplicate
            number = int(source.index.picture[record]).to_bytes(8, "big")
            digests.append(told + number if source.holds_frames else told)
            outside.append(_is_outside(box, image.shape))
            if record in shown:
                label = f"{source.index.video[record]}/{source.index.track[record]}"
                report.samples.append(
                    Sample(image, box, f"{label}/{source.index.frame[record]}")
                )
    if source.holds_frames:
        digests = list(dict.fromkeys(digests))
    report.add_images(len(chosen), unreadable, digests)
    report.add_share("boxes outside their image", np.array(outside, bool))
    drops = Drops.from_dict(read_description(path).get("drops", {}))
    report.remarks += (f"note: {remark.strip()}" for remark in drops.told())
    if drops.total:
        report.remarks.append("left out when it was prepared:")
        report.remarks += drops.lines()
    _judge_corners(report, drops, len(source))
    return report


def _is_outside(box, shape):
    """Whether a box does not touch its image."""
    x1, y1, x2, y2 = box
    return not (x2 > 0 and y2 > 0 and x1 < shape[1] and y1 < shape[0])


def inspect_raw(root: Path, layout: str | None, *, limit: int, seed: int = 0) -> Report:
    """Inspects at most `limit` clips of a folder in a layout, by default the one detected.

    Does everything that a preparation does, except writing. Raises `LayoutError`.
    """
    name = layout or detect(root)
    if name is None:
        raise LayoutError(
            f"{str(root)!r} is no prepared set, and in none of the layouts {list(LAYOUTS)}"
        )
    clips = find_clips(name, root)
    report, drops, rows, boxes = Report(), Drops(), [], []
    digests: list[bytes] = []
    chosen = np.sort(_choose(len(clips), limit, seed)).tolist()
    every = max(1, len(chosen) // _SAMPLES)
    for place, number in enumerate(chosen):
        clip, shown = clips[number], False
        for stored in cut_clips([clip], number, Settings(keep="frames"), drops):
            digests.append(hashlib.sha256(stored.image).digest())
            for target in stored.targets:
                rows.append([target[k] for k in ("video", "track", "frame", "category")])
                boxes.append(target["box_xyxy"])
            wanted = place % every == 0 and len(report.samples) < _SAMPLES
            if wanted and not shown:
                shown = True
                image = decode_image(stored.image)
                report.samples.append(Sample(image, stored.targets[0]["box_xyxy"], clip.name))
    report.remarks.append(f"layout: {name}, {len(chosen)} of {len(clips)} clips read")
    if rows:
        box = np.array(boxes, np.float32)
        size = box[:, 2:] - box[:, :2]
        video, track, frame, category = np.array(rows, np.int64).T
        xywh = np.concatenate([box[:, :2], size], -1)
        number = np.arange(len(rows))
        index = Index(video, track, frame, category, size, number, box, xywh)
        report.add_boxes(index)
    else:
        report.problems.append("no target can be used")
    report.add_images(len(digests), [], digests)
    _judge_drops(report, drops, len(rows), len(chosen))
    return report


# Reasons that the annotators gave, or a box's size: no sign of damage.
_HARMLESS = (
    "the target is flagged",
    "there is no box",
    "nothing is annotated",
    "the box is too",
    NOT_CONSIDERED,
    NO_TARGET,
)


def _judge_drops(report: Report, drops: Drops, kept: int, clips: int) -> None:
    report.remarks += (f"note: {remark.strip()}" for remark in drops.told())
    if drops.total:
        report.remarks.append("a preparation would leave out:")
        report.remarks += drops.lines()
    _judge_corners(report, drops, kept)
    hints = {
        LOOKS_NORMALISED: "multiply them by the frame's width and height",
        OTHER_SIZE: "if the images were resized or turned, do the same to their boxes",
    }
    for reason, count in drops.counts.items():
        # how many targets an unreadable file has is not known
        of = clips if reason == UNREADABLE else kept + drops.total
        if reason.startswith(_HARMLESS) or count <= _TOLERATED * of:
            continue
        hint = hints.get(reason, "see the examples above")
        what = " videos or images" if reason == UNREADABLE else ""
        report.problems.append(f"{count} of {of}{what}: {reason}; {hint}")


def _judge_corners(report, drops, kept):
    if look_like_corners(drops, kept):
        report.problems.append(
            "many boxes reach beyond their frames: are they corners (x1, y1, x2, y2)?"
        )


def _choose(count: int, limit: int, seed: int) -> np.ndarray:
    """At most `limit` of the indices below `count`, at random."""
    order = np.random.default_rng(seed).permutation(count)
    return order[:limit]
