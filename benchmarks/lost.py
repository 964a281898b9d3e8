"""When a tracker should say that its target is lost: precision and recall by threshold.

    python benchmarks/lost.py --weights W [--config C] [--data otb0=DIR ...] [--cut 20]
        [--json FILE]

A tracker is right to say so in a frame without its target (no true box), and where its box
shares nothing with the true one; it is wrong where their overlap is 0.3 or more. Frames in
between do not count. Few clips have frames without their target: with `--cut N` every clip
goes on with N frames of the next one, as after a cut in a film, in which its target is not.

For each threshold of `tracker.lost_score`: precision, the share of such warnings that are
right; recall, of frames without the target and of those where the tracker is elsewhere; false
alarms, the share of the frames on the target in which it is called lost.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from harness import print_table
from opencv import named_folders

import siamjax
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence, load_sequences
from siamjax.evaluation.metrics import ope
from siamjax.images import ImageError
from siamjax.tracking.tracker import Tracker

SHARED = Path(__file__).resolve().parents[2] / "shared"
ON_TARGET = 0.3  # overlap from which a box counts as on the target
THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
ABSENT, ELSEWHERE, ON = 0, 1, 2  # what a frame is


def frames_of(sequence: Sequence) -> Iterator[np.ndarray | None]:
    """The frames of a clip; None for one that cannot be read."""
    for t in range(len(sequence)):
        try:
            yield sequence.read_frame(t)
        except ImageError:
            yield None


def run(tracker: Tracker, clip: Sequence, after: Sequence | None, cut: int):
    """Scores and kinds of the frames of one clip, and of `cut` frames of another behind it."""
    scores, kinds = [], []
    visible = clip.truth.visible
    frames = enumerate(frames_of(clip))
    tracker.init(next(frames)[1], clip.gt_xywh[0])
    for t, frame in frames:
        if frame is None:
            continue
        result = tracker.update(frame)
        true = clip.gt_xywh[t]
        if not np.isfinite(true).all() or not (true[2:] > 0).all():
            kind = ABSENT
        elif visible is not None and not visible[t]:
            kind = ABSENT
        else:
            box = np.asarray(result.box_xywh, np.float64)
            (overlap,) = ope.overlaps(true[None], box[None])
            if 0 < overlap < ON_TARGET:
                continue
            kind = ON if overlap >= ON_TARGET else ELSEWHERE
        scores.append(result.score)
        kinds.append(kind)
    for _, frame in zip(range(cut), frames_of(after) if after else (), strict=False):
        if frame is not None:
            scores.append(tracker.update(cv2.resize(frame, clip.frame_size)).score)
            kinds.append(ABSENT)
    return scores, kinds


def measure(scores: np.ndarray, kinds: np.ndarray, threshold: float) -> dict[str, float]:
    """`scores` and `kinds` `[t]` at one threshold; NaN where there is nothing to divide by."""
    said = ~(scores >= threshold)
    wrong = int((said & (kinds == ON)).sum())
    right = int(said.sum()) - wrong

    def share(kind: int) -> float:
        chosen = kinds == kind
        return float(said[chosen].mean()) if chosen.any() else float("nan")

    total = int((kinds != ON).sum())
    precision = right / (right + wrong) if right + wrong else float("nan")
    recall = right / total if total else float("nan")
    return {
        "threshold": float(threshold),
        "precision": precision,
        "recall": recall,
        "recall_absent": share(ABSENT),
        "recall_elsewhere": share(ELSEWHERE),
        "false_alarms": share(ON),
        "f1": 2 * right / (right + wrong + total) if right + wrong + total else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--config", type=Path, help="of the weights, where none lies beside")
    parser.add_argument(
        "--data",
        nargs="*",
        default=[f"otb0={SHARED / 'training' / 'davis'}"],
        metavar="BENCHMARK=DIR",
    )
    parser.add_argument("--sequences", nargs="*", default=(), help="only these")
    parser.add_argument("--cut", type=int, default=0, help="frames of another clip behind each")
    parser.add_argument("--json", type=Path, help="also writes the numbers here")
    options = parser.parse_args()
    tracker = siamjax.load_tracker(options.config, options.weights)
    clips = []
    for name, folder in named_folders(options.data):
        found, problems = load_sequences(folder, get_benchmark(name), options.sequences)
        clips += found
        for problem in problems:
            print(f"{name}: {problem}")
    scores, kinds = [], []
    for i, clip in enumerate(clips):
        after = clips[(i + 1) % len(clips)] if len(clips) > 1 else None
        more = run(tracker, clip, after, options.cut)
        scores += more[0]
        kinds += more[1]
    scores, kinds = np.array(scores), np.array(kinds)
    counts = [int((kinds == kind).sum()) for kind in (ON, ABSENT, ELSEWHERE)]
    print(f"{len(clips)} clips; frames on the target, without it, elsewhere: {counts}")
    rows = [measure(scores, kinds, threshold) for threshold in THRESHOLDS]
    header = [name.replace("_", " ") for name in rows[0]]
    table = [[f"{value:.3f}" for value in row.values()] for row in rows]
    print_table(f"`{tracker.config.name}`: lost below a score", header, table)
    if options.json is not None:
        content = {"counts": dict(zip(("on", "absent", "elsewhere"), counts, strict=True))}
        options.json.write_text(json.dumps(content | {"thresholds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
