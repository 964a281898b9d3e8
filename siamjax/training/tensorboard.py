"""Metrics and pictures for TensorBoard, where tensorboardX is installed."""

import contextlib
import importlib.util
from pathlib import Path

import numpy as np

from siamjax.config import ConfigError


def require_tensorboard() -> None:
    """Raises `ConfigError` where the package is missing."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            '`train.tensorboard` (=True) needs tensorboardX: pip install "siamjax[tensorboard]"'
        )


class TensorBoard:
    """A writer of scalars and pictures below a folder; see `writers`.

    What an earlier leg of the run wrote beyond `start_step` is no longer shown.
    """

    def __init__(self, folder: Path, start_step: int):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start_step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One point of each curve; a name with a slash is grouped by what stands before it."""
        for name, value in values.items():
            name = name if "/" in name else f"training/{name}"
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture `[h, w, 3]` uint8, RGB."""
        self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left."""
        with contextlib.suppress(OSError):
            self._writer.close()
