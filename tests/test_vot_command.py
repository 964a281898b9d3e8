"""`siamjax vot`: with a stand-in for TraX, and with the real toolkit where it is installed."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from siamjax.api import load_tracker
from siamjax.cli import main
from siamjax.commands import vot as command
from siamjax.images import ImageError, read_image
from siamjax.models.build import build_network
from siamjax.training.checkpoints import save_variables
from tests.conftest import ROOT, SHARED
from tests.tracking.networks import random_variables, small_config
from tests.tracking.test_batch import film

BOX = (60.0, 40.0, 30.0, 24.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config = small_config()
    folder = tmp_path_factory.mktemp("run") / "weights"
    save_variables(folder, random_variables(build_network(config.model), config), config)
    return folder


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    names = [folder / f"{t}.png" for t in range(5)]
    for name, frame in zip(names, film(4, 160, 120), strict=True):
        cv2.imwrite(str(name), frame)
    return names


class Rectangle:
    """A region of TraX's."""

    type = "rectangle"

    def __init__(self, *numbers):
        self.numbers = numbers

    def bounds(self):
        return self.numbers


class Polygon:
    type = "polygon"

    def __init__(self, *points):
        self.points = points

    def size(self):
        return len(self.points)

    def __getitem__(self, i):
        return self.points[i]


def request(kind, path=None, region=None):
    image = {"color": types.SimpleNamespace(path=lambda: str(path))}
    objects = None if region is None else [(region, {})]
    return types.SimpleNamespace(type=kind, image=image, objects=objects)


def talk(monkeypatch, weights, requests):
    """What `siamjax vot` answers, its exit code, and how it introduced itself."""
    answers, introduction = [], []

    class Server:
        def __init__(self, regions, images, tracker_name):
            introduction.append((regions, images, tracker_name))
            self.left = [*requests, request("quit")]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def wait(self):
            return self.left.pop(0)

        def status(self, objects):
            ((region, properties),) = objects  # the toolkit wants exactly one
            answers.append((*region.numbers, properties["confidence"]))

    trax = types.ModuleType("trax")
    trax.Server = Server
    trax.Region = types.SimpleNamespace(RECTANGLE="rectangle", POLYGON="polygon")
    trax.Image = types.SimpleNamespace(PATH="path")
    trax.Rectangle = types.SimpleNamespace(create=Rectangle)
    monkeypatch.setitem(sys.modules, "trax", trax)
    code = main(["vot", "--weights", str(weights)])
    return answers, code, introduction


def followed(weights, paths, box):
    """`[t, 5]` boxes and scores of the tracker itself."""
    tracker = load_tracker(None, weights)
    rows = []
    for t, path in enumerate(paths):
        tracker.update(read_image(path)) if t else tracker.init(read_image(path), box)
        rows.append([*tracker.box_xywh.tolist(), tracker.score])
    return np.array(rows)


def test_it_answers_every_request_with_the_trackers_box(monkeypatch, weights, paths):
    requests = [request("initialize", paths[0], Rectangle(*BOX))]
    requests += [request("frame", f"file://{path}") for path in paths[1:]]
    # The client may begin again with another target.
    requests += [request("initialize", paths[1], Rectangle(20, 30, 40, 40))]
    requests += [request("frame", path) for path in paths[2:]]
    answers, code, introduction = talk(monkeypatch, weights, requests)
    assert code == 0
    assert introduction == [(["rectangle", "polygon"], ["path"], "small")]
    expected = [
        *followed(weights, paths, BOX),
        *followed(weights, paths[1:], (20, 30, 40, 40)),
    ]
    np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_an_unreadable_frame_keeps_the_box_without_confidence(
    monkeypatch, weights, paths, tmp_path
):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    small = tmp_path / "small.png"
    cv2.imwrite(str(small), np.zeros((60, 80, 3), np.uint8))
    requests = [request("initialize", paths[0], Rectangle(*BOX)), request("frame", paths[1])]
    requests += [request("frame", path) for path in (broken, small, tmp_path / "gone.png")]
    requests += [request("frame", paths[2])]
    answers, code, _ = talk(monkeypatch, weights, requests)
    expected = followed(weights, paths[:3], BOX)
    assert code == 0
    np.testing.assert_allclose([answers[i] for i in (0, 1, 5)], expected, atol=1e-4)
    for answer in answers[2:5]:
        assert answer == (*answers[1][:4], 0.0)


def test_what_cannot_be_begun_ends_it_with_a_reason(monkeypatch, weights, paths, capsys):
    outside = [request("initialize", paths[0], Rectangle(500, 40, 20, 20))]
    assert talk(monkeypatch, weights, outside)[1] == 1
    assert "outside the frame" in capsys.readouterr().err
    gone = [request("initialize", "gone.png", Rectangle(*BOX))]
    assert talk(monkeypatch, weights, gone)[1] == 1
    assert "gone.png" in capsys.readouterr().err


def test_it_asks_for_the_package(monkeypatch, weights, capsys):
    monkeypatch.setitem(sys.modules, "trax", None)
    assert main(["vot", "--weights", str(weights)]) == 1
    assert "pip install vot-trax" in capsys.readouterr().err


def test_a_frame_may_be_an_address(paths):
    np.testing.assert_array_equal(command.read(f"file://{paths[0]}"), read_image(paths[0]))
    with pytest.raises(ImageError, match=r"gone\.png"):
        command.read("gone.png")


