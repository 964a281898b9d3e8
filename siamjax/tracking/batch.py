"""Many targets at once, one device call a frame: sequences in lock-step, or one frame's."""

from collections.abc import Mapping
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.config import Config
from siamjax.errors import InputError
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import tracker
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
from siamjax.tracking.outline import polygon_of
from siamjax.tracking.state import Mask, TrackerState, TrackOutput


@partial(jax.jit, static_argnames=("network", "config", "search_size"))
def update_batch(
    variables: dict,
    states: TrackerState,
    frames: Array,
    frame_sizes: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: Config,
    search_size: int | None = None,
) -> tuple[TrackerState, TrackOutput]:
    """`tracker.update` for n targets: every array of `states` and of what comes back has a
    first axis of n.

    `frames` is `[n, H, W, 3]` uint8, a frame for each target, with `frame_sizes` `[n, 2]`; or
    one frame `[H, W, 3]` that shows them all, with `frame_sizes` `[2]`. The network sees all
    search images as one batch.
    """
    options = {"config": config, "search_size": search_size}
    each = None if frames.ndim == 3 else 0
    if config.tracker.distractors is not None:
        step = partial(tracker.update, variables, network=network, **options)
        return jax.vmap(step, (0, each, each))(states, frames, frame_sizes)
    crops = partial(tracker.search_crops, **options)
    scales, searches = jax.vmap(crops, (0, each, each))(states, frames, frame_sizes)
    n, images = searches.shape[:2]
    template = jax.tree.map(lambda x: jnp.repeat(x[:, 0], images, axis=0), states.template)
    prediction = network.apply(
        variables, template, searches.reshape(-1, *searches.shape[2:]), method=network.predict
    )
    prediction = jax.tree.map(lambda x: x.reshape(n, images, *x.shape[1:]), prediction)
    options["refine"] = tracker.refiner(variables, network=network, config=config)
    follow = jax.vmap(partial(tracker.follow, **options), (0, 0, 0, each))
    return follow(states, prediction, scales, frame_sizes)


@partial(jax.jit, static_argnames=("network", "config", "search_size"))
def _advance(
    variables, states, chosen, frames, frame_sizes, *, network, config, search_size
) -> tuple[TrackerState, TrackOutput, Array | None]:
    """Moves the targets numbered `chosen` `[k]` on, a number beyond the last is none's."""
    some = jax.tree.map(lambda x: x.at[chosen].get(mode="clip"), states)
    some, output = update_batch(
        variables,
        some,
        frames,
        frame_sizes,
        network=network,
        config=config,
        search_size=search_size,
    )
    states = jax.tree.map(lambda x, new: x.at[chosen].set(new, mode="drop"), states, some)
    return states, output, some.steps_lost


@jax.jit
def _replace(states: TrackerState, number: Array, state: TrackerState) -> TrackerState:
    return jax.tree.map(lambda x, new: x.at[number].set(new), states, state)


@partial(jax.jit, static_argnames="count")
def _room_for(state: TrackerState, count: int) -> TrackerState:
    return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), state)


class _Target(NamedTuple):
    """What the host has to know of a target."""

    shape: tuple[int, int]  # of its frames: height, width
    first_search_size: int
    steps_lost: int


def _batch_of(chosen: list[int], room: int) -> np.ndarray:
    """The numbers `chosen`, filled up with `room`, which is nobody's, to a power of two.

    There are few sizes to compile then, and little is wasted; never more than `room`.
    """
    size = min(1 << (len(chosen) - 1).bit_length(), room)
    return np.array(chosen + [room] * (size - len(chosen)), np.int32)


