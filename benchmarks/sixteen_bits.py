"""What a release in 16 bits changes: single steps from the same state, and success AUC.

    python benchmarks/sixteen_bits.py EXACT.safetensors HALF.safetensors
        [--data otb=DIR vot2018=DIR] [--sequences NAME ...]

Both files are releases of one tracker, the first in float32. In every frame both take a step
from the state of the exact one, and the largest distance between an edge of their boxes is
kept; then the second one tracks on its own. A release may ship in 16 bits when no step moves a
box by more than 0.5 pixels and the mean AUC differs by at most 0.003.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from harness import print_table
from opencv import named_folders

import siamjax
from siamjax.api import Model
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence, load_sequences
from siamjax.evaluation.metrics import ope
from siamjax.tracking import step
from siamjax.tracking.frames import pad_frame, size_of

SHARED = Path(__file__).resolve().parents[2] / "shared"


def compare(clip: Sequence, exact: Model, half: Model):
    """Largest distance in pixels over single steps, and both success AUCs."""
    options = {"network": exact.network, "config": exact.config}
    size = jax.device_put(size_of(clip.read_frame(0)))
    box = jax.device_put(np.float32(clip.gt_xywh[0]))
    boxes, largest = {"exact": [clip.gt_xywh[0]], "half": [clip.gt_xywh[0]]}, 0.0
    frame = jax.device_put(pad_frame(clip.read_frame(0)))
    states = {
        "exact": step.init(exact.variables, frame, size, box, **options),
        "half": step.init(half.variables, frame, size, box, **options),
    }
    template = states["half"].template
    for t in range(1, len(clip)):
        frame = jax.device_put(pad_frame(clip.read_frame(t)))
        same = states["exact"]._replace(template=template)
        _, beside = step.update(half.variables, same, frame, size, **options)
        for name, model in (("exact", exact), ("half", half)):
            states[name], output = step.update(
                model.variables, states[name], frame, size, **options
            )
            boxes[name].append(np.asarray(output.box_xywh, np.float64))
        edges = [
            np.concatenate([b[:2], b[:2] + b[2:]])
            for b in (np.asarray(beside.box_xywh), boxes["exact"][-1])
        ]
        largest = max(largest, float(np.abs(edges[0] - edges[1]).max()))
    aucs = [
        ope.scores(ope.curves(clip.gt_xywh, np.array(found))).success_auc
        for found in boxes.values()
    ]
    return largest, *aucs


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exact", type=Path)
    parser.add_argument("half", type=Path)
    data = [f"otb={SHARED}/sequences/otb", f"vot2018={SHARED}/sequences/vot"]
    parser.add_argument("--data", nargs="*", default=data, metavar="BENCHMARK=DIR")
    parser.add_argument("--sequences", nargs="*", default=(), help="only these")
    options = parser.parse_args()
    exact, half = (
        siamjax.load_model(weights=w).folded() for w in (options.exact, options.half)
    )
    rows = []
    for name, folder in named_folders(options.data):
        clips, problems = load_sequences(folder, get_benchmark(name), options.sequences)
        for problem in problems:
            print(f"problem: {problem}")
        rows += [[clip.name, *compare(clip, exact, half)] for clip in clips]
    largest, *aucs = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    rows.append(["largest, means", largest.max(), *(auc.mean() for auc in aucs)])
    header = ["sequence", "largest step, px", "AUC exact", "AUC half"]
    print_table(f"{options.half} beside {options.exact}", header, rows)
    print(f"mean AUC differs by {aucs[1].mean() - aucs[0].mean():+.4f}")


if __name__ == "__main__":
    main()
