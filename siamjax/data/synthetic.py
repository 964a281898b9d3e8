"""Rendered sequences: which of their frames are kept, and how they lie on disk.

Nothing is downloaded: every frame is a pure function of the configuration and of its place,
and the two splits share no object, background or path. The true box is the tight box of the
target's whole silhouette, also of the parts that something hides, clipped to the frame.

As a benchmark folder, a set has OTB's layout:

    <out>/list.txt                        the sequences' names
    <out>/<name>/img/0001.jpg ...         the frames
    <out>/<name>/groundtruth_rect.txt     x,y,w,h of every frame, the first pixel being 1,1
    <out>/rendered.json                   the configuration that it was rendered from
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from siamjax.config import SyntheticConfig
from siamjax.data.contact_sheet import GREEN, write_sheet
from siamjax.data.crops import encode_jpeg
from siamjax.data.rendering import photographs
from siamjax.data.rendering.scene import Sequence
from siamjax.errors import InputError
from siamjax.files import replacing_folder, write_whole
from siamjax.images import opencv_without_threads
from siamjax.locks import LOCK_FILE, held
from siamjax.text import read_object

# Part of what names a rendered set: raise it when a change alters any rendered pixel.
RENDERER = 4
_PHOTOGRAPHS = 4  # the same for what is rendered from photographs alone
RENDERED_FILE = "rendered.json"
_SAMPLE_SEQUENCES, _SAMPLE_FRAMES = 12, 6
_OF_PHOTOGRAPHS = ("sprites", "backgrounds", "part_prob")


def kept_frames(config: SyntheticConfig) -> range:
    """The frames of each sequence that are kept."""
    return range(0, config.frames, config.frame_step)


def sequence_name(config: SyntheticConfig, index: int) -> str:
    """What a rendered sequence is called."""
    return f"{config.split}-{config.seed}-{index:04d}"


def write_otb(config: SyntheticConfig, out: Path) -> list[str]:
    """Renders a set into `out`; returns the sequences' names.

    Every sequence appears at once when it is complete. Those that are there are kept, so an
    interrupted run goes on where it stopped; raises `InputError` when `out` holds a set of
    another configuration or something else, or another process renders into it.
    """
    out = Path(out)
    with held(out, "--out"), opencv_without_threads():
        _claim(config, out)
        names = [sequence_name(config, index) for index in range(config.sequences)]
        for index, name in enumerate(tqdm(names, "rendering", unit="sequence")):
            if not (out / name).is_dir():
                with replacing_folder(out / name) as folder:
                    _write_sequence(config, index, folder)
        write_whole(out / "list.txt", "".join(f"{name}\n" for name in names))
    return names


def write_samples(config: SyntheticConfig, path: Path) -> None:
    """Writes a page to look at before anything is trained on a set, as a JPEG or a PNG.

    A row is a sequence, at most 12 of them, with six of its frames and the true boxes. Raises
    `InputError` for a path that has another ending.
    """
    kept = kept_frames(config)
    shown = [kept[i] for i in np.linspace(0, len(kept) - 1, _SAMPLE_FRAMES).round().astype(int)]
    tiles = []
    for index in range(min(config.sequences, _SAMPLE_SEQUENCES)):
        sequence = Sequence(config, index)
        for frame in shown:
            picture, box_xywh = sequence.render(frame)
            x, y, w, h = (int(v) for v in box_xywh)
            # around the target's pixels, not over them
            cv2.rectangle(picture, (x - 1, y - 1), (x + w, y + h), GREEN, 1)
            tiles.append(picture)
    write_sheet(tiles, _SAMPLE_FRAMES, path)


def write_test_split(out: Path) -> None:
    """Renders the 60 sequences of benchmark `synthetic` into `out`, the same ones always."""
    write_otb(SyntheticConfig(split="test", seed=0, sequences=60, frames=60), out)


def describe(config: SyntheticConfig) -> dict[str, Any]:
    """Everything that decides what is rendered, JSON-ready; folders by their content.

    What needs photographs is left out where there are none. Raises `InputError` for a folder
    that is missing.
    """
    photographs.forget()  # so that what is rendered next is what is described
    values = dataclasses.asdict(config) | {"renderer": RENDERER}
    for name in ("sprites", "backgrounds"):
        values[name] = [photographs.folder_digest(f, name) for f in values[name]]
    if config.sprites or config.backgrounds:
        values["photographs"] = _PHOTOGRAPHS
    return {k: v for k, v in values.items() if v or k not in _OF_PHOTOGRAPHS}


def _claim(config, out):
    described = describe(config)
    file = out / RENDERED_FILE
    if file.is_file():
        there = read_object(file)
        if there != described:
            changed = sorted(k for k in described | there if there.get(k) != described.get(k))
            raise InputError(
                f"{str(out)!r} holds a rendered set that differs in {changed}; choose another "
                "folder or remove that one"
            )
        return
    if any(path.name != LOCK_FILE for path in out.iterdir()):
        raise InputError(
            f"{str(out)!r} holds something else than a rendered set; choose another folder"
        )
    write_whole(file, json.dumps(described, indent=1))


def _write_sequence(config, index, folder):
    sequence = Sequence(config, index)
    (folder / "img").mkdir()
    boxes = []
    for number, frame in enumerate(kept_frames(config), 1):
        picture, box_xywh = sequence.render(frame)
        (folder / "img" / f"{number:04d}.jpg").write_bytes(encode_jpeg(picture))
        x, y, w, h = box_xywh
        boxes.append((x + 1, y + 1, w, h))
    np.savetxt(folder / "groundtruth_rect.txt", boxes, fmt="%d", delimiter=",")
