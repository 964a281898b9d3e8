"""`siamjax prepare`: converts a training set from its own layout to records."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from siamjax.errors import require_between

Source = Literal[
    "imagenet_vid",
    "imagenet_det",
    "coco",
    "youtube_bb",
    "got10k",
    "lasot",
    "trackingnet",
    "otb",
    "vot",
    "pascal_voc",
    "yolo",
    "mot",
    "crops",
]
Flag = Literal["absent", "hidden", "occluded", "truncated", "crowd", "difficult"]


def prepare(
    source: Annotated[Source, tyro.conf.Positional],
    *,
    input: Path,
    out: Path,
    only: tuple[str, ...] = (),
    keep: Literal["crops", "frames"] = "crops",
    crop_size: int = 511,
    template_size: int = 127,
    frame_step: int = 1,
    drop: tuple[Flag, ...] = ("absent", "hidden", "crowd"),
    min_side: float = 4.0,
    max_aspect: float = 15.0,
    index_base: Literal[0, 1] | None = None,
    jobs: int | None = None,
) -> None:
    """Converts a training set from its own layout to records.

    The same command resumes an interrupted preparation. What is left out is counted and
    reported, with the first examples; `siamjax check OUT` looks at the result. A
    configuration refers to the folder as `SourceConfig(path=OUT)`.

    Args:
        source: the layout of the folder, see docs/data.md
        input: the folder to read, a public dataset or your own in one of the layouts
        out: the folder to write, new or from an interrupted preparation
        only: only the clips whose names match one of these patterns, e.g. "train/*"
        keep: store square crops around the targets, or whole frames to crop during training
        crop_size: side of a crop, pixels (`data.crop_size` of the configuration)
        template_size: side of the model's template (`model.template_size`)
        frame_step: keep every n-th frame of a video
        drop: drop targets that are annotated with these flags
        min_side: drop boxes with a shorter side, pixels of the frame
        max_aspect: drop boxes whose longer side is more than this many times the shorter
        index_base: coordinate of the first pixel in the annotations; by default the layout's
            own (1 for OTB, 0 for VOT)
        jobs: number of processes; by default one per core
    """
    from siamjax.data.formats import prepare as preparing
    from siamjax.data.formats.cutting import Settings

    settings = Settings(
        keep=keep,
        crop_size=crop_size,
        template_size=template_size,
        frame_step=frame_step,
        drop=tuple(sorted(drop)),
        min_side=min_side,
        max_aspect=max_aspect,
    )
    if jobs is None:
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    require_between("--jobs", jobs, 1, 1024)
    done = preparing.prepare(
        source, input, out, settings, only=only, index_base=index_base, jobs=jobs
    )
    print(
        f"{out}: {done.targets} targets, {done.tracks} tracks, {done.videos} videos or images"
    )
    if done.drops.total:
        print(f"left out {done.drops.total}:")
        print("\n".join(done.drops.lines()))
    for remark in done.drops.told():
        print(f"note: {remark.strip()}")
    if done.looks_like_corners:
        print(
            "Many boxes exceed their frames: are they corners (x1, y1, x2, y2) where the "
            "layout has x, y, width, height? Then convert them and prepare the set again.",
            file=sys.stderr,
        )
