"""Rendered sequences: which frames are kept, and how they are stored.

Nothing is downloaded: every frame is a pure function of the configuration and its index, and
the two splits share no object, background or trajectory. The ground truth is the tight box of
the target's whole silhouette, occluded parts included, clipped to the frame.

A set is a benchmark folder in OTB layout:

    <out>/list.txt                        the sequences' names
    <out>/<name>/img/0001.jpg ...         the frames
    <out>/<name>/groundtruth_rect.txt     x,y,w,h of every frame, 1-based
    <out>/rendered.json                   the configuration it was rendered from
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

# Version of the renderer, part of a rendered set's name: increase it when any pixel changes.
RENDERER = 4
_PHOTOGRAPHS = 4  # the same for sets rendered from photographs
RENDERED_FILE = "rendered.json"
_SAMPLE_SEQUENCES, _SAMPLE_FRAMES = 12, 6
_OF_PHOTOGRAPHS = ("sprites", "backgrounds", "part_prob")


def kept_frames(config: SyntheticConfig) -> range:
    """The frames of each sequence that are kept."""
    return range(0, config.frames, config.frame_step)


def sequence_name(config: SyntheticConfig, index: int) -> str:
    """The name of a rendered sequence."""
    return f"{config.split}-{config.seed}-{index:04d}"


def write_otb(config: SyntheticConfig, out: Path) -> list[str]:
    """Renders a set into `out`; returns the sequences' names.

    A sequence appears when it is complete, and existing ones are kept, so that an interrupted
    run resumes where it stopped. Raises `InputError` when `out` holds a set of another
    configuration or anything else, or another process is rendering into it.
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
    """Writes a contact sheet of a set, to be checked before training, as a JPEG or PNG.

    Each row shows six frames of a sequence with its ground-truth boxes, 12 rows at most.
    Raises `InputError` for a path with another suffix.
    """
    kept = kept_frames(config)
    shown = [kept[i] for i in np.linspace(0, len(kept) - 1, _SAMPLE_FRAMES).round().astype(int)]
    tiles = []
    for index in range(min(config.sequences, _SAMPLE_SEQUENCES)):
        sequence = Sequence(config, index)
        for frame in shown:
            image, box_xywh = sequence.render(frame)
            x, y, w, h = (int(v) for v in box_xywh)
            # around the target's pixels, not on them
            cv2.rectangle(image, (x - 1, y - 1), (x + w, y + h), GREEN, 1)
            tiles.append(image)
    write_sheet(tiles, _SAMPLE_FRAMES, path)


def write_test_split(out: Path) -> None:
    """Renders the 60 sequences of benchmark `synthetic`, always the same, into `out`."""
    write_otb(SyntheticConfig(split="test", seed=0, sequences=60, frames=60), out)


def describe(config: SyntheticConfig) -> dict[str, Any]:
    """Everything that determines the rendered pixels, JSON-ready; folders by their content.

    Fields about photographs are left out where there are none. Raises `InputError` for a
    missing folder.
    """
    photographs.forget()  # what is rendered next must match this description
    values: dict[str, Any] = dataclasses.asdict(config) | {"renderer": RENDERER}
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
            f"{str(out)!r} is not empty and is no rendered set; choose another folder"
        )
    write_whole(file, json.dumps(described, indent=1))


def _write_sequence(config, index, folder):
    sequence = Sequence(config, index)
    (folder / "img").mkdir()
    boxes = []
    for number, frame in enumerate(kept_frames(config), 1):
        image, box_xywh = sequence.render(frame)
        (folder / "img" / f"{number:04d}.jpg").write_bytes(encode_jpeg(image))
        x, y, w, h = box_xywh
        boxes.append((x + 1, y + 1, w, h))
    np.savetxt(folder / "groundtruth_rect.txt", boxes, fmt="%d", delimiter=",")
