"""What `siamjax track` has to say at the end: in words, and as a file of boxes."""

import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

from siamjax.files import write_whole

SHOWN = 5  # of the frames that were not tracked, and of the times that a target was lost


class TargetReport(NamedTuple):
    """One target in one frame."""

    box_xywh: tuple[float, float, float, float]
    score: float | None  # None in the first frame, whose box was given
    is_lost: bool
    polygon: list[list[float]] | None = None  # corners (x, y), where the network makes masks


class Report:
    """One pass over the frames.

    Attributes:
        source: what was tracked.
        first: the targets of the first frame, whose boxes were given.
        frames: for each frame a list of targets, None where it was not tracked.
        times: when each frame is shown, seconds after the first.
        skipped: why, in words.
        stopped: why the source ended early, in words; None where it did not.
        interrupted: whether Ctrl-C ended it.
    """

    def __init__(self, source: str, boxes):
        self.source = source
        self.first = [TargetReport(tuple(box), None, False) for box in boxes]
        self.frames: list[list[TargetReport] | None] = [self.first]
        self.times = [0.0]
        self.skipped: list[str] = []
        self.stopped: str | None = None
        self.interrupted = False
        self._first_seconds: float | None = None
        self._seconds: list[float] = []

    def add(self, targets: list[TargetReport] | None, seconds: float) -> None:
        """Takes the next frame, shown `seconds` after the first; None: it was not tracked."""
        self.frames.append(targets)
        self.times.append(seconds)

    def count(self, seconds: float) -> None:
        """Takes how long one frame took."""
        if self._first_seconds is None:
            self._first_seconds = seconds  # mostly compilation
        else:
            self._seconds.append(seconds)

    def summary(self) -> str:
        """What was tracked, how fast, and what was not."""
        count = len(self.frames)
        lines = [f"tracked {count - len(self.skipped)} of {count} frames of {self.source}"]
        if self.interrupted:
            lines[0] += ", then interrupted"
        if self.stopped is not None:
            lines.append(f"it ended early: {self.stopped}")
        if self._seconds:
            rate = len(self._seconds) / sum(self._seconds)
            lines.append(
                f"{rate:.1f} frames/s on frames in memory (the first step, with compilation, "
                f"took {self._first_seconds:.1f} s and is not in it)"
            )
        several = len(self.first) > 1
        for number in range(len(self.first)):
            spans = self.lost_spans(number)
            if spans:
                name = f"target {number + 1}" if several else "the target"
                text = ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in spans[:SHOWN])
                more = f" and {len(spans) - SHOWN} more times" if len(spans) > SHOWN else ""
                lines.append(f"{name} was lost in frames {text}{more}")
        if self.skipped:
            plural = "s were" if len(self.skipped) > 1 else " was"
            lines.append(f"{len(self.skipped)} frame{plural} not tracked:")
            lines += [f"  {line}" for line in self.skipped[:SHOWN]]
            if len(self.skipped) > SHOWN:
                lines.append(f"  and {len(self.skipped) - SHOWN} more")
        return "\n".join(lines)

    def lost_spans(self, number: int) -> list[tuple[int, int]]:
        """First and last frame, from 1, of every time that a target was lost.

        A frame that was not tracked neither begins nor ends one.
        """
        spans: list[tuple[int, int]] = []
        was_lost = False
        for t, targets in enumerate(self.frames, 1):
            if targets is None:
                continue
            is_lost = targets[number].is_lost
            if is_lost:
                spans[-1:] = [(spans[-1][0], t)] if was_lost else [*spans[-1:], (t, t)]
            was_lost = is_lost
        return spans


def write_boxes(path: Path, report: Report) -> None:
    """Writes the file whole or not at all: .txt, .csv or .json.

    A .txt has x,y,w,h of every target in a line for each frame. Raises `OSError`.
    """
    text = {".csv": _as_csv, ".json": _as_json}.get(path.suffix.lower(), _as_text)(report)
    write_whole(path, text)


def _as_text(report: Report) -> str:
    missing = ["nan"] * 4 * len(report.first)
    lines = []
    for targets in report.frames:
        numbers = [f"{value:.3f}" for target in targets or () for value in target.box_xywh]
        lines.append(",".join(numbers or missing))
    return "\n".join(lines) + "\n"


def _as_csv(report: Report) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["frame", "time", "target", "x", "y", "w", "h", "score", "lost"])
    for t, (targets, seconds) in enumerate(zip(report.frames, report.times, strict=True), 1):
        shown = f"{seconds:.3f}"
        for number in range(len(report.first)):
            if targets is None:
                writer.writerow([t, shown, number + 1, *["nan"] * 5, ""])
                continue
            target = targets[number]
            box = [f"{value:.3f}" for value in target.box_xywh]
            score = "1" if target.score is None else f"{target.score:.4f}"
            writer.writerow([t, shown, number + 1, *box, score, int(target.is_lost)])
    return out.getvalue()


def _as_json(report: Report) -> str:
    frames = []
    for t, (targets, seconds) in enumerate(zip(report.frames, report.times, strict=True), 1):
        shown = None
        if targets is not None:
            shown = [
                {
                    "target": number,
                    "box_xywh": [round(value, 3) for value in target.box_xywh],
                    "score": 1.0 if target.score is None else round(target.score, 4),
                    "lost": target.is_lost,
                    **({"polygon": target.polygon} if target.polygon else {}),
                }
                for number, target in enumerate(targets, 1)
            ]
        frames.append({"frame": t, "time": round(seconds, 3), "targets": shown})
    return json.dumps({"source": report.source, "frames": frames}, indent=1) + "\n"
