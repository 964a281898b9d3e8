"""Sequences of several benchmarks as one, in OTB's layout and in VOT's, by links to the frames.

    python benchmarks/sequences.py --otb DIR --vot2018 DIR --out prepared/real

writes `sequences/` (any benchmark's sequences for `--benchmark otb`, polygons as their bounding
boxes) and `sequences_vot/` (the same for the supervised protocol of `--benchmark vot2018`). The
studies of size `real` are evaluated on both. A sequence with frames without a box is refused.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import Sequence, load_sequences
from siamjax.files import write_whole


def write(sequence: Sequence, folder: Path, frames: str, truth: str, base: int, name: str):
    """One sequence: its frames in `frames/`, its boxes, counted from `base`, in `truth`."""
    boxes = np.add(sequence.gt_xywh, (base, base, 0, 0))
    (folder / frames).mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sequence.frame_paths[: len(boxes)], 1):
        link = folder / frames / f"{number:{name}}{path.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    lines = [",".join(f"{value:.4f}" for value in box) for box in boxes]
    write_whole(folder / truth, "\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--otb", type=Path, required=True)
    parser.add_argument("--vot2018", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    names = []
    for benchmark in ("otb", "vot2018"):
        found, problems = load_sequences(
            getattr(options, benchmark), get_benchmark(benchmark, "one-pass"), ()
        )
        for problem in problems:
            sys.exit(f"{benchmark}: {problem}")
        for sequence in found:
            if not np.isfinite(sequence.gt_xywh).all():
                sys.exit(f"{sequence.name} has frames without a box")
            both = options.out / "sequences", options.out / "sequences_vot"
            write(sequence, both[0] / sequence.name, "img", "groundtruth_rect.txt", 1, "04d")
            write(sequence, both[1] / sequence.name, "color", "groundtruth.txt", 0, "08d")
            names.append(sequence.name)
    write_whole(options.out / "sequences_vot" / "list.txt", "\n".join(names) + "\n")
    print(f"{len(names)} sequences in {options.out}: {', '.join(names)}")


if __name__ == "__main__":
    main()
