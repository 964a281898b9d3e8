"""Where metrics go: a file of JSON lines, the terminal, TensorBoard.

A writer has `scalars(step, values)`, called every few steps with numbers that are on the host
already, and `close()`.
"""

import contextlib
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from siamjax.config import ConfigError
from siamjax.files import write_whole
from siamjax.text import TextError, parse_json


class JsonLines:
    """Appends one JSON object a line: `{"step": 20, "loss": ...}`, steps ascending.

    Lines beyond `start_step` are dropped, since a resumed run takes those steps again. Raises
    `OSError`, naming the file, when the disk is full.
    """

    def __init__(self, path: Path, start_step: int):
        self._path = path
        if path.exists():
            kept = [line for line in read_metrics(path) if line["step"] <= start_step]
            write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Writes one line, at once."""
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines that `JsonLines` wrote, up to the first that a crash truncated."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = parse_json(text)
        except TextError:
            break
        if not (isinstance(line, dict) and type(line.get("step")) is int):
            break
        lines.append({k: v for k, v in line.items() if isinstance(v, int | float)})
    return lines


class Progress:
    """Progress of the training: a bar on a terminal, else a line at each call.

    Shows loss, learning rate, pairs/s, the share of time spent waiting for data, and the time
    left. Other metrics get a line of their own.
    """

    def __init__(self, start_step: int, steps: int, stream=None):
        self._stream = sys.stdout if stream is None else stream
        self._start_step, self._steps = start_step, steps
        self._start_time = time.perf_counter()
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=steps,
                initial=start_step,
                file=self._stream,
                dynamic_ncols=True,
                bar_format="{n_fmt}/{total_fmt} {bar} {desc}, {remaining} left",
            )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Shows the progress, or the scores of a validation."""
        if "loss" not in values:
            self._say(step, ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
            return
        text = (
            f"loss {values['loss']:.4f}, lr {values['learning_rate']:.5f}, "
            f"{values['pairs_per_second']:.1f} pairs/s, data {values['data_wait']:.0%}"
        )
        if self._bar is not None:
            self._bar.set_description_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        done = step - self._start_step
        left = (time.perf_counter() - self._start_time) / done * (self._steps - step)
        self._say(step, f"{text}, {tqdm.format_interval(left)} left")

    def _say(self, step: int, text: str) -> None:
        line = f"step {step}/{self._steps}: {text}"
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def require_tensorboard() -> None:
    """Raises `ConfigError` when tensorboardX is not installed."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            '`train.tensorboard` (=True) needs tensorboardX: pip install "siamjax[tensorboard]"'
        )


class TensorBoard:
    """Writes scalars and images to a folder, with tensorboardX.

    Events beyond `start_step`, of a run that is resumed, are no longer shown.
    """

    def __init__(self, folder: Path, start_step: int):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=start_step + 1)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Adds a point to each curve; those without a slash go to the group `training`."""
        for name, value in values.items():
            name = name if "/" in name else f"training/{name}"
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds an image `[h, w, 3]` uint8, RGB."""
        self._writer.add_image(name, image, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the files."""
        with contextlib.suppress(OSError):
            self._writer.close()
