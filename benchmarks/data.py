"""The data pipeline on one core: pairs/s by stage, beside the published recipe.

    python benchmarks/data.py [--data FOLDER] [--frame-step 3]
    python benchmarks/data.py --memory 10000 [--workers 2]

Crops of 511 pixels are prepared from FOLDER, which has OTB's layout (by default, from rendered
sequences of 640 x 480), and read by turns: by the published recipe (`reference_loader.py`: a
JPEG file a crop, plain OpenCV), and by ours from records with ordinary JPEGs, with JPEGs that
are decoded in part, and that again with colour, blur, flip and labels left to the device.
Stages are timed where they run, so they add up. Times are those of the processor, which on a
core of one's own are those of the clock, and hardly change while others use it, too.

With `--memory`, the process's resident memory (and its workers') is printed while that many
tiny batches are read.
"""

import argparse
import contextlib
import dataclasses
import functools
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
from absl import flags
from harness import print_table
from reference_loader import ReferenceLoader

from siamjax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    PrepareConfig,
    SourceConfig,
    SyntheticConfig,
)
from siamjax.config_files import load_config
from siamjax.data import augment, pipeline, sampling, targets
from siamjax.data.crops import encode_jpeg
from siamjax.data.formats import cutting
from siamjax.data.formats.prepare import prepare
from siamjax.data.jpeg import TiledJpeg
from siamjax.data.sources import RecordSource
from siamjax.data.synthetic import write_otb

BATCH = 16
RENDERED = SyntheticConfig(sequences=16, frames=60, frame_step=6, width=640, height=480)
QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.py"
STAGES = ("draw", "read", "decode", "crop", "augment", "targets", "batch")


class Stopwatch:
    """Seconds by stage, counted while it runs."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self.runs = False

    def timed(self, stage, function):
        """The function, its time counted to a stage; stages do not nest."""

        @functools.wraps(function)
        def wrapper(*arguments, **options):
            if not self.runs:
                return function(*arguments, **options)
            start = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[stage] += time.thread_time() - start

        return wrapper

    @contextlib.contextmanager
    def on_pipeline(self):
        """Counts what our own pipeline does, if it runs."""
        if not self.runs:
            yield
            return
        places = [
            (sampling, "draw_pair", "draw"),
            (RecordSource, "read", "read"),
            (pipeline, "decode_image", "decode"),
            (pipeline, "open_tiled", "decode"),
            (TiledJpeg, "decode", "decode"),
            (augment, "cut", "crop"),
            (augment, "draw_augmentation", "augment"),
            (augment, "finish_image", "augment"),
            (augment, "as_arrays", "augment"),
            (targets.Labeller, "__call__", "targets"),
            (targets.Labeller, "draw_rank", "targets"),
        ]
        with contextlib.ExitStack() as stack:
            for owner, name, stage in places:
                wrapped = self.timed(stage, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, wrapped))
            yield


def published(folder: Path, **data) -> Config:
    """SiamRPN++'s sizes and augmentation, reading a prepared set."""
    source = SourceConfig(path=str(folder))
    search = AugmentConfig(shift=64, scale=0.18, blur=0.2)
    return Config(name="published", data=DataConfig(sources=(source,), search=search, **data))


def prepare_sets(layout: Path, scratch: Path, frame_step: int) -> tuple[Path, Path, list[Path]]:
    """The same crops in three forms: records of ordinary JPEGs, of tiled ones, and files."""
    settings = PrepareConfig(frame_step=frame_step)
    with mock.patch.object(cutting, "encode_tiled", encode_jpeg):
        prepare("otb", layout, scratch / "plain", settings)
    prepare("otb", layout, scratch / "tiled", settings)
    source = RecordSource(scratch / "plain")
    (scratch / "files").mkdir()
    files = [scratch / "files" / f"{number:06d}.jpg" for number in range(len(source))]
    for number, file in enumerate(files):
        file.write_bytes(source.read(number)["image"])
    return scratch / "plain", scratch / "tiled", files


def our_reader(config: Config, watch: Stopwatch):
    """A function that reads pairs by our pipeline, without reading ahead."""
    sources = pipeline.open_sources(config, Path())
    videos = sources[0].track_index().num_videos
    maker = pipeline.PairMaker(sources, config)
    stack = watch.timed("batch", pipeline.stack)

    def read(rng, count):
        with watch.on_pipeline():
            return stack([maker((0, int(rng.integers(videos))), rng) for _ in range(count)])

    return read


