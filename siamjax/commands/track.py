"""`siamjax track`: tracks targets in a video, a folder, a camera or a stream."""

import contextlib
import dataclasses
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from siamjax.commands.track_report import Report, write_boxes
from siamjax.commands.track_run import Run
from siamjax.errors import InputError
from siamjax.files import require_writable
from siamjax.shipped import read_example
from siamjax.text import TextError, parse_number

BOX_SUFFIXES = (".txt", ".csv", ".json")


def track(
    source: Annotated[str | None, tyro.conf.arg(metavar="SOURCE"), tyro.conf.Positional] = None,
    *,
    init: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="X,Y,W,H"), tyro.conf.UseAppendAction
    ] = (),
    example: bool = False,
    config: Path | None = None,
    weights: Path | None = None,
    out: Path | None = None,
    boxes: Path | None = None,
    long_term: bool = False,
    lost_below: float | None = None,
    show: bool = False,
    engine: Literal["jax", "onnxruntime", "openvino"] | None = None,
) -> int | None:
    """Tracks targets in a video, images, a camera or a stream.

    Without --init, a window opens with the first frame, and you draw the targets in it. With
    none of --out, --boxes and --show, NAME_tracked.mp4 and NAME_boxes.txt are written to the
    current folder; otherwise only what you name is written. A frame that cannot be read is
    left out of the video, and its boxes are `nan` (null in .json). Ctrl-C, or a camera or
    stream that stops, ends the run and keeps what was tracked.

    Args:
        source: a video file, a folder of images, the number of a camera, or the address of a
            stream such as rtsp://host/path
        init: the target's box in the first frame: left, top, width and height in pixels;
            repeat the option for more targets
        example: track the example clip that ships, with its own first box
        config: a configuration file for these weights; by default the one that they come with
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, the folder of an export, or a name that `siamjax models`
            lists; by default the tracker that ships
        out: the video to write, with boxes drawn (.mp4 .mkv .mov .avi)
        boxes: the file of boxes to write: .txt has a line x,y,w,h for each frame; .csv and
            .json also have time, score and lost. Pixels count from 0
        long_term: search a larger region while a target is lost
        lost_below: mark a target as lost below this score, 0 to 1; by default
            `tracker.lost_score` of the configuration. Not with --long-term
        show: show the frames in a window while tracking; q or Esc stops
        engine: runs an exported folder; onnxruntime (the default) or openvino for ONNX
    """
    from siamjax.api import resolve
    from siamjax.interrupts import StopRequest
    from siamjax.video import VideoWriter, open_frames

    # Every argument is checked before the network is loaded.
    credit = None
    if example:
        if source is not None or init:
            raise InputError(
                "`--example` has its own clip and box; leave SOURCE and --init out"
            )
        clip = read_example()
        source, init, credit = str(clip.path), (clip.init,), clip.credit
    if source is None:
        raise InputError(
            "name what to track in: a video, a folder of images, a camera's number or a "
            "stream's address; --example tracks the clip that comes with siamjax"
        )
    _check_lost_below(lost_below, long_term)
    settings, found = resolve(config, weights)
    if out is None and boxes is None and not show:
        name = _name_of(source)
        out, boxes = Path(f"{name}_tracked.mp4"), Path(f"{name}_boxes.txt")
    for name, path in {"out": out, "boxes": boxes}.items():
        _check_output(name, path, source)
    if boxes is not None and boxes.suffix.lower() not in BOX_SUFFIXES:
        raise InputError(f"`--boxes` (={boxes}) must end in .txt, .csv or .json")
    starts = [parse_box(text) for text in init]
    frames = open_frames(source)
    images = iter(frames)
    first = _first_frame(images, source)
    _check_starts(first, starts)

    with contextlib.ExitStack() as stack:
        sinks = []
        if out is not None:
            writer = stack.enter_context(VideoWriter(out, frames.frame_rate))
            sinks.append(lambda image, rate: writer.write(image) is None)
        if boxes is not None:
            require_writable(boxes)
        if not starts:
            starts = _draw_starts(first)
        if show:
            sinks.insert(0, _window(stack))
        stop = stack.enter_context(StopRequest())
        report = Report(source, starts)
        run = Run(report, sinks, stop, frames)
        if run.begin(first):
            follower = _load_tracker(settings, found, long_term, lost_below, engine)
            follower.init(first, starts)
            run.follow(follower, images)
        if boxes is not None:
            write_boxes(boxes, report)
    print(report.summary())
    for note in frames.notes:
        print(f"note: {note}")
    for label, path in {"video": out, "boxes": boxes}.items():
        if path is not None:
            print(f"{label}: {path}")
    if credit is not None:
        print(f"clip: {credit}")
    return 128 + (stop.number or signal.SIGINT) if report.interrupted else None


def parse_box(text: str) -> tuple[float, float, float, float]:
    """The four numbers of `x,y,w,h`. Raises `InputError`."""
    try:
        numbers = tuple(parse_number(part.strip()) for part in text.split(","))
    except TextError:
        numbers = ()
    if len(numbers) != 4:
        raise InputError(
            f"`--init` (={text!r}) must be four numbers x,y,w,h: left, top, width and height "
            "of the target in the first frame, in pixels, such as --init 120,80,64,48"
        )
    return numbers


def _check_lost_below(lost_below: float | None, long_term: bool) -> None:
    if lost_below is None:
        return
    if not 0 <= lost_below <= 1:
        raise InputError(f"`--lost-below` (={lost_below}) must lie between 0 and 1")
    if long_term:
        raise InputError(
            f"`--lost-below` (={lost_below}) is for short-term trackers, and --long-term has "
            "thresholds of its own (`tracker.long_term`); leave one of the two out"
        )


def _first_frame(images, source: str):
    from siamjax.images import ImageError

    first = next(images, None)
    if first is None:
        raise ImageError(f"{source}: holds no frame")
    if isinstance(first, ImageError):
        raise ImageError(f"the first frame, in which the targets are, is missing: {first}")
    return first


def _check_starts(frame, boxes) -> None:
    from siamjax.tracking.frames import as_box_xywh

    for box in boxes:
        as_box_xywh(box, frame.shape[1], frame.shape[0])


def _draw_starts(frame) -> list[tuple[float, float, float, float]]:
    """The boxes that the user draws in the first frame. Raises `InputError`."""
    from siamjax.display import choose_boxes

    try:
        boxes = choose_boxes(frame)
    except OSError as error:
        raise InputError(
            f"the target cannot be drawn: {error}; give it as `--init x,y,w,h`: left, top, "
            "width and height in the first frame, in pixels"
        ) from error
    if not boxes:
        raise InputError("no target was drawn; draw one, or give `--init x,y,w,h`")
    _check_starts(frame, boxes)
    return boxes


def _window(stack: contextlib.ExitStack):
    from siamjax.display import Window, draw_text

    window = Window("siamjax")
    stack.callback(window.close)
    return lambda image, rate: window.show(draw_text(image, rate))


def _load_tracker(config, weights, long_term: bool, lost_below: float | None, engine):
    print("loading the network", file=sys.stderr)
    from siamjax.api import load_model
    from siamjax.config import TrackingConfig
    from siamjax.tracking.batch import MultiTracker

    model = load_model(config, weights, engine=engine)
    if lost_below is None:
        return model.multi_tracker(long_term=long_term)
    rules = model.config.tracker
    _check_lost_below(lost_below, rules.long_term is not None)
    settings = TrackingConfig(
        model.config.model, dataclasses.replace(rules, lost_score=lost_below)
    )
    folded = model.folded()
    return MultiTracker(folded.network, folded.variables, settings)


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
