"""Photometric augmentation and labels as a pure function, to run inside the jitted step.

The host draws every random number; colour, blur, flip and labels follow from them as in
`data.augment` and `data.targets`, up to rounding.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from siamjax.config import Config
from siamjax.data.schema import Batch, DrawnBatch
from siamjax.data.targets import training_anchors, training_rules
from siamjax.geometry.assignment import assign_ranked, assign_response

_REACH = 22  # pixels to each side that the longest stroke, 45 pixels, covers
_GRAY = 128.0  # subtracted before summing along a row, so that float32 holds the sums


def make_finish(config: Config) -> Callable[[DrawnBatch], Batch]:
    """`finish(drawn) -> batch` for `data.finish_on` of "device"; pure, to be jitted.

    Augmentations of probability 0 are left out.
    """
    data, model = config.data, config.model
    anchors, rules = training_anchors(model), training_rules(data)
    place = {"search_size": model.search_size, "stride": model.anchors.stride}

    def label(drawn: DrawnBatch) -> tuple[Array, Array, Array]:
        if data.labels == "anchors":
            return assign_ranked(
                drawn.box_xyxy,
                drawn.is_negative_pair,
                drawn.rank,
                jnp.asarray(anchors),
                rules,
                **place,
            )
        cells = assign_response(
            drawn.box_xyxy,
            drawn.is_negative_pair,
            model.score_size,
            radius=data.response_radius,
            distance=data.response_distance,
            **place,
        )
        zeros = jnp.zeros(cells.shape, jnp.float32)
        return cells, jnp.stack([zeros] * 4, -1), zeros

    def finish(drawn: DrawnBatch) -> Batch:
        label_cls, label_loc, label_loc_weight = label(drawn)
        images = []
        settings = (drawn.template, data.template), (drawn.search, data.search)
        for which, (image, chances) in enumerate(settings):
            image = image.astype(jnp.float32) - drawn.color[:, which, None, None, :]
            if chances.blur:
                blur = jax.vmap(motion_blur)
                image = blur(image, drawn.blur_size[:, which], drawn.blur_mix[:, which])
            if chances.flip:
                flip = drawn.flip[:, which, None, None, None]
                image = jnp.where(flip, image[:, :, ::-1], image)
            images.append(image)
        return Batch(
            *images,
            label_cls=label_cls,
            label_loc=label_loc,
            label_loc_weight=label_loc_weight,
            box_xyxy=drawn.box_xyxy,
            is_negative_pair=drawn.is_negative_pair,
            records=drawn.records,
        )

    return finish


def motion_blur(image: Array, size: Array, mix: Array) -> Array:
    """`mix` of the mean along the column over `size` pixels, the rest along the row.

    `image` `[h, w, 3]` float32; `size` an odd number from 1 to 45, int32. The
    image is padded by reflection about its last pixel. See `data.augment.motion_blur`.
    """
    return mix * _mean_along(image, size, 0) + (1 - mix) * _mean_along(image, size, 1)


def _mean_along(image, size, axis):
    widths = [(0, 0)] * 3
    widths[axis] = (_REACH, _REACH)
    padded = jnp.pad(image - _GRAY, widths, mode="reflect")
    before = [(0, 0)] * 3
    before[axis] = (1, 0)
    sums = jnp.pad(jnp.cumsum(padded, axis), before)
    first = jnp.arange(image.shape[axis]) + _REACH - (size - 1) // 2
    total = jnp.take(sums, first + size, axis) - jnp.take(sums, first, axis)
    return total / size.astype(jnp.float32) + _GRAY
