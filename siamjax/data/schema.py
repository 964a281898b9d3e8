"""Keys, types and shapes of stored records and of training batches.

A record is one target in one frame: an encoded square crop with context, and the target's
box in it. A batch is what one training step consumes.
"""

from typing import Any, NamedTuple, TypedDict

import numpy as np


class Record(TypedDict):
    """One target in one frame, as stored.

    The crop is square with the target's centre at pixel (size // 2, size // 2); its side
    covers `context_side * size / template_size` of the frame (PySOT's crop511 recipe).
    """

    image: bytes  # the crop, an encoded JPEG
    box_xyxy: np.ndarray  # [4] float32, pixels of the crop
    video: int  # video or still image, unique in the set
    track: int  # the target within the video
    frame: int  # frame number
    category: int  # -1 where unknown


Array = Any  # of NumPy on the host, of JAX on devices; or what stands for its shape


class Batch(NamedTuple):
    """One training step's pairs. `b` pairs, `h w` cells of the score map, `a` anchors."""

    template: Array  # [b, t, t, 3] float32, BGR 0..255
    search: Array  # [b, s, s, 3] float32, BGR 0..255
    label_cls: Array  # [b, h, w, a] int32: 1 target, 0 background, -1 ignored
    label_loc: Array  # [b, h, w, a, 4] float32: (dx, dy, dw, dh)
    label_loc_weight: Array  # [b, h, w, a] float32: 1 / positives of the pair, or 0
    box_xyxy: Array  # [b, 4] float32: the target in the search image, pixels
    is_negative_pair: Array  # [b] bool: the search image does not show the target
    records: Array  # [b, 2] int64: records of the template and the search image


class DrawnBatch(NamedTuple):
    """A batch whose images are augmented and labelled later, on the device.

    Pairs of numbers belong to the template and the search image.
    """

    template: Array  # [b, t, t, 3] uint8, BGR
    search: Array  # [b, s, s, 3] uint8, BGR
    color: Array  # [b, 2, 3] float32: BGR, to be subtracted
    blur_size: Array  # [b, 2] int32: pixels, odd; 1 for none
    blur_mix: Array  # [b, 2] float32: share of the stroke that runs down the column
    flip: Array  # [b, 2] bool
    box_xyxy: Array  # [b, 4] float32: the target in the finished search image, pixels
    is_negative_pair: Array  # [b] bool
    rank: Array  # [b, h, w, a] int32: the anchors in a random order
    records: Array  # [b, 2] int64


AnyBatch = Batch | DrawnBatch


def drawn_shapes(
    batch_size: int, template_size: int, search_size: int, score_size: int, anchors: int
) -> DrawnBatch:
    """The `(shape, dtype)` of every array of a drawn batch."""
    return DrawnBatch(
        template=((batch_size, template_size, template_size, 3), np.uint8),
        search=((batch_size, search_size, search_size, 3), np.uint8),
        color=((batch_size, 2, 3), np.float32),
        blur_size=((batch_size, 2), np.int32),
        blur_mix=((batch_size, 2), np.float32),
        flip=((batch_size, 2), np.bool_),
        box_xyxy=((batch_size, 4), np.float32),
        is_negative_pair=((batch_size,), np.bool_),
        rank=((batch_size, score_size, score_size, anchors), np.int32),
        records=((batch_size, 2), np.int64),
    )


def batch_shapes(
    batch_size: int, template_size: int, search_size: int, score_size: int, anchors: int
) -> Batch:
    """The `(shape, dtype)` of every array of a batch."""
    labels = (batch_size, score_size, score_size, anchors)
    return Batch(
        template=((batch_size, template_size, template_size, 3), np.float32),
        search=((batch_size, search_size, search_size, 3), np.float32),
        label_cls=(labels, np.int32),
        label_loc=((*labels, 4), np.float32),
        label_loc_weight=(labels, np.float32),
        box_xyxy=((batch_size, 4), np.float32),
        is_negative_pair=((batch_size,), np.bool_),
        records=((batch_size, 2), np.int64),
    )