class BatchTracker:
    """Follows one target in each of many sequences, in lock-step.

        tracker.init(slot, frame, box_xywh)
        boxes_and_scores = tracker.update({slot: frame, ...})

    A slot takes a new sequence whenever `init` is called for it; slots without a frame in a
    call stand still and cost nothing. Frames may differ in size: in a call they share the
    bucket of the largest. A call is one device call, or one for each search size in use
    where the configuration is a long-term tracker's. Its compiled sizes are the powers of
    two up to `slots`. Frames and boxes are those of `Tracker`, and so are the results.

    Attributes:
        network, variables, config: as those of `Tracker`.
        slots: how many sequences there may be at once.
        polygons: of the slots in the last `update`, as `Tracker.polygon`; empty for a network
            without masks.
    """

    def __init__(
        self, network: SiameseRPN | SiamFC, variables: dict, config: Config, slots: int
    ):
        if slots < 1:
            raise InputError(f"`slots` (={slots}) must be at least 1")
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self.slots = slots
        self.polygons: dict[int, np.ndarray] = {}
        self._states: TrackerState | None = None
        self._targets: dict[int, _Target] = {}

    def init(self, slot: int, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts in `slot`, 0 to `slots` - 1; raises as `Tracker.init` and changes nothing."""
        if not 0 <= slot < self.slots:
            raise InputError(f"`slot` (={slot}) must lie between 0 and {self.slots - 1}")
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        state = tracker.init(
            self.variables,
            jax.device_put(pad_frame(frame)),
            jax.device_put(size_of(frame)),
            jax.device_put(box),
            network=self.network,
            config=self.config,
        )
        if self._states is None:
            self._states = _room_for(state, self.slots)
        self._states = _replace(self._states, np.int32(slot), state)
        first = tracker.first_search_size(self.config, box, width, height)
        self._targets[slot] = _Target((height, width), first, 0)

    def update(
        self, frames: Mapping[int, object], *, color: Color = "bgr"
    ) -> dict[int, tuple[np.ndarray, float]]:
        """The next frame of some slots: `{slot: (box_xywh [4] float32, score)}`.

        Raises `FrameError`, naming the slot, for a frame that cannot be used, and
        `RuntimeError` for a slot without a target; nothing moves then.
        """
        ready = {slot: self._check(slot, frame, color) for slot, frame in frames.items()}
        by_size: dict[int, list[int]] = {}
        for slot in ready:
            target = self._targets[slot]
            size = tracker.search_size_of(
                self.config, target.first_search_size, target.steps_lost
            )
            by_size.setdefault(size, []).append(slot)
        results, self.polygons = {}, {}
        for size, slots in by_size.items():
            results |= self._update(slots, [ready[slot] for slot in slots], size)
        return {slot: results[slot] for slot in frames}

    def _check(self, slot: int, frame, color: Color):
        if slot not in self._targets:
            raise RuntimeError(f"call `init` for slot {slot} first: it has no target yet")
        try:
            frame = as_bgr(frame, color)
            require_shape(frame, self._targets[slot].shape)
        except FrameError as error:
            raise FrameError(f"slot {slot}: {error}") from None
        return frame

    def _update(self, slots: list[int], frames: list, search_size: int) -> dict:
        numbers = _batch_of(slots, self.slots)
        frames = frames + frames[:1] * (len(numbers) - len(slots))
        self._states, output, steps_lost = _advance(
            self.variables,
            self._states,
            numbers,
            jax.device_put(pad_frames(frames)),
            np.stack([size_of(frame) for frame in frames]),
            network=self.network,
            config=self.config,
            search_size=search_size,
        )
        (boxes, scores, masks), steps_lost = jax.device_get((output, steps_lost))
        for k, slot in enumerate(slots):
            target = self._targets[slot]
            if steps_lost is not None:
                self._targets[slot] = target._replace(steps_lost=int(steps_lost[k]))
            if masks is not None:
                mask = jax.tree.map(itemgetter(k), masks)
                self.polygons[slot] = polygon_of(mask, boxes[k], target.shape, self.config)
        return {slot: (boxes[k], float(scores[k])) for k, slot in enumerate(slots)}


class MultiTracker:
    """Follows several targets through one video; each frame goes to the device once.

        tracker.init(frame, boxes_xywh)
        tracker.update(frame)
        tracker.boxes_xywh, tracker.scores

    Every target is followed as if it were the only one. A call is one device call, or one
    for each search size in use where the configuration is a long-term tracker's. Frames and
    boxes are those of `Tracker`.

    Attributes:
        network, variables, config: as those of `Tracker`.
    """

    def __init__(self, network: SiameseRPN | SiamFC, variables: dict, config: Config):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self._states: TrackerState | None = None
        self._targets: list[_Target] = []
        self._boxes = np.empty((0, 4), np.float32)
        self._scores = np.empty(0, np.float32)
        self._masks: list[Mask | None] = []

    def init(self, frame, boxes_xywh, *, color: Color = "bgr") -> None:
        """Starts with the targets in `boxes_xywh`, `[n, 4]`, of one frame.

        Raises `FrameError` or `BoxError`, and then keeps following what it followed before.
        """
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        boxes = [as_box_xywh(box, width, height) for box in boxes_xywh]
        if not boxes:
            raise InputError("`boxes_xywh` is empty; give at least one box")
        padded, frame_size = jax.device_put((pad_frame(frame), size_of(frame)))
        states = [
            tracker.init(
                self.variables,
                padded,
                frame_size,
                jax.device_put(box),
                network=self.network,
                config=self.config,
            )
            for box in boxes
        ]
        self._states = jax.tree.map(lambda *x: jnp.stack(x), *states)
        self._targets = [
            _Target(
                (height, width),
                tracker.first_search_size(self.config, box, width, height),
                0,
            )
            for box in boxes
        ]
        self._boxes, self._scores = np.stack(boxes), np.ones(len(boxes), np.float32)
        self._masks = [None] * len(boxes)

    def update(self, frame, *, color: Color = "bgr") -> None:
        """Finds every target in the next frame; raises `FrameError` without moving."""
        if self._states is None:
            raise RuntimeError("call `init(frame, boxes_xywh)` first: no target is known yet")
        frame = as_bgr(frame, color)
        require_shape(frame, self._targets[0].shape)
        padded, frame_size = jax.device_put((pad_frame(frame), size_of(frame)))
        by_size: dict[int, list[int]] = {}
        for k, target in enumerate(self._targets):
            size = tracker.search_size_of(
                self.config, target.first_search_size, target.steps_lost
            )
            by_size.setdefault(size, []).append(k)
        self._boxes, self._scores = self._boxes.copy(), self._scores.copy()
        for size, chosen in by_size.items():
            self._states, output, steps_lost = _advance(
                self.variables,
                self._states,
                _batch_of(chosen, len(self._targets)),
                padded,
                frame_size,
                network=self.network,
                config=self.config,
                search_size=size,
            )
            (boxes, scores, masks), steps_lost = jax.device_get((output, steps_lost))
            for i, k in enumerate(chosen):
                self._boxes[k], self._scores[k] = boxes[i], scores[i]
                self._masks[k] = jax.tree.map(itemgetter(i), masks)
                if steps_lost is not None:
                    self._targets[k] = self._targets[k]._replace(steps_lost=int(steps_lost[i]))

    @property
    def boxes_xywh(self) -> np.ndarray:
        """Where each target was last found, `[n, 4]` float32."""
        return self._boxes

    @property
    def scores(self) -> np.ndarray:
        """How sure that was, `[n]` float32 in [0, 1]; 1 after `init`."""
        return self._scores

    @property
    def polygons(self) -> list[np.ndarray] | None:
        """What `Tracker.polygon` is, of each target."""
        if not self.config.model.mask:
            return None
        return [
            polygon_of(mask, box, target.shape, self.config)
            for mask, box, target in zip(self._masks, self._boxes, self._targets, strict=True)
        ]

    @property
    def are_lost(self) -> np.ndarray:
        """Which targets a long-term tracker is looking for, `[n]` bool."""
        return np.array([target.steps_lost > 0 for target in self._targets], bool)
