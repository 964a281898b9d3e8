"""Names of ImageNet's categories, which its annotations give as WordNet ids."""

import re
from pathlib import Path

from siamjax.data.formats.annotations import LayoutError
from siamjax.text import quote, read_lines

# ImageNet VID's 30, which are among DET's 200; COCO's names where it has the category
_VID = {
    "n02691156": "airplane",
    "n02419796": "antelope",
    "n02131653": "bear",
    "n02834778": "bicycle",
    "n01503061": "bird",
    "n02924116": "bus",
    "n02958343": "car",
    "n02402425": "cow",
    "n02084071": "dog",
    "n02121808": "cat",
    "n02503517": "elephant",
    "n02118333": "fox",
    "n02510455": "giant panda",
    "n02342885": "hamster",
    "n02374451": "horse",
    "n02129165": "lion",
    "n01674464": "lizard",
    "n02484322": "monkey",
    "n03790512": "motorcycle",
    "n02324045": "rabbit",
    "n02509815": "red panda",
    "n02411705": "sheep",
    "n01726692": "snake",
    "n02355227": "squirrel",
    "n02129604": "tiger",
    "n04468005": "train",
    "n01662784": "turtle",
    "n04530566": "boat",
    "n02062744": "whale",
    "n02391049": "zebra",
}


def category_names(root: Path) -> dict[str, str]:
    """Category names by WordNet id, for a folder of ImageNet DET or VID.

    DET's other names are read from its own list, `devkit/data/map_det.txt` (WordNet id,
    number, name), if present; otherwise they keep their ids. Raises `LayoutError` for a
    malformed list.
    """
    names = {}
    for file in (root / "devkit" / "data" / f"map_{kind}.txt" for kind in ("det", "vid")):
        if not file.is_file():
            continue
        for number, line in enumerate(read_lines(file), 1):
            match = re.fullmatch(r"(n\d+)\s+\d+\s+(.+)", line.strip())
            if match:
                names[match[1]] = match[2].replace("_", " ")
            elif line.strip():
                raise LayoutError(
                    f"{str(file)!r} line {number} names no category: {quote(line)}"
                )
    return names | _VID
