"""Our tracker beside OpenCV's on real sequences: success AUC, precision at 20 px, frames/s.

    python benchmarks/opencv.py --weights W [--config C] [--opencv-python PYTHON]
        [--nanotrack BACKBONE.onnx HEAD.onnx] [--data otb=DIR vot2018=DIR] [--json FILE]

One pass from the first true box, VOT's regions as upright boxes, scored by siamjax's own
one-pass evaluation. All trackers take turns, sequence by sequence, on the same machine; times
are those of an update alone, frames in memory, without the start and the first update. MIL is
in every OpenCV; CSRT and KCF are in opencv-contrib-python-headless, which needs a virtual
environment of its own, named by its interpreter. NanoTrack v2's two files come from its authors
(github.com/HonglinChu/SiamTrackers, NanoTrack/models/nanotrackv2).
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from harness import machine, print_table

import siamjax
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence, load_sequences
from siamjax.evaluation.metrics import ope
from siamjax.evaluation.running.runner import run_sequence
from siamjax.evaluation.scoring import frames_per_second

SHARED = Path(__file__).resolve().parents[2] / "shared" / "sequences"
WORKER = Path(__file__).with_name("opencv_worker.py")


class OpenCV:
    """OpenCV's trackers in a process of their own."""

    def __init__(self, python: str, nanotrack: list[str] | None):
        command = [python, str(WORKER)] + (["--nanotrack", *nanotrack] if nanotrack else [])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        quiet = os.environ | {"OPENCV_LOG_LEVEL": "ERROR"}
        self._process = subprocess.Popen(command, env=quiet, **pipes)
        hello = json.loads(self._process.stdout.readline() or "{}")
        self.version, self.trackers = hello.get("opencv"), hello.get("trackers", [])

    def follow(self, name: str, sequence: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Boxes `[t, 4]` and seconds `[t]`."""
        asked = {
            "tracker": name,
            "frames": [str(path) for path in sequence.frame_paths],
            "box_xywh": sequence.gt_xywh[0].tolist(),
        }
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline() or '{"error": "it crashed"}')
        if "error" in answer:
            sys.exit(f"{name} on {sequence.name}: {answer['error']}")
        return np.array(answer["boxes"]), np.array(answer["seconds"])


def score(sequence: Sequence, boxes: np.ndarray, origin: np.ndarray) -> dict[str, float]:
    truth = sequence.truth
    found = ope.scores(ope.curves(truth.boxes, boxes + origin, visible=truth.visible))
    return {"success_auc": found.success_auc, "precision_20px": found.precision_20px}


def named_folders(texts: list[str]) -> list[tuple[str, Path]]:
    pairs = [text.partition("=") for text in texts]
    return [(name, Path(folder)) for name, _, folder in pairs]


def report(scores: dict[str, dict[str, dict[str, float]]], speeds: dict[str, float]) -> None:
    """`scores` are measure by measure of each sequence of each tracker."""
    trackers, names = list(scores), list(next(iter(scores.values())))
    for measure, title in (
        ("success_auc", "Success AUC"),
        ("precision_20px", "Precision at 20 px"),
    ):
        rows = [
            [name, *(f"{scores[t][name][measure]:.3f}" for t in trackers)] for name in names
        ]
        means = [np.mean([scores[t][name][measure] for name in names]) for t in trackers]
        rows.append(["mean", *(f"{value:.3f}" for value in means)])
        print_table(f"{title}, one pass", ["sequence", *trackers], rows)
    print_table("Frames a second", trackers, [[speeds[name] for name in trackers]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, nargs="*", default=[None])
    parser.add_argument("--config", type=Path, help="of the weights, where none lies beside")
    parser.add_argument("--opencv-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--nanotrack", nargs=2, metavar=("BACKBONE", "HEAD"))
    parser.add_argument("--trackers", nargs="*", help="only these of OpenCV's")
    parser.add_argument(
        "--data",
        nargs="*",
        default=[f"otb={SHARED / 'otb'}", f"vot2018={SHARED / 'vot'}"],
        metavar="BENCHMARK=DIR",
    )
    parser.add_argument(
        "--sequences", nargs="*", default=(), help="only these of one benchmark"
    )
    parser.add_argument("--json", type=Path, help="also writes the numbers here")
    options = parser.parse_args()

    ours = {}
    for weights in options.weights:
        tracker = siamjax.load_tracker(options.config, weights)
        name = tracker.config.name
        ours[name if name not in ours else str(weights)] = tracker
    opencv = OpenCV(options.opencv_python, options.nanotrack)
    theirs = [
        t for t in opencv.trackers if options.trackers in (None, []) or t in options.trackers
    ]
    print(f"OpenCV {opencv.version}: {', '.join(theirs) or 'none of its trackers'}")
    for missing in sorted({"MIL", "KCF", "CSRT", "NanoTrack v2"} - set(opencv.trackers)):
        print(f"without {missing}: see --opencv-python and --nanotrack")

    scores = {name: {} for name in [*ours, *theirs]}
    seconds: dict[str, list] = {name: [] for name in scores}
    for name, folder in named_folders(options.data):
        benchmark = get_benchmark(name, "one-pass")
        sequences, problems = load_sequences(folder, benchmark, options.sequences)
        for problem in problems:
            print(f"{benchmark.name}: {problem}")
        for sequence in sequences:
            print(f"{sequence.name} ...", file=sys.stderr, flush=True)
            runs = {}
            for own, tracker in ours.items():
                run = run_sequence(tracker, sequence)
                runs[own] = run.boxes_xywh, run.seconds
            for other in theirs:
                runs[other] = opencv.follow(other, sequence)
            for who, (boxes, times) in runs.items():
                scores[who][sequence.name] = score(sequence, boxes, benchmark.origin_xywh)
                seconds[who].append(times)
    speeds = {name: frames_per_second(times) or float("nan") for name, times in seconds.items()}
    report(scores, speeds)
    if options.json is not None:
        content = {"machine": machine(), "scores": scores, "frames_per_second": speeds}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
