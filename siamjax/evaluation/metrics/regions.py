"""VOT's regions: in each frame a code, a box, or a polygon.

A frame has one number (a code), four (x, y, w, h), or an even number of at least six (the
corners x1, y1, x2, y2, ...). Pixels are 0-based.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from siamjax.errors import RefusedError

# Codes of frames in a supervised result. Reference: VOT's file format.
SKIPPED, INITIALISED, FAILED = 0, 1, 2


class RegionError(RefusedError):
    """Numbers that are no code, box or polygon; the message says where."""


@dataclasses.dataclass(frozen=True, eq=False)
class Regions:
    """The regions of `t` frames.

    Attributes:
      values: [t, m] float64, m at least 8; each frame's numbers, padded with NaN.
      count: [t] how many numbers a frame has: 1 for a code, 4 for a box, an even number of
        at least 6 for a polygon.
    """

    values: np.ndarray
    count: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float]]) -> "Regions":
        """One row of numbers for each frame.

        Raises `RegionError` naming the first row (counted from 1) of another length.
        """
        count = np.fromiter(map(len, rows), np.int64, len(rows))
        wrong = ~((count == 1) | ((count >= 4) & (count % 2 == 0)))
        if wrong.any():
            first = int(wrong.argmax())
            raise RegionError(
                f"{count[first]} values in row {first + 1}: a code (1), a box (4) or the "
                "corners of a polygon (6, 8, ...) are expected"
            )
        width = max(8, int(count.max(initial=0)))
        values = np.full((len(rows), width), np.nan)
        used = np.arange(width) < count[:, None]
        values[used] = np.fromiter((v for row in rows for v in row), np.float64, count.sum())
        return cls(values, count)

    @classmethod
    def from_boxes(cls, boxes_xywh: np.ndarray) -> "Regions":
        """Boxes `[t, 4]`."""
        values = np.full((len(boxes_xywh), 8), np.nan)
        values[:, :4] = boxes_xywh
        return cls(values, np.full(len(boxes_xywh), 4))

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, frames) -> "Regions":
        """The regions of a slice, an index array or a mask of frames."""
        return Regions(self.values[frames], self.count[frames])

    @property
    def is_region(self) -> np.ndarray:
        """Which frames have a box or a polygon rather than a code, `[t]` bool."""
        return self.count > 1

    @property
    def is_finite(self) -> np.ndarray:
        """Which frames have a box or a polygon without NaN or infinity, `[t]` bool."""
        used = np.arange(self.values.shape[1]) < self.count[:, None]
        return self.is_region & (np.isfinite(self.values) | ~used).all(axis=1)

    @property
    def corner_count(self) -> np.ndarray:
        """How many corners each region has, `[t]`; 0 for a code."""
        return np.where(self.count == 4, 4, self.count // 2)

    def has_code(self, code: int) -> np.ndarray:
        """Which frames have this code, `[t]` bool."""
        return (self.count == 1) & (self.values[:, 0] == code)

    def row(self, frame: int) -> np.ndarray:
        """The numbers of one frame, without padding."""
        return self.values[frame, : self.count[frame]]

    def polygons(self) -> np.ndarray:
        """Corners `[t, k, 2]`; NaN where the frame has a code.

        A box has its corners at x and x + w, y and y + h. A polygon with fewer corners than
        others repeats its last one.
        """
        corners = self.values.reshape(len(self), -1, 2)
        last = np.maximum(self.count // 2 - 1, 0)
        index = np.minimum(np.arange(corners.shape[1]), last[:, None])
        polygons = np.take_along_axis(corners, index[:, :, None], axis=1)
        polygons[~self.is_region] = np.nan
        is_box = self.count == 4
        four = box_corners(self.values[is_box, :4])
        repeated = np.minimum(np.arange(corners.shape[1]), 3)
        polygons[is_box] = four[:, repeated]
        return polygons


@dataclasses.dataclass(frozen=True, eq=False)
class VotSequence:
    """The annotation of one sequence of t frames.

    Attributes:
      name: unique in its challenge.
      ground_truth: one region per frame; a code or NaN where the target is absent.
      tags: [t] bool by attribute; attributes without annotation are missing.
      frame_size: width and height, pixels; None if unknown.
      frame_paths: the images, which need not exist; empty if their names are unknown.
    """

    name: str
    ground_truth: Regions
    tags: dict[str, np.ndarray]
    frame_size: tuple[int, int] | None
    frame_paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.ground_truth)


def box_corners(boxes_xywh: np.ndarray, *, to_last_pixel: bool = False) -> np.ndarray:
    """The corners of boxes `[..., 4]`, clockwise from the top left: `[..., 4, 2]`.

    The far corners lie at x + w and y + h, as in PySOT's overlap; with
    `to_last_pixel` at x + w - 1 and y + h - 1, as in its supervised runs.
    """
    boxes_xywh = np.asarray(boxes_xywh, dtype=np.float64)
    x, y, w, h = np.moveaxis(boxes_xywh, -1, 0)
    right, bottom = x + w - to_last_pixel, y + h - to_last_pixel
    corners = [(x, y), (right, y), (right, bottom), (x, bottom)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=-2)


def enclosing_boxes(regions: Regions) -> np.ndarray:
    """The bounding box of each region, `[t, 4]` `_xywh`; NaN where it is not finite."""
    values = np.where(regions.is_finite[:, None], regions.values, np.nan)
    corners = Regions(values, regions.count).polygons()
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1)


def polygon_to_box(polygon) -> np.ndarray:
    """The axis-aligned box of the same area as a rotated one of four corners, `_cxcywh` `[4]`.

    Centred on the mean corner; the enclosing box shrunk by the square root of the ratio of
    areas, plus one pixel. Other polygons are not shrunk. Reference: PySOT's
    `get_axis_aligned_bbox`.
    """
    polygon = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    extent = polygon.max(axis=0) - polygon.min(axis=0)
    if len(polygon) != 4:
        return np.concatenate([polygon.mean(axis=0), extent + 1])
    sides = np.linalg.norm(polygon[[0, 1]] - polygon[[1, 2]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shrink = np.sqrt(sides.prod() / extent.prod())
    return np.concatenate([polygon.mean(axis=0), shrink * extent + 1])


def initial_box(region: np.ndarray, *, as_polygon: bool = True) -> np.ndarray:
    """The box to initialise a tracker with, from a region of 4 or 8 numbers, `_xywh` `[4]`.

    A box is converted to a polygon first (`box_corners` to the last pixel), as in PySOT's
    supervised runs; without `as_polygon` its centre is x + w / 2, as in its one-pass runs.
    The centre of the returned box is x + (w - 1) / 2. Raises `RegionError` for anything else,
    and for a region without area.
    """
    region = np.asarray(region, dtype=np.float64).ravel()
    if region.size not in (4, 8) or not np.isfinite(region).all():
        raise RegionError(f"no tracker can start from the region {region.tolist()}")
    if region.size == 8 or as_polygon:
        corners = region if region.size == 8 else box_corners(region, to_last_pixel=True)
        box_cxcywh = polygon_to_box(corners)
    else:
        box_cxcywh = np.array([*(region[:2] + region[2:] / 2), *region[2:]])
    center, size = box_cxcywh[:2], box_cxcywh[2:]
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise RegionError(f"the region {region.tolist()} has no area to start from")
    return np.concatenate([center - (size - 1) / 2, size])
