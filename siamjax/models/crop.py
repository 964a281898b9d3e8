"""The centre of a feature map."""

from jax import Array

from siamjax.errors import InputError


def center_crop(x: Array, height: int, width: int) -> Array:
    """The middle `height x width` cells of `[b, h, w, c]`.

    Raises `InputError` when the map is smaller, or when the rest cannot be shared evenly
    between both sides: an uneven crop would move every prediction by half a cell.
    """
    for name, have, want in (("height", x.shape[1], height), ("width", x.shape[2], width)):
        if want < 1 or want > have:
            raise InputError(
                f"cannot crop `{name}` (={have}) of a feature map to {want} cells; choose a "
                f"crop of 1 to {have} cells, or a larger image"
            )
        if (have - want) % 2:
            raise InputError(
                f"cannot crop `{name}` (={have}) of a feature map to its middle {want} cells: "
                f"the difference must be even; choose {want - 1 or want + 1} or {want + 1}"
            )
    top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
    return x[:, top : top + height, left : left + width]
