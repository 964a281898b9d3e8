"""`siamjax track`: follows targets through a video, a folder, a camera or a stream."""

import collections
import contextlib
import math
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import tyro

from siamjax.commands.track_report import Report, TargetReport, write_boxes
from siamjax.errors import InputError

RATE_OVER = 30  # frames over which the rate in the window is taken


def track(
    source: Annotated[str, tyro.conf.arg(metavar="SOURCE"), tyro.conf.Positional],
    *,
    init: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="X,Y,W,H"), tyro.conf.UseAppendAction
    ] = (),
    config: Path | None = None,
    weights: Path = Path("runs/quickstart"),
    out: Path | None = None,
    boxes: Path | None = None,
    long_term: bool = False,
    lost_below: float = 0.5,
    show: bool = False,
) -> int | None:
    """Tracks one target or several, and writes an annotated video and a file of boxes.

    SOURCE is a video file, a folder of images, the number of a camera, or the address of a
    stream such as rtsp://host/path. With neither --out nor --boxes nor --show, both files are
    written to the current folder, as NAME_tracked.mp4 and NAME_boxes.txt; else only what is
    named. A frame that cannot be read is skipped: it has no frame in the video, and `nan` or
    null among the boxes. A target whose score is low is marked as lost. A camera or stream
    that stops ends the run, and so does Ctrl-C; what was tracked is kept.

    Args:
        source: what to track in
        init: a target in the first frame: left, top, width and height in pixels; once for
            each target
        config: the weights' configuration; by default the config.json beside them
        weights: a training's work directory or a checkpoint in it, or a .pth or .npz file
        out: the annotated video (.mp4 .mkv .mov .avi)
        boxes: boxes of every frame, 0-based pixels: x,y,w,h lines in a .txt; with scores in
            a .csv or .json; with the corners of rotated rectangles in a .json for SiamMask
        long_term: look for a lost target in a search image that grows
        lost_below: the score below which a target is said to be lost; --long-term has its own
        show: show the frames while tracking; q or Esc ends
    """
    from siamjax.display import Window, draw_text
    from siamjax.images import ImageError
    from siamjax.tracking.frames import as_box_xywh
    from siamjax.training.interrupts import StopRequest
    from siamjax.video import VideoWriter, open_frames

    # All that can be wrong with the arguments is found before the network is loaded.
    starts = parse_boxes(init)
    if not 0 <= lost_below <= 1:
        raise InputError(f"`--lost-below` (={lost_below}) must lie between 0 and 1")
    frames = open_frames(source)
    images = iter(frames)
    first = next(images, None)
    if first is None:
        raise ImageError(f"{source}: holds no frame")
    if isinstance(first, ImageError):
        raise ImageError(f"the first frame, which `--init` is about, is missing: {first}")
    for box in starts:
        as_box_xywh(box, first.shape[1], first.shape[0])
    if not weights.exists():
        raise InputError(
            f"`--weights` (={weights}) does not exist; name a training's work directory or a "
            ".pth or .npz file (`make demo` trains runs/quickstart)"
        )
    if out is None and boxes is None and not show:
        name = _name_of(source)
        out, boxes = Path(f"{name}_tracked.mp4"), Path(f"{name}_boxes.txt")
    for name, path in {"out": out, "boxes": boxes}.items():
        _check_output(name, path, source)
    if boxes is not None and boxes.suffix.lower() not in (".txt", ".csv", ".json"):
        raise InputError(f"`--boxes` (={boxes}) must end in .txt, .csv or .json")

    report = Report(source, starts)
    with contextlib.ExitStack() as stack:
        sinks = []
        if show:
            window = Window("siamjax")
            stack.callback(window.close)
            sinks.append(lambda image, rate: window.show(draw_text(image, rate)))
        if out is not None:
            writer = stack.enter_context(VideoWriter(out, frames.frame_rate))
            sinks.append(lambda image, rate: writer.write(image) is None)
        follower = _load_tracker(config, weights, long_term)
        follower.init(first, starts)
        stop = stack.enter_context(StopRequest())
        run = _Run(follower, report, sinks, lost_below, stop)
        run.follow(first, images, frames.count)
        if boxes is not None:
            write_boxes(boxes, report)
    print(report.summary())
    for label, path in {"video": out, "boxes": boxes}.items():
        if path is not None:
            print(f"{label}: {path}")
    return 128 + (stop.number or signal.SIGINT) if report.interrupted else None


def parse_boxes(texts: tuple[str, ...]) -> list[tuple[float, float, float, float]]:
    """The boxes of every `--init`; raises `ValueError` without one."""
    if not texts:
        raise InputError("give `--init x,y,w,h` at least once: where is the target?")
    return [parse_box(text) for text in texts]


