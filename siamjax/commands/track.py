"""`siamjax track`: follows one target through a video or a folder of images."""

import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro


def track(
    source: Annotated[Path, tyro.conf.arg(metavar="VIDEO_OR_FOLDER"), tyro.conf.Positional],
    *,
    init: Annotated[str, tyro.conf.arg(metavar="X,Y,W,H")],
    config: Path | None = None,
    weights: Path = Path("runs/quickstart"),
    out: Path | None = None,
    boxes: Path | None = None,
) -> int | None:
    """Tracks one target and writes an annotated video and a text file of boxes.

    With neither --out nor --boxes, both are written to the current folder, as
    NAME_tracked.mp4 and NAME_boxes.txt; with one of them, only that one. A frame that cannot
    be read is skipped: it has no frame in the video and `nan,nan,nan,nan` among the boxes.
    Ctrl-C ends early and keeps what was tracked.

    Args:
        source: a video file, or a folder of images
        init: the target in the first frame: left, top, width and height in pixels
        config: the weights' configuration; by default the config.json beside them
        weights: a training's work directory or a checkpoint in it, or a .pth or .npz file
        out: the annotated video (.mp4 .mkv .mov .avi)
        boxes: one line x,y,w,h for each frame, 0-based pixels
    """
    from siamjax.tracking.frames import as_box_xywh
    from siamjax.video import ImageError, VideoWriter, open_frames

    # All that can be wrong with the arguments is found before the network is loaded.
    box = parse_box(init)
    frames = open_frames(source)
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise ImageError(f"{source}: holds no frame")
    if isinstance(first, ImageError):
        raise ImageError(f"the first frame, which `--init` is about, is missing: {first}")
    as_box_xywh(box, first.shape[1], first.shape[0])
    if not weights.exists():
        raise ValueError(
            f"`--weights` (={weights}) does not exist; name a training's work directory or a "
            ".pth or .npz file (`make demo` trains runs/quickstart)"
        )
    if out is None and boxes is None:
        name = source.resolve().name if source.is_dir() else source.stem
        out, boxes = Path(f"{name}_tracked.mp4"), Path(f"{name}_boxes.txt")
    for name, path in {"out": out, "boxes": boxes}.items():
        _check_output(name, path, source)

    run = _Run(box)
    with contextlib.ExitStack() as stack:
        show = None
        if out is not None:
            show = stack.enter_context(VideoWriter(out, frames.frame_rate)).write
        follower = _load_tracker(config, weights)
        follower.init(first, box)
        run.follow(follower, first, images, frames.count, show)
        if boxes is not None:
            _write_boxes(boxes, run.boxes)
    print(run.summary(source))
    for label, path in {"video": out, "boxes": boxes}.items():
        if path is not None:
            print(f"{label}: {path}")
    return 130 if run.interrupted else None


def parse_box(text: str) -> tuple[float, float, float, float]:
    """The four numbers of `x,y,w,h`; raises `ValueError`."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise ValueError(
            f"`--init` (={text!r}) must be four numbers x,y,w,h: left, top, width and height "
            "of the target in the first frame, in pixels, such as --init 120,80,64,48"
        )
    return numbers


class _Run:
    """What one pass over the frames gives: boxes, times, and the frames left out."""

    def __init__(self, box):
        self.boxes = [box]
        self.skipped: list[str] = []
        self.first_seconds: float | None = None
        self.seconds: list[float] = []
        self.interrupted = False

    def follow(self, follower, first, images, total, show) -> None:
        """Tracks until the images end or Ctrl-C; `show` takes annotated frames, if any."""
        from tqdm import tqdm

        from siamjax.video import draw_box

        bar = tqdm(total=total, unit="frame", desc="tracking", initial=1, mininterval=0.5)
        try:
            with bar:
                if show:
                    show(draw_box(first, self.boxes[0]))
                for image in images:
                    box, score = self._step(follower, image)
                    self.boxes.append(box)
                    if show and score is not None:
                        show(draw_box(image, box, f"{score:.2f}"))
                    bar.update()
        except KeyboardInterrupt:
            self.interrupted = True

    def _step(self, follower, image) -> tuple[tuple[float, ...], float | None]:
        """Box and score; NaN and None, and an entry in `skipped`, for a frame without them."""
        from siamjax.tracking.frames import FrameError
        from siamjax.video import ImageError

        start = time.perf_counter()
        try:
            if isinstance(image, ImageError):
                raise image
            follower.update(image)
            box, score = tuple(follower.box_xywh.tolist()), follower.score
            if not math.isfinite(score):
                raise FrameError("the network's scores are not finite; are its weights?")
        except (ImageError, FrameError) as error:
            self.skipped.append(f"frame {len(self.boxes) + 1}: {error}")
            return (math.nan,) * 4, None
        self._count(time.perf_counter() - start)
        return box, score

    def _count(self, seconds: float) -> None:
        if self.first_seconds is None:
            self.first_seconds = seconds  # mostly compilation
        else:
            self.seconds.append(seconds)

    def summary(self, source: Path) -> str:
        """What was tracked, how fast, and what was not."""
        count = len(self.boxes)
        lines = [f"tracked {count - len(self.skipped)} of {count} frames of {source}"]
        if self.interrupted:
            lines[0] += ", then interrupted"
        if self.seconds:
            rate = len(self.seconds) / sum(self.seconds)
            lines.append(
                f"{rate:.1f} frames/s on frames in memory (the first step, with compilation, "
                f"took {self.first_seconds:.1f} s and is not in it)"
            )
        if self.skipped:
            plural = "s were" if len(self.skipped) > 1 else " was"
            lines.append(f"{len(self.skipped)} frame{plural} not tracked:")
            lines += [f"  {line}" for line in self.skipped[:5]]
            if len(self.skipped) > 5:
                lines.append(f"  and {len(self.skipped) - 5} more")
        return "\n".join(lines)


def _load_tracker(config: Path | None, weights: Path):
    print("loading the network", file=sys.stderr)
    from siamjax.api import load_tracker

    return load_tracker(config, weights)


def _check_output(name: str, path: Path | None, source: Path) -> None:
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"`--{name}` (={path}) is a folder; give the name of a file")
    if path.resolve() == source.resolve():
        raise ValueError(f"`--{name}` (={path}) is the video to track; give another name")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write_boxes(path: Path, boxes) -> None:
    """Writes the file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    lines = [",".join(f"{value:.3f}" for value in box) for box in boxes]
    try:
        partial.write_text("\n".join(lines) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise OSError(
            error.errno, f"the boxes cannot be written: {error.strerror}", str(path)
        ) from error
    finally:
        partial.unlink(missing_ok=True)
