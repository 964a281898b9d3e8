"""Pascal VOC's layout: `Annotations/<name>.xml` and `JPEGImages/<name>.jpg`.

Images and XML files in one folder, and folders of such, are accepted too. The first pixel is
1, 1, and a box includes its last pixel.
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
    image = _image_of(file, name)
    found = []
    for number, target in enumerate(objects):
        x1, y1, x2, y2 = target.corners
        box = (x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1)
        annotation = Annotation(image, 0, number, box, target.category, target.flags)
        found.append(annotation._replace(annotated_size=target.annotated_size))
    return found


def _image_of(file, name):
    """The image of the same name, or the one the XML names, beside it or in JPEGImages."""
    folder = file.parent
    places = [folder, folder.parent / "JPEGImages", folder.parent / "images"]
    for place in places:
        for suffix in (".jpg", *sorted(IMAGE_SUFFIXES), ".JPG", ".JPEG", ".PNG"):
            if os.path.isfile(place / f"{file.stem}{suffix}"):
                return place / f"{file.stem}{suffix}"
    # the last component only: no name may lead out of the folder
    last = Path(name.replace("\\", "/")).name
    for place in places:
        if last and os.path.isfile(place / last):
            return place / last
    return places[1] / (last or f"{file.stem}.jpg")
