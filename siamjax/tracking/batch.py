"""Many targets with one device call per frame: in many sequences, or in one video."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.config import Config, TrackingConfig
from siamjax.errors import InputError
from siamjax.models.forward import forward_jit
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking import step
from siamjax.tracking.frames import (
    Color,
    FrameError,
    NoTargetError,
    as_bgr,
    as_box_xywh,
    pad_frame,
    pad_frames,
    require_shape,
    size_of,
)
from siamjax.tracking.result import Fetched, Result, first_result
from siamjax.tracking.served import Programs
from siamjax.tracking.state import TrackerState, TrackOutput

MAX_SLOTS = 4096  # each holds a template on the device; more is a mistake
# From slots, the first repeated as padding, to what `update_batch` takes: frames and sizes.
_FramesOf = Callable[[list[int]], tuple[Array, Array | np.ndarray]]


@forward_jit("network", "config", "search_size")
def update_batch(
    variables: dict,
    states: TrackerState,
    frames: Array,
    frame_sizes: Array,
    *,
    network: SiameseRPN | SiamFC,
    config: TrackingConfig,
    search_size: int | None = None,
) -> tuple[TrackerState, TrackOutput]:
    """`step.update` for n targets: states and outputs have a first axis of n.

    `frames` is `[n, H, W, 3]` uint8, a frame for each target, with `frame_sizes` `[n, 2]`; or
    one frame `[H, W, 3]` that shows them all, with `frame_sizes` `[2]`. The network sees all
    search images as one batch.
    """
    options = {"config": config, "search_size": search_size}
    each = None if frames.ndim == 3 else 0
    if isinstance(network, Programs):  # which take one target
        one = partial(step.update, variables, network=network, **options)
        if each is None:
            return jax.lax.map(lambda state: one(state, frames, frame_sizes), states)
        return jax.lax.map(lambda target: one(*target), (states, frames, frame_sizes))
    if config.tracker.distractors is not None:
        update = partial(step.update, variables, network=network, **options)
        return jax.vmap(update, (0, each, each))(states, frames, frame_sizes)
    crops = partial(step.search_crops, **options)
    scales, searches = jax.vmap(crops, (0, each, each))(states, frames, frame_sizes)
    n, images = searches.shape[:2]
    template = jax.tree.map(lambda x: jnp.repeat(x[:, 0], images, axis=0), states.template)
    prediction = network.apply(
        variables, template, searches.reshape(-1, *searches.shape[2:]), method=network.predict
    )
    prediction = jax.tree.map(lambda x: x.reshape(n, images, *x.shape[1:]), prediction)
    options["refine"] = step.refiner(variables, network=network, config=config)
    follow = jax.vmap(partial(step.follow, **options), (0, 0, 0, each))
    return follow(states, prediction, scales, frame_sizes)


@forward_jit("network", "config", "search_size")
def _advance(
    variables, states, chosen, frames, frame_sizes, *, network, config, search_size
) -> tuple[TrackerState, TrackOutput, Array | None]:
    """One step for the targets in slots `chosen` `[k]`; out-of-range slots are padding.

    Returns all states, and the output and the steps lost of the chosen.
    """
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


@jax.jit
def _stack(states: list[TrackerState]) -> TrackerState:
    return jax.tree.map(lambda *x: jnp.stack(x), *states)


@partial(jax.jit, static_argnames="count")
def _room_for(state: TrackerState, count: int) -> TrackerState:
    return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), state)


class _Target(NamedTuple):
    """What the host knows about a target."""

    shape: tuple[int, int]  # of its frames: height, width
    first_search_size: int
    result: Result  # the last one

    @classmethod
    def begin(
        cls, box_xywh: np.ndarray, shape: tuple[int, int], config: TrackingConfig
    ) -> "_Target":
        height, width = shape
        size = step.first_search_size(config, box_xywh, width, height)
        return cls(shape, size, first_result(box_xywh, shape, config))

    def search_size(self, config: TrackingConfig) -> int:
        """The search size of the next frame."""
        return step.search_size_of(config, self.first_search_size, self.result.steps_lost)

    def moved(self, fetched: Fetched, number: int, config: TrackingConfig) -> "_Target":
        """The target after a step in which it was row `number` of the batch."""
        return self._replace(result=Result.of(fetched, self.shape, config, number))


def _by_search_size(
    targets: Mapping[int, _Target], config: TrackingConfig
) -> dict[int, list[int]]:
    """The slots of the targets, grouped by the search size of their next frame."""
    found: dict[int, list[int]] = {}
    for number, target in targets.items():
        found.setdefault(target.search_size(config), []).append(number)
    return found


def _batch_of(chosen: list[int], room: int) -> np.ndarray:
    """The slots `chosen`, padded with the out-of-range `room` to a power of two.

    Few batch sizes are compiled that way; none is larger than `room`.
    """
    size = min(1 << (len(chosen) - 1).bit_length(), room)
    return np.array(chosen + [room] * (size - len(chosen)), np.int32)


class _Slots:
    """Targets in numbered slots, moved on together: what both trackers below are made of."""

    def __init__(
        self, network: SiameseRPN | SiamFC, variables: dict, config: Config | TrackingConfig
    ):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self._settings = TrackingConfig(config.model, config.tracker)
        self._static = {"network": network, "config": self._settings}
        self._states: TrackerState | None = None
        self._targets: dict[int, _Target] = {}

    def _move(self, slots: Iterable[int], room: int, frames_of: _FramesOf) -> None:
        """One step for the targets in `slots`, all below `room`; a call per search size."""
        targets = {slot: self._targets[slot] for slot in slots}
        for search_size, chosen in _by_search_size(targets, self._settings).items():
            numbers = _batch_of(chosen, room)
            padding = chosen[:1] * (len(numbers) - len(chosen))
            self._states, output, steps_lost = _advance(
                self.variables,
                self._states,
                numbers,
                *frames_of(chosen + padding),
                search_size=search_size,
                **self._static,
            )
            fetched = Fetched(output, steps_lost)
            for k, slot in enumerate(chosen):
                self._targets[slot] = targets[slot].moved(fetched, k, self._settings)


class BatchTracker(_Slots):
    """Follows one target in each of many sequences at once.

        tracker.init(slot, frame, box_xywh)
        results = tracker.update({slot: frame, ...})

    `init` starts a new sequence in a slot at any time. Slots without a frame in an update
    stay as they are and cost nothing. Frames may differ in size, and are padded to the
    largest. An update is one device call; for a long-term tracker, one for each search size in
    use. It is compiled for batches of powers of two up to `slots`. Frames, boxes and results
    are as in `Tracker`.

    Attributes:
        network, variables, config: as those of `Tracker`.
        slots: how many sequences there may be at once.
    """

    def __init__(
        self,
        network: SiameseRPN | SiamFC,
        variables: dict,
        config: Config | TrackingConfig,
        slots: int,
    ):
        if not 1 <= slots <= MAX_SLOTS:
            raise InputError(f"`slots` (={slots}) must lie between 1 and {MAX_SLOTS}")
        super().__init__(network, variables, config)
        self.slots = slots

    def init(self, slot: int, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts in `slot`, 0 to `slots` - 1; raises as `Tracker.init` and changes nothing."""
        if not 0 <= slot < self.slots:
            raise InputError(f"`slot` (={slot}) must lie between 0 and {self.slots - 1}")
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        placed = jax.device_put((pad_frame(frame), size_of(frame), box))
        state = step.init(self.variables, *placed, **self._static)
        if self._states is None:
            self._states = _room_for(state, self.slots)
        self._states = _replace(self._states, np.int32(slot), state)
        self._targets[slot] = _Target.begin(box, (height, width), self._settings)

    def update(
        self, frames: Mapping[int, object], *, color: Color = "bgr"
    ) -> dict[int, Result]:
        """The next frame of some slots: `{slot: result}`, in the order of `frames`.

        Raises `FrameError`, naming the slot, for a frame that cannot be used, and
        `RuntimeError` for a slot without a target; all slots then stay as they were.
        """
        ready = {slot: self._check(slot, frame, color) for slot, frame in frames.items()}

        def frames_of(slots: list[int]) -> tuple:
            some = [ready[slot] for slot in slots]
            sizes = np.stack([size_of(frame) for frame in some])
            return jax.device_put(pad_frames(some)), sizes

        self._move(ready, self.slots, frames_of)
        return {slot: self._targets[slot].result for slot in frames}

    def _check(self, slot: int, frame, color: Color):
        if slot not in self._targets:
            raise NoTargetError(f"call `init` for slot {slot} first: it has no target yet")
        try:
            frame = as_bgr(frame, color)
            require_shape(frame, self._targets[slot].shape)
        except FrameError as error:
            raise FrameError(f"slot {slot}: {error}") from None
        return frame


