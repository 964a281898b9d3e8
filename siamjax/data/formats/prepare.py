"""Prepares a training set from a folder in one of the known layouts."""

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from siamjax.config import PrepareConfig
from siamjax.data.formats.annotations import LayoutError
from siamjax.data.formats.cutting import cut_clips
from siamjax.data.formats.drops import Drops
from siamjax.data.formats.layouts import LAYOUTS, detect, find_clips, moved_base
from siamjax.data.formats.writer import Shard, finish, read_drops, write_parts
from siamjax.data.sources import DESCRIPTION_FILE, INDEX_FILE, read_description, read_index
from siamjax.errors import InputError
from siamjax.locks import held_file
from siamjax.text import read_object

_FORMAT = 1  # increase it when the same settings give other bytes


class Prepared(NamedTuple):
    """The result of a preparation."""

    videos: int  # videos or still images with at least one target
    tracks: int
    targets: int
    drops: Drops


def prepare(
    layout: str,
    root: Path,
    out: Path,
    settings: PrepareConfig | None = None,
    *,
    only: Sequence[str] = (),
    index_base: int | None = None,
    jobs: int = 1,
) -> Prepared:
    """Prepares the folder `root`, which is in `layout`, as a set in the folder `out`.

    `only` selects clips by shell patterns; empty for all. `index_base` is the index of the
    first pixel in the files if it differs from the layout's.

    `out` appears when it is complete. Until then finished work is kept in a hidden folder
    beside it, from which the same call resumes. The same folder and settings give the same
    bytes, whatever the number of `jobs`. Raises `LayoutError` when there is nothing to
    prepare, `InputError` when `out` holds something else or another process is preparing it,
    `OSError` when the disk is full.
    """
    settings = settings or PrepareConfig()
    root, out = Path(root), Path(out).absolute()
    clips = find_clips(layout, root, only, index_base)
    identity = {
        "format": _FORMAT,
        "layout": layout,
        "index_base": moved_base(layout, index_base),
        "clips": len(clips),
        "names": hashlib.sha256("\n".join(c.name for c in clips).encode()).hexdigest(),
        **dataclasses.asdict(settings),
    }
    identity = json.loads(json.dumps(identity))
    if (done := _finished(out, identity)) is not None:
        return done
    out.parent.mkdir(parents=True, exist_ok=True)
    with held_file(out.with_name(f".{out.name}.lock"), out, "--out"):
        return _finished(out, identity) or _prepare(root, out, clips, identity, settings, jobs)


def _finished(out: Path, identity: dict) -> Prepared | None:
    """The summary of an existing set; None for a new or empty folder."""
    description = out / DESCRIPTION_FILE
    if description.is_file():
        there = read_description(out)
        if {k: there.get(k) for k in identity} != identity:
            changed = sorted(k for k in identity if there.get(k) != identity[k])
            raise InputError(
                f"{str(out)!r} holds a set that differs in {changed}; choose another folder "
                "or remove that one"
            )
        try:
            drops = Drops.from_dict(there["drops"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"{str(description)!r} does not record what was left out; remove the folder "
                "and prepare it again"
            ) from None
        return _summary(out, drops)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} is not a prepared set; choose a new folder")
    return None


def _prepare(root, out, clips, identity, settings, jobs) -> Prepared:
    layout = identity["layout"]
    per_shard = LAYOUTS[layout].clips_per_shard
    shards = []
    for start in range(0, len(clips), per_shard):
        some = clips[start : start + per_shard]
        cut = functools.partial(cut_clips, some, start, settings)
        shards.append(Shard(f"part-{len(shards):06d}", cut, len(some)))
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    parts = out.with_name(f".{out.name}-{digest}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    for unfinished in parts.glob("*.partial"):  # of a run that was killed
        unfinished.unlink()
    try:
        with tqdm(total=len(clips), desc=f"preparing {layout}", unit="clip") as bar:
            write_parts(shards, parts, jobs=jobs, progress=bar.update)
    except OSError as error:
        raise OSError(
            f"{error}\nfinished parts are kept; free some space, and the same command resumes"
        ) from error
    drops = read_drops(shards, parts)
    if not any(read_object(f, records=int)["records"] for f in parts.glob("part-*.json")):
        reasons = "\n".join(drops.lines())
        shutil.rmtree(parts)
        other = detect(root)
        hint = f"\nthe folder looks like {other!r}" if other not in (None, layout) else ""
        raise LayoutError(f"{str(root)!r}: no target could be used:\n{reasons}{hint}")
    finish(shards, parts, {**identity, "drops": drops.to_dict()}, out)
    shutil.rmtree(parts)
    return _summary(out, drops)


def _summary(out, drops) -> Prepared:
    assert (out / INDEX_FILE).is_file()
    index = read_index(out)
    tracks = set(zip(index.video.tolist(), index.track.tolist(), strict=True))
    return Prepared(len({v for v, _ in tracks}), len(tracks), len(index.video), drops)
