"""`siamjax render`: renders sequences as a benchmark folder in OTB's layout."""

from pathlib import Path
from typing import Literal


def render(
    out: Path,
    *,
    split: Literal["train", "test"] = "test",
    sequences: int = 30,
    frames: int = 60,
    seed: int = 0,
    width: int = 320,
    height: int = 240,
    sprites: tuple[str, ...] = (),
    backgrounds: tuple[str, ...] = (),
    part_prob: float = 0.0,
    sheet: Path | None = None,
) -> None:
    """Renders sequences with exact boxes, in OTB's layout.

    Args:
        out: the folder, new or from an interrupted run
        split: the training or the test set; they share no object and no background
        sequences: number of sequences
        frames: frames per sequence
        seed: random seed
        width: width of a frame, pixels
        height: height of a frame, pixels
        sprites: folders of objects with alpha or masks, instead of drawn ones; see docs/data.md
        backgrounds: folders of photographs, instead of drawn scenes
        part_prob: probability that a sequence's target is a part of an object
        sheet: also write an image of samples with their boxes, .jpg or .png
    """
    from siamjax.config import SyntheticConfig
    from siamjax.data.synthetic import write_otb, write_samples

    config = SyntheticConfig(
        split=split,
        sequences=sequences,
        frames=frames,
        seed=seed,
        width=width,
        height=height,
        sprites=sprites,
        backgrounds=backgrounds,
        part_prob=part_prob,
    )
    if sheet is not None:
        write_samples(config, sheet)
        print(f"samples: {sheet}")
    names = write_otb(config, out)
    print(f"{len(names)} sequences of {frames} frames in {out}")
