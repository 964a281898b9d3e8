"""`siamjax render`: renders sequences as a benchmark folder in OTB's layout."""

from pathlib import Path
from typing import Annotated

import tyro

from siamjax.config import SyntheticConfig

_DEFAULT = SyntheticConfig(split="test", sequences=30)


def render(
    out: Path,
    settings: Annotated[SyntheticConfig, tyro.conf.arg(name="")] = _DEFAULT,
    *,
    sheet: Path | None = None,
) -> None:
    """Renders sequences with exact boxes, in OTB's layout.

    Args:
        out: the folder, new or from an interrupted run
        settings: what is rendered; see docs/data.md for sprites and backgrounds
        sheet: also write an image of samples with their boxes, .jpg or .png
    """
    from siamjax.data.synthetic import kept_frames, write_otb, write_samples

    if sheet is not None:
        write_samples(settings, sheet)
        print(f"samples: {sheet}")
    names = write_otb(settings, out)
    print(f"{len(names)} sequences of {len(kept_frames(settings))} frames in {out}")
