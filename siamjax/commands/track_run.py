"""One pass of `siamjax track` over the frames of a source."""

import collections
import math
import time

from siamjax.commands.track_report import Report, TargetReport

RATE_OVER = 30  # frames over which the rate in the window is taken


class Run:
    """Tracks, draws, and fills the report.

    `sinks` take annotated frames and the rate in words, and end the run with False. A frame
    that was begun is finished before `stop` is answered, so that all outputs agree. `frames`
    is the source, for its `count` and `time`.
    """

    def __init__(self, report: Report, sinks: list, stop, frames):
        self.report = report
        self.sinks = sinks
        self.stop = stop
        self.frames = frames
        self.times: collections.deque[float] = collections.deque(maxlen=RATE_OVER)

    def begin(self, first) -> bool:
        """Shows the first frame with its boxes; whether to go on."""
        return self._give(first, self.report.first)

    def follow(self, follower, images) -> None:
        """Tracks until the images end or stop, a sink says so, or Ctrl-C."""
        from tqdm import tqdm

        options = {"unit": "frame", "desc": "tracking", "mininterval": 0.5}
        try:
            with tqdm(total=self.frames.count, initial=1, **options) as bar:
                going_on = True
                while going_on and self.stop.number is None:
                    image = next(images, None)
                    if self._is_end(image):
                        break
                    going_on = self._follow(follower, image, bar)
                    bar.update()
                    if len(self.report.frames) == 2:
                        bar.refresh()  # the first box is there
        except KeyboardInterrupt:
            self.report.interrupted = True
        self.report.interrupted |= self.stop.number is not None

    def _is_end(self, image) -> bool:
        """Whether no frame follows; where that is too early, the report then says why."""
        from siamjax.video import SourceStopped

        if isinstance(image, SourceStopped):
            self.report.stopped = str(image)
        return image is None or isinstance(image, SourceStopped)

    def _follow(self, follower, image, bar) -> bool:
        """One frame; whether to go on."""
        seconds = self.frames.time
        targets = self._step(follower, image)
        self.report.add(targets, seconds)
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

    def _step(self, follower, image) -> list[TargetReport] | None:
        """What became of every target; None, and an entry in `skipped`, for a bad frame."""
        from siamjax.images import ImageError
        from siamjax.tracking.frames import FrameError

        start = time.perf_counter()
        try:
            if isinstance(image, ImageError):
                raise image
            results = follower.update(image)
            if not all(math.isfinite(each.score) for each in results):
                raise FrameError("the network's scores are not finite; are its weights?")
        except (ImageError, FrameError) as error:
            self.report.skipped.append(f"frame {len(self.report.frames) + 1}: {error}")
            return None
        self.report.count(time.perf_counter() - start)
        return [
            TargetReport(
                tuple(each.box_xywh.tolist()),
                each.score,
                each.is_lost,
                None if each.polygon is None else each.polygon.round(3).tolist(),
            )
            for each in results
        ]
