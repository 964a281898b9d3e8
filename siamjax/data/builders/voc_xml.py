"""The XML of Pascal VOC, which ImageNet's sets use as well: what stands in one file."""

from pathlib import Path
from typing import NamedTuple

from siamjax.data.builders.annotations import (
    DIFFICULT,
    OCCLUDED,
    TRUNCATED,
    number_in,
    read_xml,
)

_FLAGS = {"occluded": OCCLUDED, "truncated": TRUNCATED, "difficult": DIFFICULT}


class XmlObject(NamedTuple):
    """One object of a file; its corners are as written, NaN where they are not numbers."""

    category: str
    track: int | None
    corners: tuple[float, float, float, float]  # x1, y1, x2, y2
    flags: tuple[str, ...]


def read_objects(path: Path) -> tuple[str, list[XmlObject]]:
    """The picture's file name ("" where it is missing) and the objects; `LayoutError`."""
    root = read_xml(path)
    objects = []
    for element in root.findall("object"):
        track = (element.findtext("trackid") or "").strip()
        objects.append(
            XmlObject(
                category=(element.findtext("name") or "").strip(),
                track=int(track) if track.isdigit() else None,
                corners=tuple(
                    number_in(element, f"bndbox/{name}")
                    for name in ("xmin", "ymin", "xmax", "ymax")
                ),
                flags=tuple(
                    flag
                    for name, flag in _FLAGS.items()
                    if number_in(element, name, default=0.0) > 0
                ),
            )
        )
    return (root.findtext("filename") or "").strip(), objects
