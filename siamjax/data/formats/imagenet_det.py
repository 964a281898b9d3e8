"""ImageNet DET (ILSVRC2015): still images with one XML file each.

Annotations/DET/train/ILSVRC2013_train/<category>/<name>.xml
Annotations/DET/train/ILSVRC2014_train_0000/<name>.xml ...
Annotations/DET/val/<name>.xml
Data/DET/...                                     the images, .JPEG
devkit/data/map_det.txt                          category names, optional
"""

import functools
from pathlib import Path

from siamjax.data.formats.annotations import Annotation, Clip, pixel_corners
from siamjax.data.formats.voc_xml import read_objects
from siamjax.data.formats.wordnet import category_names
from siamjax.folders import files_below


def find(root: Path) -> list[Clip]:
    """Every annotated image of train and val."""
    annotations, data = root / "Annotations" / "DET", root / "Data" / "DET"
    clips, names = [], category_names(root)
    for split in ("train", "val"):
        for file in sorted(files_below(annotations / split, "*.xml")):
            inside = file.relative_to(annotations).with_suffix("")
            image = data / inside.with_name(inside.name + ".JPEG")
            clips.append(Clip(inside.as_posix(), functools.partial(_read, file, image, names)))
    return clips


def _read(file: Path, image: Path, names: dict[str, str]) -> list[Annotation]:
    _, objects = read_objects(file)
    return [
        Annotation(
            image,
            0,
            number,
            pixel_corners(*target.corners),
            names.get(target.category, target.category),
            target.flags,
            annotated_size=target.annotated_size,
        )
        for number, target in enumerate(objects)
    ]
