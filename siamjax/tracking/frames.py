"""A caller's frames and first boxes, checked and padded on the host."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.errors import InputError, RefusedError, SiamjaxError

BUCKET = 256  # pixels: frames are padded to multiples of this, measured to cost nothing
Color = Literal["bgr", "rgb"]


class FrameError(RefusedError):
    """An array is not a usable frame; the message says what it is instead."""


class BoxError(RefusedError):
    """A first box cannot be tracked in its frame; the message shows both."""


class NoTargetError(SiamjaxError, RuntimeError):
    """`update` was called before `init`."""


Frame = np.ndarray | jax.Array


def padded_shape(*shapes: tuple[int, ...]) -> tuple[int, int]:
    """The smallest bucket, (height, width), that holds frames of every one of `shapes`."""
    sides = (max(sides) for sides in zip(*shapes, strict=True))
    height, width = (-(-side // BUCKET) * BUCKET for side in sides)
    return height, width


def pad_frame(frame: Frame) -> Frame:
    """The frame with zeros to the right and below, up to multiples of `BUCKET` pixels.

    `[h, w, 3]` uint8 to `[H, W, 3]`: every video whose size falls into the same bucket runs
    the same compiled step. An array of JAX's stays on its device.
    """
    return pad_frames([frame])[0]


def pad_frames(frames: Sequence[Frame]) -> Frame:
    """Frames of any sizes in the bucket that holds them all: `[n, H, W, 3]` uint8."""
    height, width = padded_shape(*(frame.shape[:2] for frame in frames))
    if all(isinstance(frame, jax.Array) for frame in frames):
        return jnp.stack([_pad_on_device(frame, height, width) for frame in frames])
    padded = np.empty((len(frames), height, width, 3), np.uint8)
    for target, frame in zip(padded, frames, strict=True):
        h, w = frame.shape[:2]
        target[:h, :w] = frame
        target[h:] = 0
        target[:h, w:] = 0
    return padded


def _pad_on_device(frame: Frame, height: int, width: int) -> jax.Array:
    h, w = frame.shape[:2]
    return jnp.pad(frame, ((0, height - h), (0, width - w), (0, 0)))


def size_of(frame: Frame) -> np.ndarray:
    """Width and height of a frame: `[2]` float32."""
    return np.array(frame.shape[1::-1], np.float32)


def as_bgr(frame, color: Color = "bgr") -> Frame:
    """A caller's frame as `[h, w, 3]` uint8 BGR.

    Takes arrays of JAX's, which stay on their device, NumPy's, and whatever converts to one
    of these: colour `[h, w, 3]`, in the order that `color` names, or grey `[h, w]` or
    `[h, w, 1]`, which is repeated three times. Raises `FrameError` for anything
    else, and then says how to convert it.
    """
    if color not in ("bgr", "rgb"):
        raise InputError(f'`color` (={color!r}) must be "bgr" or "rgb"')
    frame = _as_array(frame)
    if frame.dtype != np.uint8:
        raise FrameError(f"`frame` is {frame.dtype} and must be uint8; {_to_uint8(frame)}")
    if frame.ndim == 2:
        frame = frame[:, :, None]
    if frame.ndim != 3 or frame.shape[2] not in (1, 3):
        raise FrameError(
            f"`frame` has shape {frame.shape} and must be (height, width, 3), or (height, "
            f"width) for grey; {_to_three_axes(frame.shape)}"
        )
    if 0 in frame.shape:
        raise FrameError(f"`frame` has shape {frame.shape}: it holds no pixel")
    if frame.shape[2] == 1:
        xp = frame.__array_namespace__()
        return xp.broadcast_to(frame, (*frame.shape[:2], 3))
    return frame if color == "bgr" else frame[..., ::-1]


def _as_array(frame) -> Frame:
    """Anything that converts to an array; raises `FrameError`."""
    if frame is None:
        raise FrameError("`frame` is None: it could not be read")
    if isinstance(frame, str | Path):
        raise FrameError(
            f"`frame` (={str(frame)!r}) is a name; read it with `siamjax.images.read_image`"
        )
    if isinstance(frame, jax.Array):
        return frame
    try:
        frame = np.asarray(frame)
    except Exception as error:  # rows of unequal lengths; a tensor on a GPU, or with gradients
        raise FrameError(f"`frame` is no array: {error}") from error
    if frame.dtype.kind not in "buif":
        raise FrameError(f"`frame` is no array of numbers, but of {frame.dtype}")
    return frame


def _to_uint8(frame: Frame) -> str:
    """How to convert a frame of another dtype to uint8, judged by its values."""
    if 0 in frame.shape:
        return "and it holds no pixel"
    if frame.dtype == bool:
        return "convert it with `frame.astype(np.uint8) * 255`"
    values = np.asarray(jax.device_get(frame), np.float64)
    low, high = values.min(), values.max()
    shown = f"its values lie in {low:g} to {high:g}"
    if not np.isfinite([low, high]).all():
        return "some of its values are not finite"
    if low < 0:
        return f"{shown}: shift and scale them to 0..255, then use `.astype(np.uint8)`"
    if np.issubdtype(frame.dtype, np.floating) and high <= 1:
        return f"{shown}: convert it with `(frame * 255).round().astype(np.uint8)`"
    if high <= 255:
        deep = ", or `(frame / 257).astype(np.uint8)` if they have 16 bits"
        return f"{shown}: convert it with `frame.round().astype(np.uint8)`" + (
            deep if frame.dtype == np.uint16 else ""
        )
    # `.astype` alone would wrap: 256 would become 0.
    bits = max(10, int(high).bit_length() + int(high).bit_length() % 2)
    if bits > 16 or np.issubdtype(frame.dtype, np.floating):
        return f"{shown}: convert it with `(frame / frame.max() * 255).astype(np.uint8)`"
    way = f"`(frame / {((1 << bits) - 1) / 255:.6g}).astype(np.uint8)`"
    if bits < 16:
        way += f" for {bits} bits, `(frame / 257).astype(np.uint8)` for 16"
    return f"{shown}: convert it with {way}"


def _to_three_axes(shape: tuple[int, ...]) -> str:
    """How to convert a frame of this shape."""
    if len(shape) == 4:
        return "give the frames of a batch one by one"
    if len(shape) == 3 and shape[2] == 4:
        return "drop the alpha channel with `frame[..., :3]`"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "move the channels to the end with `frame.transpose(1, 2, 0)`"
    return "an image has two or three axes, and one or three channels"


def require_shape(frame: Frame, first: tuple[int, ...]) -> None:
    """Raises `FrameError` unless the frame is as large as the `first` one's (height, width)."""
    if frame.shape[:2] != first[:2]:
        (height, width), (first_height, first_width) = frame.shape[:2], first[:2]
        raise FrameError(
            f"`frame` has {width} x {height} pixels, but tracking began at {first_width} x "
            f"{first_height}; resize it, or call `init` again with a box in its pixels"
        )


def as_box_xywh(box_xywh, width: int, height: int) -> np.ndarray:
    """A caller's first box as `[4]` float32, in a frame of `width` x `height` pixels.

    It may reach out of the frame, but not lie outside or cover all of it. Raises `BoxError`.
    """
    try:
        # A copy: the device may still read it when the caller changes it.
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            box = np.array(box_xywh, np.float32)
    except (TypeError, ValueError):
        box = np.empty(0, np.float32)
    if box.shape != (4,):
        raise BoxError(
            f"`box_xywh` (={box_xywh!r}) must be four numbers: left, top, width, height"
        )
    x, y, w, h = (float(value) for value in box)
    shown = f"`box_xywh` (={x:g}, {y:g}, {w:g}, {h:g})"
    where = f"the frame of {width} x {height} pixels"
    if not np.isfinite(box).all():
        raise BoxError(f"{shown} must be four finite numbers")
    if w <= 0 or h <= 0:
        raise BoxError(f"{shown} must have a positive width and height")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise BoxError(f"{shown} lies outside {where}; give left, top, width, height in pixels")
    if w > width and h > height:
        raise BoxError(
            f"{shown} is larger than {where}: there is nothing to tell it apart from"
        )
    return box
