"""Draws docs/positions.png: where targets lie in search images, for three ranges of shift.

    python docs/positions.py

Drawn by the pipeline's own augmentation. A target that is always in the middle teaches the
network to look in the middle (SiamRPN++, section 3); a uniform shift takes that away.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from siamjax.config import AugmentConfig
from siamjax.data.augment import cut, draw_augmentation, window_xyxy

CROP, SIZE, COUNT = 511, 255, 6000
BOX = np.array([223, 235, 287, 275], np.float32)


def centers(shift: float) -> np.ndarray:
    """Centres of the target, `[n, 2]`, pixels of the search image."""
    rng = np.random.default_rng(0)
    config = AugmentConfig(shift=shift, scale=0.18)
    nothing = np.zeros((2, 2, 3), np.uint8)
    found = []
    for _ in range(COUNT):
        window = window_xyxy(draw_augmentation(rng, config), CROP, SIZE)
        _, box = cut(nothing, BOX, window, SIZE)
        found.append((box[:2] + box[2:]) / 2)
    return np.array(found)


def main() -> None:
    """Writes the picture beside this file."""
    figure, panels = plt.subplots(1, 3, figsize=(7.2, 2.6), layout="constrained")
    for panel, shift in zip(panels, (0, 16, 64), strict=True):
        found = centers(shift)
        counts, *_ = np.histogram2d(*found.T, bins=51, range=[(0, SIZE)] * 2)
        panel.imshow(counts.T, extent=(0, SIZE, SIZE, 0), cmap="magma", vmax=counts.max())
        panel.set_title(f"shift {shift}", fontsize=9)
        panel.tick_params(labelsize=7)
    figure.suptitle("Where the target's centre lies in the search image", fontsize=10)
    figure.savefig(Path(__file__).with_name("positions.png"), dpi=80)


if __name__ == "__main__":
    main()
