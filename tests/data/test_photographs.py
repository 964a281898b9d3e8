"""Rendered video from photographs: folders of sprites and backgrounds, and boxes that hold."""

import dataclasses
import hashlib
import json
import struct
import zlib

import cv2
import numpy as np
import pytest

from siamjax.commands.render import render
from siamjax.config import Config, ConfigError, DataConfig, SourceConfig, SyntheticConfig
from siamjax.config_files import config_from_dict, config_to_dict
from siamjax.data.formats.cutting import category_number
from siamjax.data.formats.synthetic import prepare_synthetic
from siamjax.data.rendering import casts, motion, photographs
from siamjax.data.rendering.actors import Actor
from siamjax.data.rendering.scene import Sequence
from siamjax.data.sources import RecordSource
from siamjax.data.synthetic import describe
from siamjax.errors import InputError

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
    """Coverage measured from the image itself, once over black and once over white."""
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


def part_actor(role, size=80.0, turn=0.0):
    still = motion.Wave(np.ones(1), np.zeros(1), np.full(1, np.pi / 2))  # always 1
    return Actor(
        parts=role.build(np.random.default_rng(0)),
        aspect=1.3,
        path=motion.Passing(np.array([70.3, 61.8]), 0, np.array([1.5, 0.5])),
        size=size,
        size_wave=still,
        size_swing=0.1,
        aspect_wave=still,
        aspect_swing=0.05,
        turn_wave=still,
        turn_swing=turn,
        spin=0.0,
        region=role.region,
    )


@pytest.mark.parametrize("turn", [0.0, 0.07])
@pytest.mark.parametrize("mirrored", [False, True])
def test_box_of_a_part(turn, mirrored, tmp_path):
    """A part is painted red in the file: where the frame is red, there is the box."""
    image = np.full((64, 48, 4), 255, np.uint8)
    image[..., :3] = 0
    image[10:38, 16:36, 2] = 255  # x 16 to 36, y 10 to 38
    cv2.imwrite(str(tmp_path / "sign.png"), image)
    (file,) = photographs.list_sprites(tmp_path, "train")
    role = casts.PhotographedRole(
        file,
        photographs.read_views(file),
        1.0,
        is_mirrored=mirrored,
        part_xyxy=np.array([16 - 24, 10 - 32, 36 - 24, 38 - 32], float),
    )
    for frame in (0, 7):
        drawn = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        x, y, w, h = part_actor(role, turn=turn).draw(drawn, frame, np.zeros(2), exposure=0)
        red = drawn[..., 2] > 127
        rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        # the corner of a turned rectangle covers little of its last pixel
        np.testing.assert_allclose([x, y, x + w, y + h], found, atol=1 if turn else 0)


def test_parts_lie_within_their_object(turning, scenes):
    """At least 90 % opaque, and 25 to 60 % of the object's sides, in file pixels."""
    parts = 0
    for index in range(12):
        rng = np.random.default_rng(index)
        (file, *_) = photographs.list_sprites(turning, "train")
        role = casts._part_of(
            rng, casts.PhotographedRole(file, photographs.read_views(file), 1)
        )
        if role.part_xyxy is None:
            continue
        parts += 1
        x0, y0, x1, y1 = role.part_xyxy
        box = role.views[0].box_xyxy
        for part, whole in ((x1 - x0, box[2] - box[0]), (y1 - y0, box[3] - box[1])):
            assert 0.25 * whole - 1 <= part <= 0.6 * whole + 1
        sheet_ = cv2.imread(str(file.path), cv2.IMREAD_UNCHANGED)[..., 3]
        x0, y0, x1, y1 = np.round(role.part_xyxy + 20).astype(int)
        cells = [sheet_[y : y + 40, x : x + 40] for y in (0, 40) for x in (0, 40)]
        assert max((cell[y0:y1, x0:x1] > 127).mean() for cell in cells) >= 0.9
    assert parts >= 6


