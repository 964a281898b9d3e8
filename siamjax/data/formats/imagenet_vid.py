"""ImageNet VID (ILSVRC2015): video, with one XML file per frame.

    Annotations/VID/train/ILSVRC2015_VID_train_0000/<video>/000000.xml
    Annotations/VID/val/<video>/000000.xml
    Data/VID/...                                             the images, .JPEG
    devkit/data/map_vid.txt                                  category names, optional

Both splits are training data here, as in PySOT's preparation. That one splits a track where
the target is absent, and a later part then overwrites an earlier one of the same id; here a
track keeps all its frames, with their numbers. An object without `trackid` is a track of one
frame.
"""

import functools
import re
from pathlib import Path

from siamjax.data.formats.annotations import NO_IDENTITY, Annotation, Clip, pixel_corners
from siamjax.data.formats.voc_xml import read_objects
from siamjax.data.formats.wordnet import category_names
from siamjax.folders import files_in, folders_in


def find(root: Path) -> list[Clip]:
    """Every video of train and val."""
    annotations, data = root / "Annotations" / "VID", root / "Data" / "VID"
    folders = [f for part in folders_in(annotations / "train") for f in folders_in(part)]
    folders += folders_in(annotations / "val")
    clips, names = [], category_names(root)
    for folder in folders:
        inside = folder.relative_to(annotations)
        read = functools.partial(_read, folder, data / inside, names)
        clips.append(Clip(inside.as_posix(), read))
    return clips


def _read(annotations: Path, images: Path, names: dict[str, str]) -> list[Annotation]:
    files = files_in(annotations, "*.xml")
    are_numbers = all(re.fullmatch(r"\d+", file.stem, re.ASCII) for file in files)
    found, loose = [], -1
    for place, file in enumerate(files):
        _, objects = read_objects(file)
        for target in objects:
            if (
                target.track is None
            ):  # its position in the file is no identity: a track of its own
                loose -= 1
            found.append(
                Annotation(
                    images / f"{file.stem}.JPEG",
                    int(file.stem) if are_numbers else place,
                    loose if target.track is None else target.track,
                    pixel_corners(*target.corners),
                    names.get(target.category, target.category),
                    target.flags,
                    remark=NO_IDENTITY if target.track is None else "",
                    annotated_size=target.annotated_size,
                )
            )
    return found
