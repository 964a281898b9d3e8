"""Pascal VOC's layout: `Annotations/<name>.xml` and `JPEGImages/<name>.jpg`.

Files beside each other, and folders of them, will do as well. The first pixel is 1, 1, and
a box reaches from its first pixel to its last.
"""

import functools
import os
from pathlib import Path

from siamjax.data.formats.annotations import Annotation, Clip
from siamjax.data.formats.voc_xml import read_objects
from siamjax.folders import IMAGE_SUFFIXES, files_below


def find(root: Path) -> list[Clip]:
    """Every XML file below a folder."""
    return [
        Clip(
            file.relative_to(root).with_suffix("").as_posix(),
            functools.partial(_read, file),
        )
        for file in files_below(root, "*.xml")
    ]


def _read(file: Path) -> list[Annotation]:
    name, objects = read_objects(file)
    picture = _picture(file, name)
    found = []
    for number, target in enumerate(objects):
        x1, y1, x2, y2 = target.corners
        box = (x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1)
        annotation = Annotation(picture, 0, number, box, target.category, target.flags)
        found.append(annotation._replace(annotated_size=target.picture_size))
    return found


def _picture(file, name):
    """The file of the same name, or the one that the XML names, here or in JPEGImages."""
    folder = file.parent
    places = [folder, folder.parent / "JPEGImages", folder.parent / "images"]
    for place in places:
        for suffix in (".jpg", *sorted(IMAGE_SUFFIXES), ".JPG", ".JPEG", ".PNG"):
            if os.path.isfile(place / f"{file.stem}{suffix}"):
                return place / f"{file.stem}{suffix}"
    # the last part alone: a file must not lead out of its folder
    last = Path(name.replace("\\", "/")).name
    for place in places:
        if last and os.path.isfile(place / last):
            return place / last
    return places[1] / (last or f"{file.stem}.jpg")
