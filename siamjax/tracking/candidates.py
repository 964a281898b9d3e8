"""One target followed by many settings at once, for the search of hyper-parameters."""

import dataclasses
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from siamjax.config import Config, TrackerConfig
from siamjax.models.siamese import SiameseRPN
from siamjax.tracking import tracker
from siamjax.tracking.frames import (
    Color,
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

    A frame goes to the device once and is one call there. Candidates whose states agree,
    centre and size, share one pass of the network. Other values of the three numbers compile
    nothing new.

    Attributes:
        network, variables, config: as those of `Tracker`; of `config.tracker`, what is no
            candidate's to choose.
        candidates: they must agree in all but the three numbers, else `ValueError`: search
            sizes, for one, need a `CandidateTracker` each.
        evaluations: search images that the network has seen since the tracker was made.
    """

    def __init__(
        self,
        network: SiameseRPN,
        variables: dict,
        config: Config,
        candidates: Sequence[TrackerConfig],
    ):
        self.network = network
        self.variables = jax.device_put(variables)
        self.candidates = tuple(candidates)
        self.config = _without_numbers(config, self.candidates)
        self.evaluations = 0
        self._hyper = Hyperparameters(
            *(
                jax.device_put(np.float32([getattr(c, name) for c in self.candidates]))
                for name in Hyperparameters._fields
            )
        )
        self._state: TrackerState | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._search_size = 0
        self._where = np.empty((0, 4), np.float32)  # centre and size of each candidate

    def init(self, frame, box_xywh, *, color: Color = "bgr") -> None:
        """Starts every candidate with the target in `box_xywh`; raises as `Tracker.init`."""
        frame = as_bgr(frame, color)
        self._shape = height, width = frame.shape[:2]
        box = as_box_xywh(box_xywh, width, height)
        self._state = tracker.init(
            self.variables,
            jax.device_put(pad_frame(frame)),
            jax.device_put(size_of(frame)),
            jax.device_put(box),
            network=self.network,
            config=self.config,
        )
        self._search_size = tracker.first_search_size(self.config, box, width, height)
        where = np.concatenate(jax.device_get((self._state.center, self._state.size)))
        self._where = np.tile(where, (len(self.candidates), 1))

    def update(self, frame, *, color: Color = "bgr") -> tuple[np.ndarray, np.ndarray]:
        """Boxes `[n, 4]` and scores `[n]`, float32, of every candidate in the next frame.

        Raises `FrameError` without moving.
        """
        if self._state is None:
            raise RuntimeError("call `init(frame, box_xywh)` first: no target is known yet")
        frame = as_bgr(frame, color)
        require_shape(frame, self._shape)
        distinct, shared = np.unique(self._where, axis=0, return_inverse=True)
        self.evaluations += len(distinct)
        # Batches of powers of two: few sizes to compile.
        room = min(1 << (len(distinct) - 1).bit_length(), len(self.candidates))
        distinct = np.concatenate([distinct, np.tile(distinct[:1], (room - len(distinct), 1))])
        moved = _update(
            self.variables,
            self._state,
            distinct,
            shared.reshape(-1).astype(np.int32),
            self._hyper,
            jax.device_put(pad_frame(frame)),
            jax.device_put(size_of(frame)),
            network=self.network,
            config=self.config,
            search_size=self._search_size,
        )
        self._where, boxes, scores = jax.device_get(moved)
        return boxes, scores


@partial(jax.jit, static_argnames=("network", "config", "search_size"))
def _update(
    variables,
    state,
    distinct,
    shared,
    hyper,
    frame,
    frame_size,
    *,
    network,
    config,
    search_size,
):
    """`distinct` `[m, 4]` states, of which candidate i has number `shared[i]`."""
    options = {"config": config, "search_size": search_size}

    def crop(where):
        here = state._replace(center=where[:2], size=where[2:])
        return tracker.search_crops(here, frame, frame_size, **options)

    scales, searches = jax.vmap(crop)(distinct)
    template = tracker.repeat_template(state.template, len(distinct))
    prediction = network.apply(variables, template, searches[:, 0], method=network.predict)

    def follow(number, numbers):
        here = state._replace(center=distinct[number, :2], size=distinct[number, 2:])
        seen = jax.tree.map(lambda x: x[number][None], prediction)
        here, output = tracker.follow(
            here, seen, scales[number], frame_size, hyper=numbers, **options
        )
        return jnp.concatenate([here.center, here.size]), output.box_xywh, output.score

    return jax.vmap(follow)(shared, hyper)


def _without_numbers(config: Config, candidates: tuple[TrackerConfig, ...]) -> Config:
    """The configuration with the three numbers set to nothing in particular.

    Everything else is the candidates', so that it alone decides what is compiled.
    """
    if not candidates:
        raise ValueError("`candidates` is empty; give at least one")
    usual = TrackerConfig()
    numbers = {name: getattr(usual, name) for name in Hyperparameters._fields}
    rest = {dataclasses.replace(candidate, **numbers) for candidate in candidates}
    if len(rest) > 1:
        raise ValueError(
            f"`candidates` may differ in {', '.join(numbers)} only; make one tracker for each "
            "`search_size`, or other setting"
        )
    (common,) = rest
    if config.model.correlation == "plain" or common.long_term or common.distractors:
        raise ValueError(
            f"the candidates of `{config.name}` cannot be searched: neither SiamFC's tracker "
            "nor a long-term or distractor-aware one can be followed by many settings at once"
        )
    return Config(name="candidates", model=config.model, tracker=common)
