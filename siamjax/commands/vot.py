"""`siamjax vot`: a tracker for the VOT toolkit, which talks to it through TraX."""

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

    The toolkit starts it anew for every sequence; only the first start compiles.

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
    """Answers every request with one region and its confidence, until the client quits.

    `server` is TraX's, and `region(tracker)` says where the target is. A frame that cannot be
    read keeps the region before, with no confidence; one that cannot be begun with raises.
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
    """Where a tracker's target is, as TraX has it: a polygon where the network makes masks."""
    if tracker.polygon is None:
        return trax.Rectangle.create(*tracker.box_xywh.tolist())
    return trax.Polygon.create(tracker.polygon.tolist())


def read(path: str):
    """The frame of a file, which the toolkit may call by an address."""
    from siamjax.images import read_image

    return read_image(path.removeprefix("file://"))


def first_box(region) -> tuple[float, float, float, float]:
    """Left, top, width and height of a first region of TraX's, a rectangle or a polygon.

    A polygon of four corners becomes the upright box of the same area around the mean of its
    corners. Reference: PySOT's VOT evaluation.
    """
    if region.type == "rectangle":
        return region.bounds()
    points = [tuple(map(float, region[i])) for i in range(region.size())]
    xs, ys = ([point[axis] for point in points] for axis in (0, 1))
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    scale = 1.0
    if len(points) == 4 and width * height > 0:
        area = math.dist(points[0], points[1]) * math.dist(points[1], points[2])
        scale = math.sqrt(area / (width * height))
    width, height = scale * width + 1, scale * height + 1
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return x - (width - 1) / 2, y - (height - 1) / 2, width, height