def test_a_view_is_drawn_where_its_cell_says(tmp_path):
    """A block off the middle of its cell, at three times its size: by arithmetic."""
    image = np.zeros((32, 64, 4), np.uint8)
    image[8:20, 4:14] = 255  # first view: 10 x 12, its middle at -7, -2 from the cell's
    image[10:22, 32 + 11 : 32 + 21] = 255  # second: the same in the middle
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (tmp_path / "index.jsonl").write_text('{"file": "a.png", "views": 2, "cell": 32}')
    (file,) = photographs.list_sprites(tmp_path, "train")
    role = casts.PhotographedRole(file, photographs.read_views(file), 1.0)
    (part,) = role.build(np.random.default_rng(0))
    placed = []
    for number, (sprite, matrix) in enumerate(part.views):
        own = part._replace(views=[(sprite, matrix)], turning=part.turning._replace(count=1))
        actor = dataclasses.replace(
            part_actor(role, size=3 * np.sqrt(120)),
            parts=(own,), aspect=1.0, size_swing=0.0, aspect_swing=0.0,
            path=motion.Passing(np.array([79.5, 59.5]), 0, np.zeros(2)),
        )  # fmt: skip
        drawn = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        placed.append(actor.draw(drawn, 0, np.zeros(2), exposure=0))
        assert number == len(placed) - 1
    # the middle of the frame is at 80, 60; three times 10 x 12 is 30 x 36
    assert placed[0] == (80 - 21 - 15, 60 - 6 - 18, 30, 36)
    assert placed[1] == (80 - 15, 60 - 18, 30, 36)


def test_views_take_turns_in_their_order():
    seen = set()
    for seed in range(40):
        turning_ = motion.draw_turning(np.random.default_rng(seed), 16)
        shown = np.array([turning_(t) for t in range(200)])
        assert shown.min() >= 0 and shown.max() <= 15
        assert np.abs(np.diff(shown)).max() <= 2  # neighbours, or the one behind when fast
        moves = (np.diff(shown) != 0).mean()
        assert moves < 0.75  # a view lasts a while
        seen |= {int(np.sign(shown[10] - shown[0]))}
    assert seen >= {-1, 1}  # forwards and backwards
    assert motion.draw_turning(np.random.default_rng(0), 1)(77) == 0


def test_three_forms_of_sprites(tmp_path):
    """Sheets with an index, images with masks, images with alpha."""
    sheet(tmp_path / "a/fox.png")
    (tmp_path / "a/index.jsonl").write_text(
        '{"file": "fox.png", "views": 4, "cell": 40, "kind": "animated", "source": "zoo"}\n\n'
    )
    (fox,) = photographs.list_sprites(tmp_path / "a", "train")
    assert (fox.views, fox.cell, fox.kind, fox.category) == (4, 40, "animated", "zoo/animated")
    assert len(photographs.read_views(fox)) == 4

    (tmp_path / "b").mkdir()
    picture, mask = np.full((30, 40, 3), 200, np.uint8), np.zeros((30, 40), np.uint8)
    mask[5:25, 8:38] = 255
    cv2.imwrite(str(tmp_path / "b/red_cup_07.jpg"), picture)
    cv2.imwrite(str(tmp_path / "b/red_cup_07_mask.png"), mask)
    (cup,) = photographs.list_sprites(tmp_path / "b", "train")
    assert cup.category == "red_cup" and cup.mask.name == "red_cup_07_mask.png"
    (view,) = photographs.read_views(cup)
    # one pixel off each side of 8..38 x 5..25, about the middle 20, 15
    np.testing.assert_array_equal(view.box_xyxy, [9 - 20, 6 - 15, 37 - 20, 24 - 15])
    assert np.all(view.levels[0][..., :3] <= view.levels[0][..., 3:])  # premultiplied

    sheet(tmp_path / "c/deep/ball.webp", views=1)
    sheet(tmp_path / "c/deep/0001.png", views=1)
    number, ball = photographs.list_sprites(tmp_path / "c", "train")
    assert ball.category == "ball" and len(photographs.read_views(ball)) == 1
    assert number.category == "deep"


