"""Names of ImageNet's categories, which its annotations give as WordNet ids."""

import re
from pathlib import Path

from siamjax.data.formats.annotations import LayoutError
from siamjax.text import quote, read_lines

# ImageNet VID's 30 in the form of its own list; COCO's names where it has the category.
_VID = Path(__file__).with_name("map_vid.txt")


def category_names(root: Path) -> dict[str, str]:
    """Category names by WordNet id, for a folder of ImageNet DET or VID.

    DET's other names are read from its own list, `devkit/data/map_det.txt` (WordNet id,
    number, name), if present; otherwise they keep their ids. Raises `LayoutError` for a
    malformed list.
    """
    names = {}
    own = (root / "devkit" / "data" / f"map_{kind}.txt" for kind in ("det", "vid"))
    for file in (*filter(Path.is_file, own), _VID):  # ours last
        for number, line in enumerate(read_lines(file), 1):
            match = re.fullmatch(r"(n\d+)\s+\d+\s+(.+)", line.strip())
            if match:
                names[match[1]] = match[2].replace("_", " ")
            elif line.strip():
                raise LayoutError(
                    f"{str(file)!r} line {number} names no category: {quote(line)}"
                )
    return names