def measure_stages(layout: Path, frame_step: int, rounds: int) -> None:
    """Prints milliseconds of a pair by stage and by reader."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, tiled, files = prepare_sets(layout, Path(scratch), frame_step)
        boxes = RecordSource(plain).index.box_xyxy
        on_device = {"finish_on": "device", "anchor_choice": "ranked"}
        configs = {
            "ordinary JPEG": published(plain),
            "tiled JPEG": published(tiled),
            "tiled, device": published(tiled, **on_device),
        }
        watches = {name: Stopwatch() for name in ("reference", *configs)}
        watch = watches["reference"]
        readers = {
            "reference": ReferenceLoader(files, boxes, published(plain), watch.timed).batch
        }
        readers |= {n: our_reader(config, watches[n]) for n, config in configs.items()}
        print(
            f"{len(files)} crops, {sum(f.stat().st_size for f in files) / len(files):.0f} bytes"
        )
        print_stages(readers, watches, rounds)
        rows = []
        for name, config in configs.items():
            with pipeline.make_batches(config, cache_dir=Path(), num_workers=0) as batches:
                seconds = seconds_of_batches(batches, 4 * rounds)
            rows.append((name, 1e3 * seconds, 1 / seconds))
        print_table("Batches, reading ahead", ["reader", "ms a pair", "pairs/s"], rows)


def print_stages(readers, watches, rounds):
    """Runs the readers by turns, since other work comes and goes; medians over the rounds."""
    drawn = {name: np.random.default_rng(0) for name in readers}
    samples = {name: defaultdict(list) for name in readers}
    for number in range(rounds + 1):
        for name, read in readers.items():
            watch = watches[name]
            watch.seconds.clear()
            for watch.runs in (False, True):  # looking at the clock takes time
                start = time.thread_time()
                read(drawn[name], BATCH)
                total = time.thread_time() - start
                stages = {"all": total}
                if watch.runs:
                    stages = {stage: watch.seconds[stage] for stage in STAGES}
                    stages["other"] = total - sum(stages.values())
                if number:  # the first fills caches
                    for stage, seconds in stages.items():
                        samples[name][stage].append(1e3 * seconds / BATCH)
    median = {
        name: {stage: statistics.median(values) for stage, values in stages.items()}
        for name, stages in samples.items()
    }
    rows = [[s, *(median[name][s] for name in readers)] for s in (*STAGES, "other", "all")]
    rows.append(["pairs/s", *(1e3 / median[name]["all"] for name in readers)])
    ratios = [
        statistics.median(
            a / b
            for a, b in zip(samples["reference"]["all"], samples[name]["all"], strict=True)
        )
        for name in readers
    ]
    rows.append(["times the reference", *ratios])
    print_table("Data on one core, ms a pair", ["stage", *readers], rows)


def seconds_of_batches(batches, count):
    """CPU seconds of one pair in the long run: single batches may have been read ahead."""
    for _ in range(8):
        next(batches)
    start = time.process_time()
    pairs = sum(len(next(batches).search) for _ in range(count))
    return (time.process_time() - start) / pairs


def measure_memory(count: int, workers: int) -> None:
    """Prints the resident memory while tiny batches are read."""
    config = load_config(QUICKSTART)
    small = SyntheticConfig(sequences=6, frames=8, width=160, height=120)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, sources=(SourceConfig(synthetic=small),)),
        train=dataclasses.replace(config.train, batch_size=2),
    )
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        with pipeline.make_batches(
            config, cache_dir=Path(cache), num_workers=workers
        ) as batches:
            for number in range(count + 1):
                if number % max(1, count // 10) == 0:
                    rows.append((number, *resident()))
                next(batches)
    header = ["batches", "this process, MiB", "workers, MiB"]
    print_table(f"Memory, {workers} workers", header, rows)


def resident() -> tuple[float, float]:
    """Resident memory of this process and of those it started, MiB."""
    children = [
        child
        for task in Path("/proc/self/task").glob("*/children")
        for child in task.read_text().split()
    ]
    page = os.sysconf("SC_PAGE_SIZE") / 2**20

    def of(process):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page

    return of("self"), float(sum(map(of, children)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a folder in OTB's layout")
    parser.add_argument("--frame-step", type=int, default=1, help="of the folder's frames")
    parser.add_argument("--rounds", type=int, default=40, help=f"of {BATCH} pairs each")
    parser.add_argument("--memory", type=int, help="measure memory over so many batches")
    parser.add_argument("--workers", type=int, default=0, help="processes, with --memory")
    arguments = parser.parse_args()
    flags.FLAGS.mark_as_parsed()
    if arguments.memory:
        measure_memory(arguments.memory, arguments.workers)
        return
    if arguments.data:
        measure_stages(arguments.data, arguments.frame_step, arguments.rounds)
        return
    with tempfile.TemporaryDirectory() as rendered:
        write_otb(RENDERED, Path(rendered) / "otb")
        measure_stages(Path(rendered) / "otb", arguments.frame_step, arguments.rounds)


if __name__ == "__main__":
    main()
