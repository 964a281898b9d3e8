"""What enters the tracker from outside: frames and first boxes, checked on the host."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.errors import InputError, RefusedError

BUCKET = 256  # pixels: frames are padded to multiples of this, measured to cost nothing
Color = Literal["bgr", "rgb"]


class FrameError(RefusedError):
    """An array is no frame that the tracker can use; the message says what it is instead."""


class BoxError(RefusedError):
    """A first box cannot be tracked in its frame; the message shows both."""


Frame = np.ndarray | jax.Array


def padded_shape(*shapes: tuple[int, int]) -> tuple[int, int]:
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


def pad_frames(frames: list[Frame]) -> Frame:
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


def _pad_on_device(frame: jax.Array, height: int, width: int) -> jax.Array:
    h, w = frame.shape[:2]
    return jnp.pad(frame, ((0, height - h), (0, width - w), (0, 0)))


def size_of(frame: Frame) -> np.ndarray:
    """Width and height of a frame: `[2]` float32."""
    return np.array(frame.shape[1::-1], np.float32)


def as_bgr(frame, color: Color = "bgr") -> Frame:
    """A caller's frame as `[h, w, 3]` uint8 BGR.

    Takes arrays of JAX's, which stay on their device, NumPy's, and whatever converts to one
    of these: colour `[h, w, 3]`, in the order that
    `color` names, or grey `[h, w]` or `[h, w, 1]`, which is shown to the network three
    times. Raises `FrameError` for anything else.
    """
    if color not in ("bgr", "rgb"):
        raise InputError(f'`color` (={color!r}) must be "bgr" or "rgb"')
    if frame is None:
        raise FrameError("`frame` is None: it could not be read")
    if not isinstance(frame, jax.Array):
        try:
            frame = np.asarray(frame)
        except (TypeError, ValueError) as error:  # rows of different lengths, for one
            raise FrameError(f"`frame` is no array: {error}") from error
    if frame.dtype != np.uint8:
        raise FrameError(
            f"`frame` is {frame.dtype} and must be uint8, grey levels 0..255; convert it "
            "with `frame.astype(np.uint8)`, after scaling if it lies in 0..1"
        )
    if frame.ndim == 2:
        frame = frame[:, :, None]
    if frame.ndim != 3 or frame.shape[2] not in (1, 3):
        raise FrameError(
            f"`frame` has shape {frame.shape} and must be (height, width, 3), or (height, "
            "width) for grey; drop an alpha channel with `frame[..., :3]`"
        )
    if 0 in frame.shape:
        raise FrameError(f"`frame` has shape {frame.shape}: it holds no pixel")
    if frame.shape[2] == 1:
        xp = frame.__array_namespace__()
        return xp.broadcast_to(frame, (*frame.shape[:2], 3))
    return frame if color == "bgr" else frame[..., ::-1]


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
        box = np.asarray(box_xywh, np.float32)
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