def parse_box(text: str) -> tuple[float, float, float, float]:
    """The four numbers of `x,y,w,h`; raises `ValueError`."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise InputError(
            f"`--init` (={text!r}) must be four numbers x,y,w,h: left, top, width and height "
            "of the target in the first frame, in pixels, such as --init 120,80,64,48"
        )
    return numbers


class _Run:
    """One pass over the frames: tracks, draws, and fills the report.

    `sinks` take annotated frames and the rate in words, and end the run with False. A frame
    that was begun is finished before `stop` is answered, so that all outputs agree.
    """

    def __init__(self, follower, report: Report, sinks: list, lost_below: float, stop):
        self.follower = follower
        self.report = report
        self.sinks = sinks
        self.lost_below = lost_below
        self.stop = stop
        self.times: collections.deque[float] = collections.deque(maxlen=RATE_OVER)

    def follow(self, first, images, total: int | None) -> None:
        """Tracks until the images end or stop, a sink says so, or Ctrl-C."""
        from tqdm import tqdm

        bar = tqdm(total=total, unit="frame", desc="tracking", initial=1, mininterval=0.5)
        try:
            with bar:
                going_on = self._give(first, self.report.frames[0])
                while going_on and self.stop.number is None:
                    image = next(images, None)
                    if self._is_end(image, total):
                        break
                    going_on = self._follow(image, bar)
                    bar.update()
        except KeyboardInterrupt:
            self.report.interrupted = True
        self.report.interrupted |= self.stop.number is not None

    def _is_end(self, image, total: int | None) -> bool:
        """Whether no frame follows; where that is too early, the report then says why."""
        from siamjax.video import SourceStopped

        count = len(self.report.frames)
        if isinstance(image, SourceStopped):
            self.report.stopped = str(image)
        elif image is None and total is not None and count < total:
            self.report.stopped = f"{total} frames were announced, and {count} came"
        return image is None or isinstance(image, SourceStopped)

    def _follow(self, image, bar) -> bool:
        """One frame; whether to go on."""
        targets = self._step(image)
        self.report.frames.append(targets)
        self.times.append(time.perf_counter())
        if targets is None:
            return True
        lost = sum(target.is_lost for target in targets)
        bar.set_postfix_str(f"{lost} lost" if lost else "", refresh=False)
        return self._give(image, targets)

    def _rate(self) -> str:
        """Frames a second of late, with reading, drawing and writing."""
        if len(self.times) < 2:
            return ""
        return f"{(len(self.times) - 1) / (self.times[-1] - self.times[0]):.1f} frames/s"

    def _give(self, image, targets: list[TargetReport]) -> bool:
        """Draws and shows; the target's number where there are several."""
        from siamjax.display import draw_box, draw_polygon

        if not self.sinks:
            return True
        for number, target in enumerate(targets, 1):
            words = [str(number)] if len(targets) > 1 else []
            words += ["lost"] if target.is_lost else []
            words += [f"{target.score:.2f}"] if target.score is not None else []
            color = (60, 60, 230) if target.is_lost else (60, 220, 60)
            image = draw_box(image, target.box_xywh, " ".join(words), color)
            if target.polygon is not None:
                image = draw_polygon(image, target.polygon, (220, 160, 60))
        return all([sink(image, self._rate()) for sink in self.sinks])

    def _step(self, image) -> list[TargetReport] | None:
        """What became of every target; None, and an entry in `skipped`, for a bad frame."""
        from siamjax.images import ImageError
        from siamjax.tracking.frames import FrameError

        start = time.perf_counter()
        try:
            if isinstance(image, ImageError):
                raise image
            self.follower.update(image)
            scores = self.follower.scores.tolist()
            if not all(map(math.isfinite, scores)):
                raise FrameError("the network's scores are not finite; are its weights?")
        except (ImageError, FrameError) as error:
            self.report.skipped.append(f"frame {len(self.report.frames) + 1}: {error}")
            return None
        self.report.count(time.perf_counter() - start)
        is_long_term = self.follower.config.tracker.long_term is not None
        lost = self.follower.are_lost if is_long_term else [s < self.lost_below for s in scores]
        boxes = self.follower.boxes_xywh.tolist()
        polygons = self.follower.polygons
        polygons = (
            [None] * len(boxes) if polygons is None else [p.round(3).tolist() for p in polygons]
        )
        return [
            TargetReport(tuple(box), score, bool(is_lost), polygon)
            for box, score, is_lost, polygon in zip(boxes, scores, lost, polygons, strict=True)
        ]


def _load_tracker(config: Path | None, weights: Path, long_term: bool):
    print("loading the network", file=sys.stderr)
    from siamjax.api import load_model, with_long_term
    from siamjax.tracking.batch import MultiTracker

    model = load_model(config, weights).folded()
    settings = with_long_term(model.config) if long_term else model.config
    return MultiTracker(model.network, model.variables, settings)


def _name_of(source: str) -> str:
    from siamjax.video import is_live

    if is_live(source):
        return f"camera{source}" if source.isdecimal() else "stream"
    path = Path(source)
    return path.resolve().name if path.is_dir() else path.stem


def _check_output(name: str, path: Path | None, source: str) -> None:
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"`--{name}` (={path}) is a folder; give the name of a file")
    if path.resolve() == Path(source).resolve():
        raise InputError(f"`--{name}` (={path}) is the video to track; give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
