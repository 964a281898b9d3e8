"""One target followed by many settings at once, for the search of hyper-parameters."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.config import Config, TrackerConfig, TrackingConfig
from siamjax.errors import InputError
from siamjax.geometry.crops import context_side
from siamjax.models.forward import forward_jit
from siamjax.models.siamese import SiameseRPN
from siamjax.tracking import step
from siamjax.tracking.frames import (
    Color,
    NoTargetError,
    as_bgr,
    as_box_xywh,
    pad_frame,
    require_shape,
    size_of,
)
from siamjax.tracking.select import Hyperparameters
from siamjax.tracking.state import TrackerState


class CandidateTracker:
    """Follows one target with every candidate's `penalty_k`, `window_influence`, `size_lr`.

        tracker.init(frame, box_xywh)
        boxes_xywh, scores = tracker.update(frame)

    A frame goes to the device once and is one call there. Candidates whose search images
    agree share one pass of the network: images are the same where states are, and with a
    `tolerance` also where they differ by so little that the network would see about the same.
    Each candidate keeps its own size and settings all the same. Other values of the three
    numbers compile nothing new.

    Attributes:
        network, variables, config: as those of `Tracker`; `config.tracker` holds the settings
            that all candidates share.
        candidates: they must agree in all but the three numbers, else `ValueError`: search
            sizes, for one, need a `CandidateTracker` each.
        tolerance: by how many pixels of the search image the target's centre and edges may
            lie elsewhere in an image that is shared. With 0 every candidate gives exactly
            what its own tracker would.
        evaluations: search images that the network has seen since the tracker was made.
    """

    def __init__(
        self,
        network: SiameseRPN,
        variables: dict,
        config: Config | TrackingConfig,
        candidates: Sequence[TrackerConfig],
        *,
        tolerance: float = 0.0,
    ):
        if not tolerance >= 0:
            raise InputError(f"`tolerance` (={tolerance}) must not be negative")
        self.network = network
        self.variables = jax.device_put(variables)
        self.candidates = candidates = tuple(candidates)
        self.config = _without_numbers(config, self.candidates)
        self.tolerance = tolerance
        self.evaluations = 0
        values = [[getattr(c, name) for c in candidates] for name in Hyperparameters._fields]
        self._hyper = Hyperparameters(*jax.device_put(list(np.array(values, np.float32))))
        self._state: TrackerState | None = None
        self._shape: tuple[int, ...] = (0, 0)
        self._search_size = 0
        self._where = np.empty((0, 4), np.float32)  # centre and size of each candidate

    def init(self, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts every candidate with the target in `box_xywh`; raises as `Tracker.init`."""
        frame = as_bgr(frame, color)
        self._shape = height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        self._state = step.init(
            self.variables,
            jax.device_put(pad_frame(frame)),
            jax.device_put(size_of(frame)),
            jax.device_put(box),
            network=self.network,
            config=self.config,
        )
        self._search_size = step.first_search_size(self.config, box, width, height)
        where = np.concatenate(jax.device_get((self._state.center, self._state.size)))
        self._where = np.tile(where, (len(self.candidates), 1))

    def update(self, frame, *, color: Color = "bgr") -> tuple[np.ndarray, np.ndarray]:
        """Boxes `[n, 4]` and scores `[n]`, float32, of every candidate in the next frame.

        Raises `FrameError` without moving.
        """
        if self._state is None:
            raise NoTargetError("call `init(frame, box_xywh)` first: no target is known yet")
        frame = as_bgr(frame, color)
        require_shape(frame, self._shape)
        distinct, shared = share(self._where, self.config, self.tolerance)
        self.evaluations += len(distinct)
        # Batches of powers of two: few sizes to compile.
        room = min(1 << (len(distinct) - 1).bit_length(), len(self.candidates))
        distinct = np.concatenate([distinct, np.tile(distinct[:1], (room - len(distinct), 1))])
        moved = _update(
            self.variables,
            self._state,
            distinct,
            shared,
            self._where[:, 2:],
            self._hyper,
            jax.device_put(pad_frame(frame)),
            jax.device_put(size_of(frame)),
            network=self.network,
            config=self.config,
            search_size=self._search_size,
        )
        self._where, boxes, scores = jax.device_get(moved)
        return boxes, scores


