"""Sampling of training pairs: pure functions of index arrays and a random generator."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from siamjax.errors import InputError


class TrackIndex(NamedTuple):
    """The records of one source, by track and by video.

    `record[track_start[i]:track_start[i + 1]]` are the records of track i in temporal order;
    `video_start[v]:video_start[v + 1]` are the tracks of video v.
    """

    record: np.ndarray  # [n] int64: index of the record in the source
    frame: np.ndarray  # [n] int64: frame number, in the same order
    track_start: np.ndarray  # [tracks + 1] int64
    video_start: np.ndarray  # [videos + 1] int64
    category: np.ndarray  # [tracks] int64, -1 where unknown

    @property
    def num_videos(self) -> int:
        """Videos (or still images)."""
        return len(self.video_start) - 1


class Pair(NamedTuple):
    """Two records, each by its source and its number there."""

    template: tuple[int, int]
    search: tuple[int, int]
    is_negative: bool


def make_track_index(
    video: np.ndarray,
    track: np.ndarray,
    frame: np.ndarray,
    record: np.ndarray,
    category: np.ndarray,
) -> TrackIndex:
    """Groups `n` records by their video, track within the video, frame and index (`[n]` each).

    A track takes the `category` of its first record (`[n]`).
    """
    order = np.lexsort((frame, track, video))
    video, track = video[order], track[order]
    new_video = np.r_[True, video[1:] != video[:-1]]
    new_track = new_video | np.r_[True, track[1:] != track[:-1]]
    track_start = np.flatnonzero(new_track)
    video_start = np.flatnonzero(new_video[track_start])
    return TrackIndex(
        record=record[order],
        frame=frame[order],
        track_start=np.r_[track_start, len(order)],
        video_start=np.r_[video_start, len(track_start)],
        category=category[order][track_start],
    )


class Passes:
    """An endless sequence of the indices below `count`, reshuffled for every pass.

    An element depends on the seed and its position alone. (grain's own shuffle steps through
    at least 65,536 indices to find one below a small `count`: milliseconds.)
    """

    def __init__(self, count: int, seed: int):
        self._count, self._seed = count, seed
        self._orders: dict[int, np.ndarray] = {}  # of the last two passes

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, place: int) -> int:
        number, place = divmod(place, self._count)
        order = self._orders.get(number)
        if order is None:
            order = np.random.default_rng((self._seed, number)).permutation(self._count)
            # several threads read ahead: replace the dictionary, never mutate it
            latest = list(self._orders.items())[-1:]
            self._orders = dict([*latest, (number, order)])
        return int(order[place])


def draw_pair(
    rng: np.random.Generator,
    indices: Sequence[TrackIndex],
    source: int,
    video: int,
    *,
    frame_range: int,
    negative_prob: float,
    semantic: "SemanticNegatives | None" = None,
) -> Pair:
    """Draws a pair whose template comes from the given video of a source.

    Positive: a random track, any frame of it as template, and as search image any frame
    at most `frame_range` frames away, itself included. Negative: the search image is any
    frame of any track of another video, each source being equally likely. Reference: PySOT's
    dataset, whose range counts entries of a track and whose negatives may come from the same
    video. With `semantic`, some negatives are chosen by category instead.
    """
    index = indices[source]
    start, stop = _draw_track(rng, index, video)
    template = int(rng.integers(start, stop))
    if rng.random() < negative_prob:
        template_at = (source, int(index.record[template]))
        if semantic is not None:
            track = int(np.searchsorted(index.track_start, template, "right")) - 1
            chosen = semantic.draw(rng, source, video, int(index.category[track]))
            if chosen is not None:
                other_source, track = chosen
                other = indices[other_source]
                search = int(rng.integers(*other.track_start[track : track + 2]))
                return Pair(template_at, (other_source, int(other.record[search])), True)
        other_source, other_video = _draw_other_video(rng, indices, source, video)
        other = indices[other_source]
        search = int(rng.integers(*_draw_track(rng, other, other_video)))
        return Pair(template_at, (other_source, int(other.record[search])), True)
    frames = index.frame[start:stop]
    now = index.frame[template]
    low = np.searchsorted(frames, now - frame_range, "left")
    high = np.searchsorted(frames, now + frame_range, "right")
    search = start + int(rng.integers(low, high))
    return Pair(
        (source, int(index.record[template])), (source, int(index.record[search])), False
    )


class SemanticNegatives:
    """Negative pairs by category: the tracks of all sources, sorted by what they show.

    Another instance of the template's category is drawn from other videos only, since within
    a video an object that left and came back may have a new track. (DaSiamRPN, section 3.2:
    negatives of the same and of other categories keep the network from responding to
    anything that looks like an object.)
    """

    def __init__(
        self,
        indices: Sequence[TrackIndex],
        same_category_prob: float,
        other_category_prob: float,
    ):
        """The probabilities are fractions of the negative pairs; their sum is at most 1."""
        self._same, self._other = same_category_prob, other_category_prob
        columns = []
        for source, index in enumerate(indices):
            tracks = np.arange(len(index.category))
            video = np.searchsorted(index.video_start, tracks, "right") - 1
            columns.append(
                np.stack([np.full(len(tracks), source), tracks, video, index.category])
            )
        table = np.concatenate(columns, axis=1)
        table = table[:, table[3] >= 0]
        self._table = table[:, np.argsort(table[3], kind="stable")]
        found = np.unique(self._table[3], return_index=True, return_counts=True)
        columns = (column.tolist() for column in found)
        self._span = {kind: (first, first + n) for kind, first, n in zip(*columns, strict=True)}

    def draw(
        self, rng: np.random.Generator, source: int, video: int, category: int
    ) -> tuple[int, int] | None:
        """A source and a track in it; None for a negative that ignores categories.

        Also None when the template's category is unknown or no track qualifies.
        """
        kind = rng.random()
        if kind >= self._same + self._other or category not in self._span:
            return None
        start, stop = self._span[category]
        if kind < self._same:
            own = self._table[:, start:stop]
            allowed = np.flatnonzero((own[0] != source) | (own[2] != video)) + start
            if not len(allowed):
                return None
            place = int(allowed[rng.integers(len(allowed))])
        else:
            others = self._table.shape[1] - (stop - start)
            if not others:
                return None
            place = int(rng.integers(others))
            place += (stop - start) * (place >= start)
            if self._table[0, place] == source and self._table[2, place] == video:
                return None  # another object in the template's own image
        return int(self._table[0, place]), int(self._table[1, place])


def _draw_track(rng, index, video):
    track = rng.integers(index.video_start[video], index.video_start[video + 1])
    return index.track_start[track], index.track_start[track + 1]


def _draw_other_video(rng, indices, source, video):
    """A source, all equally likely, and one of its videos other than the given one."""
    possible = [
        s for s, index in enumerate(indices) if index.num_videos > (1 if s == source else 0)
    ]
    if not possible:
        raise InputError("negative pairs need at least two videos, and there is only one")
    chosen = possible[rng.integers(len(possible))]
    if chosen != source:
        return chosen, int(rng.integers(indices[chosen].num_videos))
    other = int(rng.integers(indices[chosen].num_videos - 1))
    return chosen, other + (other >= video)
