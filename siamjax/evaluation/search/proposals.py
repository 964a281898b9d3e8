"""Proposals of settings for a search: a grid, random, or from an optimiser."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np

from siamjax.errors import InputError, require_between

Method = Literal["grid", "random", "tpe"]


class Settings(NamedTuple):
    """The hyper-parameters of the tracker that a search varies."""

    penalty_k: float
    window_influence: float
    size_lr: float
    search_size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """The search space: a range (lowest, highest) per number, and the search sizes.

    The default ranges contain the values of the published models.
    """

    penalty_k: tuple[float, float] = (0.0, 0.5)
    window_influence: tuple[float, float] = (0.2, 0.65)
    size_lr: tuple[float, float] = (0.2, 0.6)
    search_sizes: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.search_sizes:
            raise InputError("`search_sizes` is empty; give at least the configuration's own")
        for size in self.search_sizes:
            require_between("search_sizes", size, 1, 4095)
        for name in _RANGES:
            low, high = getattr(self, name)
            if not 0 <= low <= high <= _RANGES[name]:
                raise InputError(
                    f"`{name}` (={low}, {high}) must be a range (lowest, highest) within 0 and "
                    f"{_RANGES[name]}"
                )


_RANGES = {"penalty_k": 10, "window_influence": 1, "size_lr": 1}  # and the largest values


class Proposer(Protocol):
    """Suggests settings and learns from their scores."""

    def ask(self, count: int) -> list[Settings]:
        """At most `count` new settings; fewer, or none, when they are exhausted."""

    def tell(self, tried: Sequence[Settings], scores: Sequence[float]) -> None:
        """Reports the scores, higher is better, of proposed settings, in their order."""


def make_proposer(method: Method, space: Space, seed: int, total: int) -> Proposer:
    """A proposer of `total` settings, deterministic for a seed.

    Raises `InputError` for an unknown method, or where the optimiser is not installed.
    """
    if method == "grid":
        return _Listed(_grid(space, total))
    if method == "random":
        return _Listed(_random(space, seed, total))
    if method == "tpe":
        return _Optuna(space, seed)
    raise InputError(f"`method` (={method!r}) must be one of {list(get_args(Method))}")


class _Listed:
    """Settings that are fixed in advance."""

    def __init__(self, settings: list[Settings]):
        self._left = settings

    def ask(self, count: int) -> list[Settings]:
        asked, self._left = self._left[:count], self._left[count:]
        return asked

    def tell(self, tried: Sequence[Settings], scores: Sequence[float]) -> None:
        del scores
        self._left = [each for each in self._left if each not in set(tried)]


def _grid(space: Space, total: int) -> list[Settings]:
    """A grid of at most `total` settings with as many steps per axis as possible."""
    steps = max(int((total / len(space.search_sizes)) ** (1 / 3) + 1e-9), 1)
    axes: list[Any] = [_steps(*getattr(space, name), steps) for name in _RANGES]
    return [
        Settings(*numbers, size)
        for *numbers, size in itertools.product(*axes, space.search_sizes)
    ]


def _steps(low: float, high: float, count: int) -> list[float]:
    if count == 1 or low == high:
        return [(low + high) / 2]
    return np.linspace(low, high, count).round(6).tolist()


def _random(space: Space, seed: int, total: int) -> list[Settings]:
    # a larger total extends the list
    drawn = np.random.default_rng(seed).random((total, len(_RANGES) + 1))
    found = []
    for *shares, which in drawn.tolist():
        ranges = (getattr(space, name) for name in _RANGES)
        numbers = [
            round(low + share * (high - low), 6)
            for share, (low, high) in zip(shares, ranges, strict=True)
        ]
        size = space.search_sizes[int(which * len(space.search_sizes))]
        found.append(Settings(*numbers, size))
    return found


class _Optuna:
    """Optuna's tree-structured Parzen estimator, asked for several settings at a time."""

    def __init__(self, space: Space, seed: int):
        try:
            import optuna
        except ImportError as error:
            raise InputError(
                'the method "tpe" needs Optuna: pip install "siamjax[search]"'
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.FloatDistribution(*getattr(space, name))
            for name in _RANGES
        }
        self._distributions["search_size"] = optuna.distributions.CategoricalDistribution(
            space.search_sizes
        )
        self._seed = seed
        self._told: list = []

    def ask(self, count: int) -> list[Settings]:
        # A new study of the reported trials, whose draws depend on the seed and their number
        # alone: a stopped search resumes as if it had not stopped. Pending settings count as
        # bad ones (constant liar), so that they do not cluster.
        sampler = self._optuna.samplers.TPESampler(
            seed=self._seed + 7919 * len(self._told), n_startup_trials=8, constant_liar=True
        )
        study = self._optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(self._told)
        trials = [study.ask(self._distributions) for _ in range(count)]
        return [Settings(**trial.params) for trial in trials]

    def tell(self, tried: Sequence[Settings], scores: Sequence[float]) -> None:
        self._told += [
            self._optuna.trial.create_trial(
                params=settings._asdict(), distributions=self._distributions, value=float(score)
            )
            for settings, score in zip(tried, scores, strict=True)
        ]
