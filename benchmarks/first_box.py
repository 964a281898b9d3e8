"""How long `siamjax track` takes until its first box, from the start of the process.

    python benchmarks/first_box.py [--weights FILE] [--width 640] [--height 480] [--repeat 3]

Prints seconds of the clock and of the processor, with an empty compilation cache (the first
start ever) and with the one that the first start left behind, and how many programs the
second found there. The weights are those that ship; random ones of configs/siamjax_small.py
where none ship. The video is rendered. Run it on an idle machine.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
from forward import random_variables
from harness import print_table
from tracking import render

from siamjax import shipped
from siamjax.config_files import load_config
from siamjax.models.build import build_network
from siamjax.models.folding import fold_batch_norm
from siamjax.video import VideoWriter
from siamjax.weights.release import write_release

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "siamjax_small.py"

# `siamjax track` as the command runs it, until its first box has come off the device.
PROGRAM = """
import json, os, sys, time
started, folder = float(sys.argv[1]), sys.argv[2]
sys.argv[1:] = sys.argv[3:]
from siamjax import cli

def watched(function):
    def update(*arguments, **options):
        results = function(*arguments, **options)
        box = results[0].box_xywh.tolist()
        times = os.times()
        told = {"seconds": time.time() - started, "processor": times.user + times.system}
        print(json.dumps({**told, **counts, "box": box}), flush=True)
        os._exit(0)
    return update

import jax
counts = {"cache_hits": 0, "cache_misses": 0}
def count(event, **_):
    name = event.rpartition("/")[2]
    if name in counts:
        counts[name] += 1
jax.monitoring.register_event_listener(count)
if folder:
    import pathlib
    from siamjax import shipped
    shipped.FOLDER = pathlib.Path(folder)
from siamjax.tracking.batch import MultiTracker
MultiTracker.update = watched(MultiTracker.update)
cli.command()
"""


def stand_in(folder: Path) -> None:
    """Random weights as if they shipped."""
    config = load_config(CONFIG)
    network = build_network(config.model)
    variables = jax.device_get(random_variables(network, config.model))
    provenance = {"pairs": 1, "sources": [{"name": "random numbers", "terms": "none"}]}
    path = folder / "stand_in.safetensors"
    write_release(path, config, fold_batch_norm(config.model, variables)[1], provenance)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = {"file": path.name, "sha256": digest, "speed": "", "scores": {}, "licence": ""}
    (folder / "shipped.json").write_text(json.dumps({"trackers": {"stand_in": entry}}))


def start(folder: Path, arguments: list[str], shipping: str) -> dict:
    """What one process says of its first box."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(time.time()), shipping, "track", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"SIAMJAX_CACHE": str(folder)},
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="as of siamjax track")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, shipping = Path(name), ""
        video = folder / "video.mp4"
        with VideoWriter(video) as writer:
            for frame in render(10, options.width, options.height):
                writer.write(frame)
        box = f"{options.width // 3},{options.height // 3},80,60"
        arguments = [str(video), "--init", box, "--boxes", str(folder / "boxes.txt")]
        if options.weights:
            arguments += ["--weights", options.weights]
        elif not shipped.catalogue():
            shipping = name
            stand_in(folder)
        rows: dict[str, list[dict]] = {"first start": [], "later starts": []}
        for turn in range(options.repeat):
            for told in rows.values():
                told.append(start(folder / f"cache{turn}", arguments, shipping))
    columns = ("seconds", "processor", "cache_hits", "cache_misses")
    print_table(
        f"Until the first box, {options.width} x {options.height}",
        ["", "s", "s of processors", "programs found", "compiled"],
        [
            [label, *(statistics.median(t[column] for t in told) for column in columns)]
            for label, told in rows.items()
        ],
    )


if __name__ == "__main__":
    main()