def test_kinds_of_alpha(tmp_path):
    """Sixteen bits and grey with alpha give the same views; what is cut short gives none."""
    opaque = np.zeros((24, 24), np.uint8)
    opaque[4:20, 6:16] = 255
    gray = np.full_like(opaque, 100)
    rgba = cv2.merge([gray, gray, gray, opaque])
    cv2.imwrite(str(tmp_path / "eight.png"), rgba)
    cv2.imwrite(str(tmp_path / "sixteen.png"), rgba.astype(np.uint16) * 257)
    two = np.dstack([gray, opaque]).tobytes()
    rows = b"".join(b"\0" + two[i : i + 48] for i in range(0, len(two), 48))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 24, 24, 8, 4, 0, 0, 0))]  # grey with alpha
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "two.png").write_bytes(png)
    files = photographs.list_sprites(tmp_path, "train")
    views = [photographs.read_views(file)[0] for file in files]
    assert len(views) == 3
    for view in views:
        np.testing.assert_array_equal(view.box_xyxy, [-6, -8, 4, 8])
        np.testing.assert_array_equal(view.levels[0], views[0].levels[0])
    sheet(tmp_path / "cut/a.webp")
    content = (tmp_path / "cut/a.webp").read_bytes()
    (tmp_path / "cut/a.webp").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a.webp: no readable image"):
        photographs.read_views(*photographs.list_sprites(tmp_path / "cut", "train"))


def test_thin_ends_are_no_body(tmp_path):
    """A block is compact; the same block with an aerial as long as itself is not."""
    image = np.zeros((80, 60, 4), np.uint8)
    image[40:80, 10:50] = 200
    image[40:80, 10:50, 3] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    image[0:40, 30:32] = 255
    cv2.imwrite(str(tmp_path / "b.png"), image)
    compact = [
        casts._is_compact(casts.PhotographedRole(file, photographs.read_views(file), 1.0))
        for file in photographs.list_sprites(tmp_path, "train")
    ]
    assert compact == [True, False]


def test_targets_can_be_seen(scenes, tmp_path):
    """Of a grey and a white block on dark scenes, the white one is the target."""
    for name, value in (("grey", 30), ("white", 250)):
        for number in range(4):
            image = np.full((30, 30, 4), value, np.uint8)
            image[..., 3] = 255
            image[number, 0, :3] = 255  # so that no two are the same file
            (tmp_path / "blocks").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f"blocks/{name}_{number}.png"), image)
    for file in (scenes / "deeper").iterdir():
        cv2.imwrite(str(file), np.full((60, 80, 3), 30, np.uint8))
    settings = config(tmp_path / "blocks", scenes)
    seen = []
    for index in range(12):
        sequence = Sequence(settings, index)
        if sequence._background.std() < 60:
            seen.append(sequence._shows(sequence._actors[sequence._target]))
    assert sum(seen) >= 10