def test_a_polygon_becomes_the_upright_box_of_its_area():
    assert command.first_box(Rectangle(3, 4, 5, 6)) == (3, 4, 5, 6)
    # Upright already, 40 x 20: one pixel is added, as PySOT counts them.
    upright = Polygon((10, 10), (50, 10), (50, 30), (10, 30))
    np.testing.assert_allclose(command.first_box(upright), (10, 10, 41, 21))
    # A square of side sqrt(2) * 10 on its corner: bounds 20 x 20, half of the area, so that
    # each side shrinks by sqrt(1 / 2).
    turned = Polygon((50, 40), (60, 50), (50, 60), (40, 50))
    side = 20 / np.sqrt(2) + 1
    left = 50 - (side - 1) / 2
    np.testing.assert_allclose(command.first_box(turned), (left, left, side, side))
    # Other polygons: bounds.
    x, y, w, h = command.first_box(Polygon((0, 0), (30, 0), (30, 60)))
    np.testing.assert_allclose((x, y, w, h), (20 - 15, 20 - 30, 31, 61))


# --- the real toolkit -------------------------------------------------------------------

FRAMES = 10


def write_sequence(folder: Path, images: list[Path], truth: list[str]) -> None:
    (folder / "color").mkdir(parents=True)
    for t, image in enumerate(images, 1):
        (folder / "color" / f"{t:08}{image.suffix}").symlink_to(image)
    (folder / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    height, width = read_image(images[0]).shape[:2]
    (folder / "sequence").write_text(
        f"channels.color=color/%08d{images[0].suffix}\nfps=30\nformat=default\n"
        f"name={folder.name}\nwidth={width}\nheight={height}\nlength={len(images)}\n"
    )


def write_sequences(folder: Path) -> list[str]:
    """Two short sequences: real ones where they are, else rendered."""
    real = SHARED / "sequences" / "vot"
    names = ["bag", "book"]
    for k, name in enumerate(names):
        if real.is_dir():
            images = sorted((real / name / "color").glob("*.jpg"))[:FRAMES]
            truth = (real / name / "groundtruth.txt").read_text().splitlines()[:FRAMES]
        else:
            images = [folder / f"{name}{t}.png" for t in range(FRAMES)]
            for image, frame in zip(images, film(k, 200, 144, FRAMES), strict=True):
                cv2.imwrite(str(image), frame)
            # The picture slides by (3, 2) to the upper left.
            truth = [f"{100 - 3 * t},{60 - 2 * t},40,30" for t in range(FRAMES)]
        write_sequence(folder / name, images, truth)
    (folder / "list.txt").write_text("\n".join(names) + "\n")
    return names


def first_of(line: str):
    numbers = [float(part) for part in line.split(",")]
    if len(numbers) == 4:
        return Rectangle(*numbers)
    return Polygon(*zip(numbers[::2], numbers[1::2], strict=True))


@pytest.mark.slow
def test_the_vot_toolkit_evaluates_to_the_end(weights, tmp_path):
    if not all(map(importlib.util.find_spec, ("vot", "trax"))):
        pytest.skip("could not import 'vot' and 'trax': pip install 'siamjax[vot]'")
    (tmp_path / "sequences").mkdir()
    names = write_sequences(tmp_path / "sequences")
    stack = "title: local\nexperiments:\n  free:\n    type: unsupervised\n    repetitions: 1\n"
    # From 0.8 on the toolkit's own supervised experiment hands an `ObjectStatus` to a
    # runtime that takes a list, and drives no TraX tracker at all.
    is_supervised = importlib.metadata.version("vot-toolkit").startswith("0.7.")
    if is_supervised:
        stack += (
            "  baseline:\n    type: supervised\n    repetitions: 1\n    skip_initialize: 5\n"
        )
    (tmp_path / "stack.yaml").write_text(stack)
    (tmp_path / "config.yaml").write_text(
        "registry:\n- ./trackers.ini\nstack: stack.yaml\nsequences: sequences\n"
    )
    (tmp_path / "trackers.ini").write_text(
        "[ours]\nlabel = ours\nprotocol = trax\n"
        f"command = {sys.executable} -m siamjax.cli vot --weights {weights}\n"
    )
    settings = {
        "PYTHONPATH": str(ROOT),
        "VOT_RESULTS_BINARY": "0",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "vot", "evaluate", "--workspace", str(tmp_path), "ours"],
        env=os.environ | settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0 and "concluded" in said, said
    for name in names:
        folder = tmp_path / "sequences" / name
        truth = (folder / "groundtruth.txt").read_text().splitlines()
        images = sorted((folder / "color").iterdir())
        expected = followed(weights, images, command.first_box(first_of(truth[0])))
        for experiment in ["free", "baseline"][: 1 + is_supervised]:
            file = tmp_path / "results" / "ours" / experiment / name / f"{name}_001.txt"
            rows = [[float(x) for x in line.split(",")] for line in file.read_text().split()]
            assert len(rows) == FRAMES and rows[0] == [1]
            # A supervised run is the same until its first failure, which is a 2.
            until = rows.index([2]) if [2] in rows else FRAMES
            assert until == FRAMES or experiment == "baseline"
            boxes = np.reshape(rows[1:until], (-1, 4))
            np.testing.assert_allclose(boxes, expected[1:until, :4], atol=0.1)
            assert all(row == [0] for row in rows[until + 1 : until + 5])
