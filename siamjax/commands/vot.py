"""`siamjax vot`: serves a tracker to the VOT toolkit through the TraX protocol."""

import math
from functools import partial
from pathlib import Path

from siamjax.errors import InputError


def vot(*, weights: Path | None = None, config: Path | None = None) -> None:
    """Serves a tracker to the VOT toolkit over TraX.

    Needs the package vot-trax. In the toolkit's trackers.ini:

        [siamjax]
        label = siamjax
        protocol = trax
        command = siamjax vot

    The toolkit starts one process per sequence; only the first one compiles.

    Args:
        weights: a training's work directory or a checkpoint in it, a release, another file that
            `siamjax convert` takes, or a name that `siamjax models` lists; by default the
            tracker that ships
        config: a configuration file for these weights; by default the one that they come with
    """
    try:
        import trax
    except ImportError as error:
        raise InputError(
            "`siamjax vot` needs the package vot-trax: pip install vot-trax"
        ) from error
    from siamjax.api import load_model

    model = load_model(config, weights)
    server = trax.Server(
        [trax.Region.RECTANGLE, trax.Region.POLYGON],
        [trax.Image.PATH],
        tracker_name=model.config.name,
    )
    with server:
        serve(server, model.tracker(), partial(region_of, trax))


def serve(server, tracker, region) -> None:
    """Answers each request with a region and a confidence, until the client quits.

    `server` is a `trax.Server`; `region(tracker)` returns the target's region. A frame that
    cannot be read repeats the last region, with confidence 0; the first frame raises instead.
    """
    from siamjax.images import ImageError
    from siamjax.tracking.frames import FrameError

    while (request := server.wait()).type in ("initialize", "frame"):
        path = request.image["color"].path()
        score = 0.0
        if request.type == "initialize":
            tracker.init(read(path), first_box(request.objects[0][0]))
            score = tracker.score
        else:
            try:
                tracker.update(read(path))
                score = tracker.score
            except (ImageError, FrameError):
                pass
        confidence = score if math.isfinite(score) else 0.0
        server.status([(region(tracker), {"confidence": confidence})])


def region_of(trax, tracker):
    """The target's region for TraX: a polygon if the network predicts masks, else a box."""
    if tracker.polygon is None:
        return trax.Rectangle.create(*tracker.box_xywh.tolist())
    return trax.Polygon.create(tracker.polygon.tolist())


def read(path: str):
    """The image of a path or a file:// URL, `[h, w, 3]` BGR. Raises `ImageError`."""
    from siamjax.images import read_image

    return read_image(path.removeprefix("file://"))


def first_box(region) -> tuple[float, float, float, float]:
    """Left, top, width and height of an initial TraX region, a rectangle or a polygon.

    A polygon becomes a box as in `polygon_to_box`.
    """
    from siamjax.evaluation.metrics.regions import polygon_to_box

    if region.type == "rectangle":
        return region.bounds()
    x, y, width, height = polygon_to_box([region[i] for i in range(region.size())]).tolist()
    return x - (width - 1) / 2, y - (height - 1) / 2, width, height
