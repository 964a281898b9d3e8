"""`siamjax prepare`: converts a training set from its own layout to records."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from siamjax.config import PrepareConfig
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


def prepare(
    source: Annotated[Source, tyro.conf.Positional],
    *,
    input: Path,
    out: Path,
    settings: Annotated[PrepareConfig, tyro.conf.arg(name="")],
    only: tuple[str, ...] = (),
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
        settings: what is kept, and how
        only: only the clips whose names match one of these patterns, e.g. "train/*"
        index_base: coordinate of the first pixel in the annotations; by default the layout's
            own (1 for OTB, 0 for VOT)
        jobs: number of processes; by default one per core
    """
    from siamjax.data.formats import prepare as preparing
    from siamjax.data.formats.cutting import look_like_corners

    settings = dataclasses.replace(settings, drop=tuple(sorted(settings.drop)))
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
    if look_like_corners(done.drops, done.targets):
        print(
            "Many boxes exceed their frames: are they corners (x1, y1, x2, y2) where the "
            "layout has x, y, width, height? Then convert them and prepare the set again.",
            file=sys.stderr,
        )
