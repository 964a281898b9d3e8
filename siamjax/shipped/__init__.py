"""The trackers that ship with siamjax, and the example clip.

`shipped.json` lists the trackers by name under "trackers", the default first; an entry has the
fields of `Shipped`. Under "example" it has the clip of `siamjax track --example`: `file`,
`box_xywh` and `credit`.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from siamjax.errors import InputError
from siamjax.text import TextError, read_json

FOLDER = Path(__file__).resolve().parent
LISTED = "shipped.json"


class Example(NamedTuple):
    """The example clip, and the target in its first frame."""

    path: Path
    init: str  # x,y,w,h
    credit: str  # author and licence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shipped:
    """A tracker that ships.

    Attributes:
        file: its weights, beside `shipped.json`.
        sha256: of the file.
        speed: frames per second, with the frame size and the machine, as text.
        scores: by metric.
        licence: of the weights.
        summary: one sentence: the training data, and where the model card is.
    """

    file: str
    sha256: str
    speed: str
    scores: dict[str, Any]
    licence: str
    summary: str = ""


def catalogue() -> dict[str, Shipped]:
    """The trackers that ship, by name, the default first. Raises `InputError`."""
    try:
        entries = read_json(FOLDER / LISTED).get("trackers", {})
        return {name: Shipped(**entry) for name, entry in entries.items()}
    except (OSError, TextError, TypeError, AttributeError) as error:
        raise _broken(FOLDER / LISTED, "cannot be read") from error


def weights_of(name: str | None = None) -> Path:
    """The verified weights file of a tracker that ships, by default of the first.

    Raises `InputError` if none ships, or if the file is missing or damaged.
    """
    known = catalogue()
    if not known:
        raise InputError(
            "this copy of siamjax ships no weights; give `weights`: a training's work "
            "directory, a checkpoint in it, or a weights file"
        )
    entry = known[next(iter(known)) if name is None else name]
    path = FOLDER / entry.file
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _broken(path, f"cannot be read ({error.strerror})") from error
    if digest != entry.sha256:
        raise _broken(path, f"is damaged (its sha256 is {digest} and must be {entry.sha256})")
    return path


def read_example() -> Example:
    """The example clip. Raises `InputError` if this copy has none, or the file is missing."""
    listed = FOLDER / LISTED
    try:
        entry = read_json(listed)["example"]
        box = ",".join(f"{float(value):g}" for value in entry["box_xywh"])
        found = Example(FOLDER / str(entry["file"]), box, str(entry["credit"]))
    except (OSError, TextError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"this copy of siamjax has no example clip ({listed}: {error!r}); name a video of "
            "your own, or reinstall siamjax"
        ) from error
    if not found.path.is_file():
        raise InputError(f"the example clip {found.path} is missing; reinstall siamjax")
    return found


def _broken(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path}, which ships with siamjax, {problem}; reinstall siamjax: "
        "pip install --force-reinstall --no-deps siamjax"
    )