class MultiTracker(_Slots):
    """Follows several targets through one video; each frame goes to the device once.

        tracker.init(frame, boxes_xywh)
        results = tracker.update(frame)

    Targets do not influence each other. An update is one device call; for a long-term
    tracker, one for each search size in use. Frames, boxes and results are as in `Tracker`;
    the attributes are those of the last results.

    Attributes:
        network, variables, config: as those of `Tracker`.
    """

    def init(self, frame, boxes_xywh, *, color: Color = "bgr") -> None:
        """Starts with the targets in `boxes_xywh`, `[n, 4]`, of one frame.

        Raises `FrameError` or `BoxError`, and then keeps the previous targets, if any.
        """
        frame = as_bgr(frame, color)
        height, width = frame.shape[:2]
        boxes = [as_box_xywh(box, width, height) for box in boxes_xywh]
        if not boxes:
            raise InputError("`boxes_xywh` is empty; give at least one box")
        placed = jax.device_put((pad_frame(frame), size_of(frame)))
        starts = [(self.variables, *placed, jax.device_put(box)) for box in boxes]
        targets = {
            k: _Target.begin(box, (height, width), self._settings)
            for k, box in enumerate(boxes)
        }
        search_size, chosen = next(iter(_by_search_size(targets, self._settings).items()))
        step.compile_ahead(
            frame,
            step.init.trace(*starts[0], **self._static),
            lambda state: _advance.trace(
                self.variables,
                jax.tree.map(
                    lambda x: jax.ShapeDtypeStruct((len(boxes), *x.shape), x.dtype), state
                ),
                _batch_of(chosen, len(boxes)),
                *placed,
                search_size=search_size,
                **self._static,
            ),
        )
        self._states = _stack([step.init(*start, **self._static) for start in starts])
        self._targets = targets

    def update(self, frame, *, color: Color = "bgr") -> list[Result]:
        """Finds every target in the next frame: a result each, in the order of `boxes_xywh`.

        Raises `FrameError`, and then stays as it was.
        """
        if self._states is None:
            raise NoTargetError("call `init(frame, boxes_xywh)` first: no target is known yet")
        frame = as_bgr(frame, color)
        require_shape(frame, self._targets[0].shape)
        placed = jax.device_put((pad_frame(frame), size_of(frame)))
        self._move(self._targets, len(self._targets), lambda _: placed)
        return self._results

    @property
    def _results(self) -> list[Result]:
        return [target.result for target in self._targets.values()]

    @property
    def boxes_xywh(self) -> np.ndarray:
        """Where each target was last found, `[n, 4]` float32."""
        return np.array([each.box_xywh for each in self._results], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> np.ndarray:
        """The score of each target, `[n]` float32 in [0, 1]; 1 after `init`."""
        return np.array([each.score for each in self._results], np.float32)

    @property
    def polygons(self) -> list[np.ndarray | None] | None:
        """`Result.polygon` of each target; None for a network without masks."""
        return [each.polygon for each in self._results] if self._settings.model.mask else None

    @property
    def are_lost(self) -> np.ndarray:
        """Which targets are lost, see `Result.is_lost`: `[n]` bool."""
        return np.array([each.is_lost for each in self._results], bool)
