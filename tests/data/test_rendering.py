"""Textures, silhouettes and paths."""

import numpy as np
import pytest

from siamjax.data.rendering import motion, objects, sprites, textures


@pytest.mark.parametrize("kind", textures.KINDS)
def test_patterns_fill_their_range(kind):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        field = textures.pattern(rng, 60, 90, kind, 20.0)
        assert field.shape == (60, 90) and field.dtype == np.float32
        assert field.min() > -1e-6 and field.max() < 1 + 1e-6
        assert kind == "plain" or np.ptp(field) > 0.3


@pytest.mark.parametrize("kind", textures.KINDS)
def test_textures_use_their_palette(kind):
    """Without a second layer or grain, colours lie between those of the palette."""
    palette = np.array([[40, 90, 200], [60, 120, 220]], np.float32)
    field = textures.pattern(np.random.default_rng(1), 40, 40, kind, 12.0)
    for hard in (False, True):
        image = textures.colorize(field, palette, hard).reshape(-1, 3)
        assert np.all((image >= palette[0]) & (image <= palette[1]))
        assert not hard or len(np.unique(image, axis=0)) <= 2


@pytest.mark.parametrize("shape", sprites.SHAPES)
def test_silhouettes_fill_their_square(shape):
    for seed in range(5):
        outline = sprites.outline(np.random.default_rng(seed), shape)
        rows, columns = np.nonzero(sprites.silhouette(outline) > 127)
        for line in (rows, columns):
            assert abs(line.min() - sprites.BORDER) <= 1
            assert abs(line.max() - (sprites.SIDE - 1 - sprites.BORDER)) <= 1


def test_sprites_are_alpha_multiplied():
    look = sprites.draw_look(np.random.default_rng(2))
    for level, side in zip(sprites.make_sprite(look), (96, 48, 24), strict=True):
        assert level.shape == (side, side, 4)
        assert np.all(level[..., :3] <= level[..., 3:].astype(int) + 1)


def test_similar_objects_are_alike_but_not_the_same():
    rng = np.random.default_rng(3)
    for _ in range(20):
        design = objects.draw_design(rng)
        similar = objects.similar_design(rng, design)
        assert len(similar.looks) == len(design.looks)
        for look, other in zip(design.looks, similar.looks, strict=True):
            assert other.kind == look.kind and other.period == look.period
            assert other.texture_seed != look.texture_seed


def test_waves_stay_in_range_and_wanderers_keep_their_speed():
    rng = np.random.default_rng(4)
    speeds = []
    for _ in range(40):
        path = motion.draw_wander(rng, np.array([160, 120]), np.array([100, 80]), 5.0)
        places = np.array([path(t) for t in range(300)])
        assert np.all(np.abs(places - [160, 120]) <= [100, 80])
        speeds.append(np.sqrt((np.diff(places, axis=0) ** 2).sum(-1).mean()))
    assert 2.5 < np.mean(speeds) < 7.5


def test_paths_meet_when_they_should():
    rng = np.random.default_rng(5)
    other = motion.draw_wander(rng, np.zeros(2), np.full(2, 50.0), 3.0)
    own = motion.draw_wander(rng, np.full(2, 500.0), np.full(2, 5.0), 1.0)
    offset = np.array([7.0, -3.0])
    meeting = motion.Encounter(own, other, offset, every=40, first=10, lasts=5)
    for frame in (10, 50, 90):
        np.testing.assert_allclose(meeting(frame), other(frame) + offset, atol=1e-9)
    np.testing.assert_allclose(meeting(30), own(30), atol=1)
    crossing = motion.Passing(other(20), 20, np.array([2.0, 1.0]))
    np.testing.assert_allclose(crossing(23), other(20) + np.array([6.0, 3.0]))