def broken(path, content=b"no image"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_unusable_sprites(tmp_path):
    def read(folder, index=None):
        photographs.forget()
        if index is not None:
            (tmp_path / folder / "index.jsonl").write_text(index)
        for file in photographs.list_sprites(tmp_path / folder, "train"):
            photographs.read_views(file)

    with pytest.raises(InputError, match=r"'.*absent' does not exist"):
        read("absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty' holds no images"):
        read("empty")
    broken(tmp_path / "bad/a.png")
    with pytest.raises(InputError, match=r"a.png: no readable image"):
        read("bad")
    broken(tmp_path / "bare/a.png", b"")
    with pytest.raises(InputError, match=r"a.png: the file is empty"):
        read("bare")
    (tmp_path / "flat").mkdir()
    cv2.imwrite(str(tmp_path / "flat/a.jpg"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"a.jpg: has no alpha channel.*a_mask.png"):
        read("flat")
    cv2.imwrite(str(tmp_path / "flat/a_mask.png"), np.zeros((9, 20), np.uint8))
    with pytest.raises(InputError, match=r"a_mask.png: the mask has 20 x 9 pixels.*20 x 20"):
        read("flat")
    cv2.imwrite(str(tmp_path / "flat/a_mask.png"), np.zeros((20, 20), np.uint8))
    with pytest.raises(InputError, match=r"a.jpg: view 1 of 1 is empty"):
        read("flat")
    sheet(tmp_path / "grid/a.png")
    with pytest.raises(
        InputError, match=r"80 x 80 pixels are not a grid of 4 cells of 30 x 30"
    ):
        read("grid", '{"file": "a.png", "views": 4, "cell": 30}')
    with pytest.raises(InputError, match=r"not a grid of 9 cells of 40 x 40"):
        read("grid", '{"file": "a.png", "views": 9, "cell": 40}')
    with pytest.raises(InputError, match=r"`views` \(=4\) and `cell` \(=0\)"):
        read("grid", '{"file": "a.png", "views": 4}')
    with pytest.raises(InputError, match=r"index.jsonl: line 2 is not a valid sprite"):
        read("grid", '{"file": "a.png", "views": 4, "cell": 40}\n{"views": 1}')
    with pytest.raises(InputError, match=r"gone.png: cannot be read"):
        read("grid", '{"file": "gone.png"}')
    with pytest.raises(InputError, match=r"nothing for the split 'test': its 1 images"):
        photographs.list_sprites(tmp_path / "flat", "test")


def test_unusable_backgrounds(tmp_path, turning):
    broken(tmp_path / "bad/a.jpg")
    with pytest.raises(InputError, match=r"a.jpg: no readable image"):
        photographs.check_folders((), (tmp_path / "bad",), "train")
    (tmp_path / "small").mkdir()
    cv2.imwrite(str(tmp_path / "small/a.png"), np.zeros((20, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"40 x 20 pixels are too few"):
        photographs.check_folders((), (tmp_path / "small",), "train")
    # before anything is rendered
    settings = SyntheticConfig(sprites=(str(turning),), backgrounds=(str(tmp_path / "bad"),))
    with pytest.raises(InputError, match=r"a.jpg: no readable image"):
        prepare_synthetic(settings, 127, 31, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ConfigError, match=r"part_prob"):
        SyntheticConfig(part_prob=0.1)
    with pytest.raises(ConfigError, match=r"`SyntheticConfig.sprites`.*must be a tuple"):
        SyntheticConfig(sprites="sprites")


def test_padding_is_no_background(tmp_path):
    """A crop that reaches out of its image on two sides, as prepared crops do."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 255, (20, 30, 3), np.uint8), (150, 100))
    padded = cv2.copyMakeBorder(
        scene, 37, 0, 0, 23, cv2.BORDER_CONSTANT, value=scene.mean((0, 1)).tolist()
    )
    cv2.imwrite(str(tmp_path / "a.jpg"), padded)
    (file,) = photographs.list_backgrounds(tmp_path, "train")
    inner = photographs.read_background(file)
    height, width = inner.shape[:2]
    assert 90 <= height <= 100 and 140 <= width <= 150
    assert np.abs(inner.astype(int) - scene[100 - height :, :width]).mean() < 8  # JPEG


def test_configuration_survives_its_file(turning, scenes):
    source = SourceConfig(synthetic=config(turning, scenes, part_prob=0.25))
    whole = Config(name="turning", data=DataConfig(sources=(source,)))
    assert config_from_dict(json.loads(json.dumps(config_to_dict(whole)))) == whole


def test_splits_share_no_file(turning, scenes, tmp_path):
    for of in (photographs.list_sprites, photographs.list_backgrounds):
        folder = turning if of is photographs.list_sprites else scenes
        train, test = set(of(folder, "train")), set(of(folder, "test"))
        assert len(train) == 9 and len(test) == 1 and not train & test


def test_nobody_looks_like_the_target(turning, scenes):
    """No actor shows a view of the target's own file."""
    for index in range(12):
        sequence = Sequence(config(turning, scenes), index)
        target, *others = [
            {digest(levels[0]) for levels, _ in actor.parts[0].views}
            for actor in [
                sequence._actors[sequence._target],
                *(a for i, a in enumerate(sequence._actors) if i != sequence._target),
            ]
        ]
        assert others and not any(target & other for other in others)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def test_decoded_pictures_are_bounded(tmp_path):
    for number in range(70):
        sheet(tmp_path / f"{number:03d}.png", views=1)
    for file in photographs.list_sprites(tmp_path, "train"):
        photographs.read_views(file)
    assert photographs.read_views.cache_info().currsize <= 64


def test_set_is_named_after_what_is_in_its_folders(turning, scenes, tmp_path):
    """The same content elsewhere is the same set; other content is another one."""
    settings = config(turning, scenes)
    first = prepare_synthetic(settings, 127, 31, tmp_path / "cache")
    moved = tmp_path / "elsewhere"
    turning.rename(moved)
    elsewhere = dataclasses.replace(settings, sprites=(str(moved),))
    assert prepare_synthetic(elsewhere, 127, 31, tmp_path / "cache") == first
    sheet(moved / "sheets/bar_3.png", hue=9, views=2)
    assert (
        describe(elsewhere)["sprites"]
        != json.loads((first / "prepared.json").read_text())["synthetic"]["sprites"]
    )
    source = RecordSource(first)
    assert len(source) == 3 * 8
    assert set(source.index.category.tolist()) == {-1}  # ten objects are few of a kind


def test_changed_files_are_read_anew(turning, scenes, tmp_path):
    """In one process: what a set is named after is what is rendered."""
    settings = config(turning, scenes)
    before = Sequence(settings, 0).render(3)[0]
    first = prepare_synthetic(settings, 127, 31, tmp_path / "cache")
    for number in range(10):
        sheet(turning / f"sheets/bar_{number}.png", hue=number + 20)
    second = prepare_synthetic(settings, 127, 31, tmp_path / "cache")
    assert first != second
    assert not np.array_equal(Sequence(settings, 0).render(3)[0], before)


def test_large_categories_are_known(tmp_path, scenes):
    for number in range(20):
        sheet(tmp_path / f"few/cup_{number}.png", views=1, hue=number)
    numbers = {Sequence(config(tmp_path / "few", scenes), i).category for i in range(4)}
    assert numbers == {category_number("cup")}


def test_command(turning, scenes, tmp_path, capsys):
    settings = SyntheticConfig(
        sequences=2,
        frames=7,
        width=WIDTH,
        height=HEIGHT,
        sprites=(str(turning),),
        backgrounds=(str(scenes),),
        part_prob=0.5,
    )
    render(tmp_path / "set", settings, sheet=tmp_path / "page.png")
    assert "samples: " in capsys.readouterr().out
    page = cv2.imread(str(tmp_path / "page.png"))
    assert page.shape == (2 * HEIGHT, 6 * WIDTH, 3)
    assert (page == [0, 255, 0]).all(-1).sum() > 12 * 20  # boxes
    assert len(list((tmp_path / "set").glob("*/img/*.jpg"))) == 14
    with pytest.raises(InputError, match=r"`--sheet`.*must end in"):
        render(tmp_path / "other", settings, sheet=tmp_path / "page.gif")
    with pytest.raises(InputError, match=r"differs in \['part_prob'\]"):
        render(tmp_path / "set", dataclasses.replace(settings, part_prob=0.0))


def test_real_folders(shared):
    """Turning objects and cut-outs on prepared crops: a target to be seen, with its box."""
    settings = SyntheticConfig(
        width=240,
        height=180,
        sprites=(str(shared / "turning"), str(shared / "training/cutouts")),
        backgrounds=(str(shared / "training_more/crops/football"),),
    )
    for index in range(3):
        sequence = Sequence(settings, index)
        boxes = np.array([sequence.render(t)[1] for t in (0, 30)])
        assert np.all(boxes[:, 2:] >= 4) and np.all(boxes[:, :2] + boxes[:, 2:] <= [240, 180])


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
