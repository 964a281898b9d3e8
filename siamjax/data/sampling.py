"""Which two records make a pair: pure functions of index arrays and a generator."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class TrackIndex(NamedTuple):
    """The records of one source, by track and by video.

    `record[track_start[i]:track_start[i + 1]]` are the records of track i in order of time;
    `video_start[v]:video_start[v + 1]` are the tracks of video v.
    """

    record: np.ndarray  # [n] int64: number of the record in the source
    frame: np.ndarray  # [n] int64: frame number, in the same order
    track_start: np.ndarray  # [tracks + 1] int64
    video_start: np.ndarray  # [videos + 1] int64

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
    video: np.ndarray, track: np.ndarray, frame: np.ndarray, record: np.ndarray
) -> TrackIndex:
    """Groups `n` records: each one's video, track in the video, frame and number (`[n]`)."""
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
    )


def draw_pair(
    rng: np.random.Generator,
    indices: Sequence[TrackIndex],
    source: int,
    video: int,
    *,
    frame_range: int,
    negative_prob: float,
) -> Pair:
    """A pair whose template comes from a video of a source.

    Positive: a random track, any frame of it as template, and as search image any frame
    (itself included) at most `frame_range` frames away. Negative: the search image is any
    frame of any track of another video, of any source with equal chances. Reference: PySOT's
    dataset, whose range counts entries of a track and whose negatives may come from the same
    video.
    """
    index = indices[source]
    start, stop = _draw_track(rng, index, video)
    template = int(rng.integers(start, stop))
    if rng.random() < negative_prob:
        other_source, other_video = _draw_other_video(rng, indices, source, video)
        other = indices[other_source]
        search = int(rng.integers(*_draw_track(rng, other, other_video)))
        return Pair(
            (source, int(index.record[template])),
            (other_source, int(other.record[search])),
            True,
        )
    frames = index.frame[start:stop]
    now = index.frame[template]
    low = np.searchsorted(frames, now - frame_range, "left")
    high = np.searchsorted(frames, now + frame_range, "right")
    search = start + int(rng.integers(low, high))
    return Pair(
        (source, int(index.record[template])), (source, int(index.record[search])), False
    )


def _draw_track(rng, index, video):
    track = rng.integers(index.video_start[video], index.video_start[video + 1])
    return index.track_start[track], index.track_start[track + 1]


def _draw_other_video(rng, indices, source, video):
    """A source with equal chances, then one of its videos, but not the given one."""
    possible = [
        s for s, index in enumerate(indices) if index.num_videos > (1 if s == source else 0)
    ]
    if not possible:
        raise ValueError("negative pairs need at least two videos, and there is only one")
    chosen = possible[rng.integers(len(possible))]
    if chosen != source:
        return chosen, int(rng.integers(indices[chosen].num_videos))
    other = int(rng.integers(indices[chosen].num_videos - 1))
    return chosen, other + (other >= video)
