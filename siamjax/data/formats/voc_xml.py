"""Pascal VOC's XML annotation files, which ImageNet uses too."""

from pathlib import Path
from typing import NamedTuple

from siamjax.data.formats.annotations import (
    DIFFICULT,
    OCCLUDED,
    TRUNCATED,
    LayoutError,
    as_index,
    as_size,
    number_in,
    read_xml,
)
from siamjax.text import TextError

_FLAGS = {"occluded": OCCLUDED, "truncated": TRUNCATED, "difficult": DIFFICULT}


class XmlObject(NamedTuple):
    """One object of a file; its corners as written, NaN where missing."""

    category: str
    track: int | None
    corners: tuple[float, float, float, float]  # x1, y1, x2, y2
    flags: tuple[str, ...]
    annotated_size: tuple[float, float] | None  # width and height that the file states


def read_objects(path: Path) -> tuple[str, list[XmlObject]]:
    """The image's file name ("" where it is missing) and the objects.

    Raises `LayoutError`, also for malformed numbers.
    """
    root = read_xml(path)
    size = as_size(root.findtext("size/width"), root.findtext("size/height"))
    objects = []
    for element in root.findall("object"):
        try:
            objects.append(_read_object(element, size))
        except TextError as error:
            raise LayoutError(f"{str(path)!r} object {len(objects) + 1}: {error}") from None
    return (root.findtext("filename") or "").strip(), objects


def _read_object(element, size) -> XmlObject:
    track = (element.findtext("trackid") or "").strip()
    left, top, right, bottom = (
        number_in(element, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")
    )
    return XmlObject(
        category=(element.findtext("name") or "").strip(),
        track=as_index(track) if track else None,
        corners=(left, top, right, bottom),
        flags=tuple(flag for name, flag in _FLAGS.items() if _is_set(element, name)),
        annotated_size=size,
    )


def _is_set(element, name) -> bool:
    """Whether a flag is 1 or true; some tools write `Unspecified`."""
    return (element.findtext(name) or "").strip().lower() in ("1", "true", "yes")
