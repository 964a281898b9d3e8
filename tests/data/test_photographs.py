"""Rendered video from photographs: folders of sprites and backgrounds, and boxes that hold."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest

from siamjax.config import SyntheticConfig
from siamjax.data.rendering.scene import Sequence

WIDTH, HEIGHT = 160, 120


def sheet(path, views=4, cell=40, hue=0):
    """A grid of cells with a bar that turns: RGBA, soft edges."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = 2
    image = np.zeros((-(-views // columns) * cell, columns * cell, 4), np.uint8)
    for number in range(views):
        tile = np.zeros((cell, cell, 4), np.uint8)
        axes = (cell // 2 - 4, 6 + 2 * number)
        color = (40 + 20 * hue % 200, 255 - 30 * number, (90 * hue) % 255, 255)
        cv2.ellipse(tile, (cell // 2, cell // 2), axes, 20 * number, 0, 360, color, -1, 16)
        y, x = divmod(number, columns)
        image[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell] = tile
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def turning(tmp_path):
    """A folder of ten sheets with their index."""
    root = tmp_path / "turning"
    rows = []
    for number in range(10):
        sheet(root / "sheets" / f"bar_{number}.png", hue=number)
        rows.append({"file": f"sheets/bar_{number}.png", "views": 4, "cell": 40})
    (root / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def scenes(tmp_path):
    """A folder of ten photographs, of sorts."""
    root = tmp_path / "scenes"
    (root / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        image = cv2.resize(rng.integers(0, 255, (9, 12, 3), np.uint8), (96, 72))
        cv2.imwrite(str(root / "deeper" / f"{number}.jpg"), image)
    return root


def config(turning, scenes, **changes):
    return SyntheticConfig(
        sequences=3,
        frames=8,
        width=WIDTH,
        height=HEIGHT,
        sprites=(str(turning),),
        backgrounds=(str(scenes),),
        **changes,
    )


def test_what_is_drawn_is_as_it_was():
    """Digests of the renderer before it knew photographs."""
    for drawn, count, expected in (
        (SyntheticConfig(split="test"), 3, "8fbc30ebf4730ec50d8ed387934996c7"),
        (SyntheticConfig(width=160, height=120, seed=3), 4, "e2b823f4d37082a7b19c2ba149433978"),
    ):
        found = hashlib.sha256()
        for index in range(count):
            sequence = Sequence(drawn, index)
            for frame in (0, 7, 31, 59):
                image, box = sequence.render(frame)
                found.update(image.tobytes())
                found.update(box.tobytes())
            found.update(bytes([sequence.category]))
        assert found.hexdigest().startswith(expected)


@pytest.mark.parametrize("index", range(6))
def test_box_is_the_silhouette(index, turning, scenes):
    """Coverage measured from the picture itself, once over black and once over white."""
    sequence = Sequence(config(turning, scenes), index)
    target = sequence._actors[sequence._target]
    for frame in (0, 13, 37):
        over = []
        for shade in (0, 255):
            image = np.full((HEIGHT, WIDTH, 3), shade, np.uint8)
            target.draw(image, frame, sequence._shake(frame), exposure=0)
            over.append(image.astype(int))
        covered = (255 - (over[1] - over[0]).max(-1)) > 127
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        expected = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
        np.testing.assert_array_equal(sequence.render(frame)[1], expected)


def test_frames_do_not_depend_on_what_was_rendered_before(turning, scenes):
    settings = config(turning, scenes, part_prob=0.5)
    forward, backward = Sequence(settings, 1), Sequence(settings, 1)
    first = {t: forward.render(t) for t in (0, 1, 30)}
    for frame in (30, 1, 0):
        image, box = backward.render(frame)
        np.testing.assert_array_equal(image, first[frame][0])
        np.testing.assert_array_equal(box, first[frame][1])
    other = Sequence(dataclasses.replace(settings, seed=1), 1).render(0)[0]
    assert not np.array_equal(other, first[0][0])
