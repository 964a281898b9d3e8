"""The trackers that come with siamjax: one file of weights each, and what is known of them.

`shipped.json` holds them by name under "trackers", the one that is used where none is named
first; an entry has the fields of `Shipped`. Under "example" it has the clip of
`siamjax track --example`.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from siamjax.errors import InputError
from siamjax.text import TextError, read_json

FOLDER = Path(__file__).resolve().parent
EXAMPLE = "example"  # the entry of shipped.json that is a clip and no tracker


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shipped:
    """A tracker that ships.

    Attributes:
        file: its weights, beside `shipped.json`.
        sha256: of the file.
        speed: in words, with the frames' size and the machine.
        scores: by measure.
        licence: of the weights.
        summary: a sentence: what it was trained on, and where its model card is.
    """

    file: str
    sha256: str
    speed: str
    scores: dict[str, Any]
    licence: str
    summary: str = ""


def catalogue() -> dict[str, Shipped]:
    """What ships, by name."""
    try:
        entries = read_json(FOLDER / "shipped.json").get("trackers", {})
        return {name: Shipped(**entry) for name, entry in entries.items()}
    except (OSError, TextError, TypeError, AttributeError) as error:
        raise _broken(FOLDER / "shipped.json", "cannot be read") from error


def weights_of(name: str | None = None) -> Path:
    """The weights of a tracker that ships, known to be what was released; the first by default.

    Raises `InputError` where none ships, and for a file that is missing or damaged.
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


def _broken(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path}, which ships with siamjax, {problem}; reinstall siamjax: "
        "pip install --force-reinstall --no-deps siamjax"
    )