@forward_jit("network", "config", "search_size")
def _update(
    variables,
    state,
    distinct,
    shared,
    sizes,
    hyper,
    frame,
    frame_size,
    *,
    network,
    config,
    search_size,
):
    """`distinct` `[m, 4]` states, of which candidate i sees number `shared[i]`; its size is
    `sizes[i]` all the same. A new centre is found in the image, wherever the old one was.
    """
    options = {"config": config, "search_size": search_size}

    def crop(where):
        here = state._replace(center=where[:2], size=where[2:])
        return step.search_crops(here, frame, frame_size, **options)

    scales, searches = jax.vmap(crop)(distinct)
    template = step.repeat_template(state.template, len(distinct))
    prediction = network.apply(variables, template, searches[:, 0], method=network.predict)

    def follow(number, size, numbers):
        here = state._replace(center=distinct[number, :2], size=size)
        seen = jax.tree.map(lambda x: x[number][None], prediction)
        here, output = step.follow(
            here, seen, scales[number], frame_size, hyper=numbers, **options
        )
        return jnp.concatenate([here.center, here.size]), output.box_xywh, output.score

    return jax.vmap(follow)(shared, sizes, hyper)


def share(
    where: np.ndarray, config: TrackingConfig, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which of n states, centre and size `[n, 4]`, get a search image, and who shares it.

    Returns some of the states, `[m, 4]`, and for each candidate the number of the one that it
    shares, `[n]` int32: its own, or one within `tolerance` pixels of the search image, so that
    no chain of small steps joins what lies far apart.
    """
    if not tolerance:
        distinct, shared = np.unique(where, axis=0, return_inverse=True)
        return distinct, shared.reshape(-1).astype(np.int32)
    context_pixels = config.model.context_pixels
    sides = context_side(where[:, 2], where[:, 3], config.tracker.context_amount)
    pixels = sides / context_pixels  # of the frame, in one of the search image
    looked_at: list[int] = []
    shared = np.empty(len(where), np.int32)
    for i, (state, pixel) in enumerate(zip(where, pixels, strict=True)):
        others = where[looked_at]
        moved = np.abs(others[:, :2] - state[:2]).max(axis=1, initial=0) / pixel
        # a square target fills half of its context
        grown = np.abs(pixels[looked_at] / pixel - 1) * context_pixels / 4
        near = np.flatnonzero(np.maximum(moved, grown) <= tolerance)
        shared[i] = near[0] if len(near) else len(looked_at)
        if not len(near):
            looked_at.append(i)
    return where[looked_at], shared


def _without_numbers(
    config: Config | TrackingConfig, candidates: tuple[TrackerConfig, ...]
) -> TrackingConfig:
    """The configuration with default values for the three numbers.

    Everything else is the candidates', so that it alone decides what is compiled.
    """
    if not candidates:
        raise InputError("`candidates` is empty; give at least one")
    usual = TrackerConfig()
    numbers = {name: getattr(usual, name) for name in Hyperparameters._fields}
    rest = {dataclasses.replace(candidate, **numbers) for candidate in candidates}
    if len(rest) > 1:
        raise InputError(
            f"`candidates` may differ in {', '.join(numbers)} only; make one tracker for each "
            "`search_size`, or other setting"
        )
    (common,) = rest
    kinds = {
        "SiamFC's": config.model.correlation == "plain",
        "a long-term": common.long_term is not None,
        "a distractor-aware": common.distractors is not None,
    }
    for kind, is_it in kinds.items():
        if is_it:
            raise InputError(
                f"{kind} tracker cannot be searched: it does not follow a target with many "
                "settings at once"
            )
    return TrackingConfig(config.model, common)
