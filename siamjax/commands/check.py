"""`siamjax check`: whether a training set is usable, and what it contains."""

from pathlib import Path
from typing import Annotated

import tyro

from siamjax.commands.prepare import Source
from siamjax.errors import InputError, require_between

NOT_FIT = 2


def check(
    folder: Annotated[Path, tyro.conf.Positional],
    *,
    layout: Source | None = None,
    limit: int = 10_000,
    seed: int = 0,
    sheet: Path | None = None,
) -> int:
    """Checks a training set and summarises its contents.

    Exit code: 0 when it is fit for training, 2 when it is not, 1 when it cannot be read.

    Args:
        folder: a prepared set, or a folder in one of the layouts of `siamjax prepare`
        layout: the layout of a folder that is not prepared; by default detected from its files
        limit: read at most this many random targets, or clips of a raw folder
        seed: seed of the random choice
        sheet: the image of random samples and their boxes to write; by default NAME_check.jpg
            in the current folder
    """
    from siamjax.data.contact_sheet import require_sheet
    from siamjax.data.inspection import inspect_prepared, inspect_raw
    from siamjax.data.sources import is_prepared

    require_between("--limit", limit, 1, 2**63 - 1)
    require_between("--seed", seed, 0, 2**32 - 1)
    sheet = sheet or Path(f"{folder.resolve().name}_check.jpg")
    require_sheet(sheet)
    if is_prepared(folder):
        if layout is not None:
            raise InputError(f"`--layout` is for raw folders, and {folder} is a prepared set")
        report = inspect_prepared(folder, limit=limit, seed=seed)
    else:
        report = inspect_raw(folder, layout, limit=limit, seed=seed)
    for line in report.lines():
        print(line)
    if report.write_sheet(sheet):
        print(f"samples: {sheet}")
    print("fit for training" if report.is_fit else "NOT fit for training")
    return 0 if report.is_fit else NOT_FIT
