"""Pairs: what may be drawn, what must not, and how often."""

import numpy as np
import pytest

from siamjax.data.sampling import Passes, SemanticNegatives, draw_pair, make_track_index

# video, track, frame: two tracks in video 3, a gap in video 7, one lone frame in video 9;
# records in no particular order
ROWS = np.array(
    [
        (7, 0, 40), (3, 0, 0), (3, 0, 1), (3, 1, 5), (7, 0, 2), (3, 0, 2),
        (3, 1, 6), (7, 0, 0), (7, 0, 1), (9, 2, 8), (3, 0, 3),
    ]
)  # fmt: skip


def grouped(record):
    """The track index of these of the rows, whose categories are not known."""
    return make_track_index(*ROWS[record].T, record, np.full(len(record), -1))


@pytest.fixture
def index():
    return grouped(np.arange(len(ROWS)))


def draw(rng, indices, source=0, video=0, frame_range=100, negative_prob=0.0):
    return draw_pair(
        rng, indices, source, video, frame_range=frame_range, negative_prob=negative_prob
    )


def test_index_groups_records(index):
    assert index.num_videos == 3
    tracks = [
        index.record[start:stop].tolist()
        for start, stop in zip(index.track_start[:-1], index.track_start[1:], strict=True)
    ]
    assert tracks == [[1, 2, 5, 10], [3, 6], [7, 8, 4, 0], [9]]
    assert index.video_start.tolist() == [0, 2, 3, 4]


def test_index_keeps_the_numbers_of_a_subset():
    chosen = np.array([1, 3, 9])
    index = grouped(chosen)
    assert index.record.tolist() == [1, 3, 9]


def test_positive_pairs_are_all_pairs_within_range(index, rng):
    """Every allowed pair appears, and none else: found by comparing all rows."""
    for video, number in enumerate((3, 7, 9)):
        drawn = set()
        for _ in range(600):
            pair = draw(rng, [index], video=video, frame_range=2)
            assert not pair.is_negative
            drawn.add((pair.template[1], pair.search[1]))
        allowed = {
            (i, j)
            for i, a in enumerate(ROWS)
            for j, b in enumerate(ROWS)
            if a[0] == number and tuple(a[:2]) == tuple(b[:2]) and abs(a[2] - b[2]) <= 2
        }
        assert drawn == allowed


def test_range_of_zero_pairs_a_frame_with_itself(index, rng):
    for _ in range(50):
        pair = draw(rng, [index], frame_range=0)
        assert pair.template == pair.search


def test_negative_pairs_come_from_other_videos(index, rng):
    for _ in range(200):
        pair = draw(rng, [index], video=1, negative_prob=1.0)
        assert pair.is_negative
        assert ROWS[pair.template[1]][0] == 7
        assert ROWS[pair.search[1]][0] != 7


def test_negative_share_and_source_are_as_asked(index, rng):
    pairs = [draw(rng, [index, index], negative_prob=0.3) for _ in range(4000)]
    negative = [pair for pair in pairs if pair.is_negative]
    assert len(negative) / len(pairs) == pytest.approx(0.3, abs=0.03)
    # the other source with equal chances, whatever its size
    assert np.mean([p.search[0] for p in negative]) == pytest.approx(0.5, abs=0.06)


def test_template_is_uniform_over_tracks(index, rng):
    """Video 3: a track of four frames and one of two are equally likely."""
    records = [draw(rng, [index]).template[1] for _ in range(3000)]
    assert np.mean([ROWS[r][1] for r in records]) == pytest.approx(0.5, abs=0.04)


def test_a_single_video_has_no_negatives(rng):
    lone = grouped(np.array([9]))
    with pytest.raises(ValueError, match="at least two videos"):
        draw(rng, [lone], negative_prob=1.0)
    many = grouped(np.arange(len(ROWS)))
    assert draw(rng, [lone, many], negative_prob=1.0).search[0] == 1


def test_draws_depend_on_the_generator_alone(index):
    first, again = (
        [draw(np.random.default_rng(seed), [index]) for seed in range(20)] for _ in range(2)
    )
    assert first == again


def test_passes_show_everything_in_ever_new_orders(rng):
    passes = Passes(7, seed=3)
    drawn = np.array([passes[place] for place in range(7 * 400)]).reshape(400, 7)
    assert all(sorted(row) == list(range(7)) for row in drawn.tolist())
    # every number is at every place equally often: 400 / 7 times, give or take
    counts = np.array([[(drawn[:, c] == n).sum() for n in range(7)] for c in range(7)])
    assert np.abs(counts - 400 / 7).max() < 30
    # the place alone decides, whatever was asked for before
    places = rng.permutation(7 * 400)
    np.testing.assert_array_equal(
        [Passes(7, 3)[p] for p in places[:50]], drawn.flat[places[:50]]
    )
    np.testing.assert_array_equal([passes[p] for p in places], drawn.flat[places])
    assert [Passes(7, 4)[p] for p in range(70)] != drawn.flat[:70].tolist()


# video, track, category: two instances of 5 in video 0, one each in 1 and 2; 8 in video 3
KINDS = np.array([(0, 0, 5), (0, 1, 5), (1, 0, 5), (2, 0, 5), (3, 0, 8), (4, 0, -1)])


def kinds_index():
    video, track, category = np.repeat(KINDS, 3, axis=0).T
    frame = np.tile(range(3), len(KINDS))
    return make_track_index(video, track, frame, np.arange(len(video)), category)


def semantic_pairs(rng, indices, same, other, video=0, count=600):
    semantic = SemanticNegatives(indices, same, other)
    return [
        draw_pair(
            rng, indices, 0, video, frame_range=9, negative_prob=1.0, semantic=semantic
        ).search
        for _ in range(count)
    ]


def test_negatives_of_the_same_category_are_other_instances(rng):
    """All tracks of the category in other videos, of any source, and none else."""
    indices = [kinds_index(), kinds_index()]
    drawn = {(s, *KINDS[r // 3]) for s, r in semantic_pairs(rng, indices, 1.0, 0.0)}
    expected = {(0, 1, 0, 5), (0, 2, 0, 5)} | {
        (1, *row) for row in KINDS.tolist() if row[2] == 5
    }
    assert drawn == expected


def test_negatives_of_another_category(rng):
    drawn = {tuple(KINDS[r // 3]) for _, r in semantic_pairs(rng, [kinds_index()], 0.0, 1.0)}
    assert drawn == {(3, 0, 8)}


def test_semantic_negatives_keep_their_shares(rng):
    """A tenth the same category, a third another; the rest any other video."""
    pairs = semantic_pairs(rng, [kinds_index()], 0.1, 0.3, count=4000)
    share = np.mean([KINDS[r // 3][2] == 8 for _, r in pairs])
    # of the remaining six tenths, a quarter shows video 3
    assert share == pytest.approx(0.3 + 0.6 / 4, abs=0.03)


def test_without_a_category_any_other_video_will_do(rng):
    index = kinds_index()
    drawn = {KINDS[r // 3][0] for _, r in semantic_pairs(rng, [index], 1.0, 0.0, video=4)}
    assert drawn == {0, 1, 2, 3}
    # the only one of its category
    drawn = {KINDS[r // 3][0] for _, r in semantic_pairs(rng, [index], 1.0, 0.0, video=3)}
    assert drawn == {0, 1, 2, 4}
