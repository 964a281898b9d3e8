"""The clip that comes with siamjax, for `siamjax track --example`."""

from pathlib import Path
from typing import NamedTuple

from siamjax import shipped
from siamjax.errors import InputError
from siamjax.text import TextError, read_json


class Example(NamedTuple):
    """A clip, and the target in its first frame."""

    path: Path
    init: str  # x,y,w,h
    credit: str  # who made it, and on what terms it ships


def read_example() -> Example:
    """What `shipped.json` has under "example": `file`, `box_xywh`, `credit`.

    Raises `InputError` where there is none, or its clip is missing.
    """
    listed = shipped.FOLDER / "shipped.json"
    try:
        entry = read_json(listed)[shipped.EXAMPLE]
        box = ",".join(f"{float(value):g}" for value in entry["box_xywh"])
        found = Example(shipped.FOLDER / str(entry["file"]), box, str(entry["credit"]))
    except (OSError, TextError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"this copy of siamjax has no example clip ({listed}: {error!r}); name a video of "
            "your own, or reinstall siamjax"
        ) from error
    if not found.path.is_file():
        raise InputError(f"the example clip {found.path} is missing; reinstall siamjax")
    return found
