"""A whole video in one call: the frames are in memory, and the loop runs on the device."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jax import Array, lax

from siamjax.config import TrackingConfig
from siamjax.errors import InputError
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import step
from siamjax.tracking.frames import (
    Color,
    FrameError,
    as_bgr,
    as_box_xywh,
    pad_frame,
    pad_frames,
    require_shape,
    size_of,
)
from siamjax.tracking.state import TrackerState, TrackOutput


@partial(jax.jit, static_argnames=("network", "config", "search_size"))
def update_all(
    variables: dict,
    state: TrackerState,
    frames: Array,
    frame_size: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
    search_size: int | None = None,
) -> tuple[TrackerState, TrackOutput]:
    """`tracker.update` on one frame after the other of `frames` `[t, H, W, 3]` uint8.

    Gives the last state, and boxes `[t, 4]` and scores `[t]`. `search_size` is that of
    `tracker.first_search_size`. A long-term tracker's search sizes are all compiled, and
    each frame runs one of them.
    """
    sizes = config.tracker.search_sizes(search_size or config.tracker.search_size)

    def advance(size: int, state: TrackerState, frame: Array):
        return step.update(
            variables,
            state,
            frame,
            frame_size,
            network=network,
            config=config,
            search_size=size,
        )

    steps = [partial(advance, size) for size in sizes]

    def body(state: TrackerState, frame: Array):
        if len(steps) == 1:
            return steps[0](state, frame)
        return lax.switch(state.steps_lost, steps, state, frame)  # holds the index in range

    return lax.scan(body, state, frames)


def track_video(
    network: SiameseRPN | SiamFC,
    variables: dict,
    config: TrackingConfig,
    frames: Sequence | np.ndarray | Array,
    box_xywh,
    *,
    color: Color = "bgr",
    chunk: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `[t, 4]` and scores `[t]`, float32, of a video held in memory.

    The first are the given box and 1. `frames` are as those of `Tracker`, all of one size;
    `chunk` of them are on the device at once. The result is that of `Tracker`, frame by
    frame. Raises `FrameError`, naming the frame, or `BoxError`, before anything is tracked.
    """
    if len(frames) == 0:
        raise FrameError("`frames` is empty; give at least the one that shows `box_xywh`")
    if chunk < 1:
        raise InputError(f"`chunk` (={chunk}) must be at least 1")
    checked = []
    for t, frame in enumerate(frames):
        try:
            checked.append(as_bgr(frame, color))
            require_shape(checked[t], checked[0].shape)
        except FrameError as error:
            raise FrameError(f"frame {t} of `frames`: {error}") from None
    height, width = checked[0].shape[:2]
    box = as_box_xywh(box_xywh, width, height)
    frame_size = jax.device_put(size_of(checked[0]))
    options = {"network": network, "config": config}
    state = step.init(
        variables,
        jax.device_put(pad_frame(checked[0])),
        frame_size,
        jax.device_put(box),
        **options,
    )
    options["search_size"] = step.first_search_size(config, box, width, height)
    boxes, scores = [box[None]], [np.ones(1, np.float32)]
    for start in range(1, len(checked), chunk):
        some = checked[start : start + chunk]
        # The last chunk is filled up with its last frame, and compiles nothing of its own.
        full = some + some[-1:] * (min(chunk, len(checked) - 1) - len(some))
        state, output = update_all(
            variables, state, jax.device_put(pad_frames(full)), frame_size, **options
        )
        boxes.append(np.asarray(output.box_xywh)[: len(some)])
        scores.append(np.asarray(output.score)[: len(some)])
    return np.concatenate(boxes), np.concatenate(scores)
