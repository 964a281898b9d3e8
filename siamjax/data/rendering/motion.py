"""Motion as pure functions of time, in frames."""

from typing import NamedTuple, Protocol

import numpy as np


class Wave(NamedTuple):
    """A smooth function of time in [-1, 1]: a sum of sines of unrelated periods."""

    weight: np.ndarray  # [n], sums to 1
    rate: np.ndarray  # [n] radians per frame
    phase: np.ndarray  # [n]

    def __call__(self, frame: float) -> float:
        """The value at a frame."""
        return float(self.weight @ np.sin(self.rate * frame + self.phase))


def draw_wave(
    rng: np.random.Generator, shortest: float, longest: float, terms: int = 3
) -> Wave:
    """A wave whose periods lie between `shortest` and `longest` frames."""
    weight = rng.uniform(0.2, 1, terms)
    period = np.exp(rng.uniform(np.log(shortest), np.log(longest), terms))
    return Wave(weight / weight.sum(), 2 * np.pi / period, rng.uniform(0, 2 * np.pi, terms))


class Turning(NamedTuple):
    """Which of an object's consecutive views is shown, back and forth between the ends."""

    count: int
    start: float
    rate: float  # views per frame, negative for backwards
    wave: Wave
    swing: float  # views; amplitude of the deviation from uniform speed

    def __call__(self, frame: float) -> int:
        """The index of the view at a frame."""
        last = self.count - 1
        if last == 0:
            return 0
        place = (self.start + self.rate * frame + self.swing * self.wave(frame)) % (2 * last)
        return round(min(place, 2 * last - place))


def draw_turning(rng: np.random.Generator, count: int) -> Turning:
    """Draws a slow turn: a view lasts two to ten frames, sometimes much longer."""
    rate = np.exp(rng.uniform(np.log(0.1), np.log(0.5))) if rng.random() < 0.85 else 0.02
    start = rng.uniform(0, max(1, 2 * (count - 1)))
    return Turning(
        count, start, rate * rng.choice([-1, 1]), draw_wave(rng, 30, 120), rng.uniform(0, 3)
    )


class Path(Protocol):
    """A trajectory: `[2]` x, y in pixels of the frame."""

    def __call__(self, frame: float) -> np.ndarray:
        """The position at a frame."""
        ...


class Wander(NamedTuple):
    """Wandering about `middle`, by at most `reach` on each axis."""

    middle: np.ndarray  # [2]
    reach: np.ndarray  # [2]
    x: Wave
    y: Wave

    def __call__(self, frame: float) -> np.ndarray:
        """The position at a frame."""
        return self.middle + self.reach * np.array([self.x(frame), self.y(frame)])


def draw_wander(
    rng: np.random.Generator, middle: np.ndarray, reach: np.ndarray, speed: float
) -> Wander:
    """A wandering path of about `speed` pixels per frame (root mean square over both axes)."""

    def axis(distance):
        # a sine of amplitude a and period p moves at 2 pi a / p / sqrt(2), root mean square
        period = max(12.0, 2 * np.pi * distance * 0.6 / max(speed, 1e-3))
        return draw_wave(rng, 0.7 * period, 1.4 * period)

    return Wander(middle, reach, axis(reach[0]), axis(reach[1]))


class Encounter(NamedTuple):
    """A path that periodically approaches another one, up to an `offset` from it."""

    own: Path
    other: Path
    offset: np.ndarray  # [2] pixels
    every: float  # period of the encounters, frames
    first: float  # frame of one encounter
    lasts: float  # standard deviation of an encounter, frames

    def __call__(self, frame: float) -> np.ndarray:
        """The position at a frame."""
        since = (frame - self.first + self.every / 2) % self.every - self.every / 2
        pull = np.exp(-0.5 * (since / self.lasts) ** 2)
        return (1 - pull) * self.own(frame) + pull * (self.other(frame) + self.offset)


class Passing(NamedTuple):
    """A straight path that crosses another one at frame `when`."""

    place: np.ndarray  # [2] where they meet
    when: float
    velocity: np.ndarray  # [2] pixels per frame

    def __call__(self, frame: float) -> np.ndarray:
        """The position at a frame."""
        return self.place + (frame - self.when) * self.velocity
