"""Tracking: milliseconds a frame by stage, targets and sequences at once, memory.

    python benchmarks/tracking.py [configs/siamfc.py ...] [--width 640] [--height 480] [--quick]
        [--pysot DIR] [--only-beside]
    python benchmarks/tracking.py --compare configs/A.py configs/B.py ... [--targets 2]

The second form takes turns with whole `Tracker.update`s of the named configurations, and prints
how they compare with the first one, and with several targets in the same frame.

Batch 1 stands beside the same tracker in PyTorch, OpenCV and NumPy (`torch_tracker.py`) and,
given a folder with its source, beside PySOT itself (`rival_pysot.py`) where it has such a
network, on all cores and as its test.py runs it: the same weights on the same frames, in
turns of a few frames each. A stage's time is that of its own compiled function; the step is
all of them in one, as the tracker runs it. Everything is a median; compilation stands apart.
The weights are random: they do not change the time. Run it on an idle machine.
"""

import argparse
import contextlib
import gc
import importlib.util
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import jax
import numpy as np
from forward import random_variables
from harness import compile_call, print_table, time_call

from siamjax.config_files import load_config
from siamjax.images import read_image
from siamjax.models.build import build_network
from siamjax.models.folding import fold_batch_norm
from siamjax.tracking import step
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.frames import pad_frame
from siamjax.tracking.tracker import Tracker
from siamjax.video import VideoWriter, open_frames
from siamjax.weights import WeightsError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MODELS = (
    "siamrpnpp_r50",
    "siamrpnpp_mobilenetv2",
    "siamrpnpp_alexnet",
    "siamrpn_alexnet",
    "dasiamrpn",
    "siamrpn_vot2018",
    "siamfc",
    "quickstart",
)
MANY = ("siamrpnpp_alexnet", "quickstart")  # the models for many targets at once
COUNTS = (1, 4, 16, 64)
RIVALS = ("PyTorch", "PySOT", "PySOT's test.py")
TURN = 6  # frames that a tracker gets before it is the next one's turn


def render(count: int, width: int, height: int) -> list[np.ndarray]:
    """A smooth texture that moves: what a photograph costs to decode, roughly."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    return [np.roll(texture, (2 * i, 3 * i), (0, 1)) for i in range(count)]


def calibrated(variables: dict, maps) -> dict:
    """The variables with outputs as of a trained network, of which `maps` are too large.

    Saturated scores would all be equal, and boxes too large for a float tell nothing.
    """
    if maps.loc is None:
        return variables

    def scale(path, leaf):
        names = [key.key for key in path]
        is_last = "conv1" in names and "output" in names
        if (is_last and "cls" in names) or "template_cls" in names:
            return leaf / float(maps.cls_logits.std())
        if (is_last and "loc" in names) or "loc_adjust" in names:
            return 0.2 * leaf / float(maps.loc.std())
        return leaf

    return jax.tree_util.tree_map_with_path(scale, variables)


class Contender:
    """A configuration with random weights: ours as `load_tracker` gives it, and as trained."""

    def __init__(self, path: Path, frame: np.ndarray):
        self.config = load_config(path)
        model = self.config.model
        drawn = jax.device_get(random_variables(build_network(model), model))
        self.network, folded = fold_batch_norm(model, drawn)
        self.trained = calibrated(drawn, self._maps(folded, frame))
        self.variables = jax.device_put(fold_batch_norm(model, self.trained)[1])

    def _maps(self, variables: dict, frame: np.ndarray):
        sides = (self.config.model.template_size, self.config.tracker.search_size)
        images = (cv2.resize(frame, (side, side))[None].astype(np.float32) for side in sides)
        return jax.jit(self.network.apply)(variables, *images)

    @property
    def parts(self):
        """What every tracker of ours is made of."""
        return self.network, self.variables, self.config


def decoding(frames: list[np.ndarray], repeat: int) -> list[list[object]]:
    """Rows of how long it takes until a frame is in memory, and on the device."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        image, video = Path(folder) / "frame.jpg", Path(folder) / "video.mp4"
        cv2.imwrite(str(image), frames[0])
        rows.append(["decode JPEG", 1e3 * time_call(lambda: read_image(image), repeat)])
        with VideoWriter(video) as writer:
            for frame in frames:
                writer.write(frame)
        start = time.perf_counter()
        count = sum(1 for _ in open_frames(video))
        rows.append(["decode H.264", 1e3 * (time.perf_counter() - start) / count])
    put = time_call(lambda: jax.device_put(pad_frame(frames[0])), repeat)
    return [*rows, ["pad and put on the device", 1e3 * put]]


def first_box(frame) -> tuple[float, float, float, float]:
    height, width = frame.shape[:2]
    return 0.4 * width, 0.4 * height, 0.15 * width, 0.2 * height


def stages(model: Contender, frame: np.ndarray, repeat: int) -> tuple[list, list]:
    """Compilation and milliseconds by stage; and the step's memory in MB."""
    config, network, variables = model.config, model.network, model.variables
    padded = jax.device_put(pad_frame(frame))
    frame_size = jax.device_put(np.array(frame.shape[1::-1], np.float32))
    options = {"network": network, "config": config}

    start = time.perf_counter()
    box = jax.device_put(np.float32(first_box(frame)))
    state = step.init(variables, padded, frame_size, box, **options)
    jax.block_until_ready(state)
    init_compile = time.perf_counter() - start

    crop, _ = compile_call(
        lambda state, frame: step.search_crops(state, frame, frame_size, config=config),
        state,
        padded,
    )
    scale, search = crop()
    template = step.repeat_template(state.template, search.shape[0])
    predict, _ = compile_call(
        lambda variables, template, search: network.apply(
            variables, template, search, method=network.predict
        ),
        variables,
        template,
        search,
    )
    select, _ = compile_call(
        lambda state, prediction: step.follow(
            state, prediction, scale, frame_size, config=config
        ),
        state,
        predict(),
    )
    start = time.perf_counter()
    lowered = step.update.trace(variables, state, padded, frame_size, **options).lower()
    compiled = lowered.compile()
    step_compile = time.perf_counter() - start
    advance = lambda: compiled(variables, state, padded, frame_size)  # noqa: E731
    milliseconds = [1e3 * time_call(f, repeat) for f in (crop, predict, select, advance)]
    memory = compiled.memory_analysis()
    weights = sum(x.nbytes for x in jax.tree.leaves(variables))
    # The step is not given the weights that only the template needs.
    sizes = [weights, memory.argument_size_in_bytes, memory.temp_size_in_bytes]
    return [init_compile + step_compile, *milliseconds], [size / 1e6 for size in sizes]


def beside(
    model: Contender, frames: list[np.ndarray], rounds: int, pysot: Path | None
) -> list[object]:
    """Ours, then for each rival milliseconds, their ratio to ours, and how far boxes differ.

    All take turns on the same frames, so that whatever else the machine does befalls each; a
    turn's first frame is not counted. What their first boxes differ by is in pixels.
    """
    ours = Tracker(*model.parts)
    ours.init(frames[0], first_box(frames[0]))
    ours.update(frames[1])
    first = np.array(ours.box_xywh)
    theirs = rivals(model, pysot)
    apart = []
    for one in theirs.values():
        one.init(frames[0], first_box(frames[0]))
        apart.append(float(np.abs(one.update(frames[1]) - first).max()))
    contenders = {"ours": ours, **theirs}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, one in contenders.items():
            one.init(frames[0], first_box(frames[0]))
            for t in range(1, TURN + 1):
                start = time.perf_counter()
                found = one.update(frames[t])
                _ = found.box_xywh if one is ours else None
                if t > 1:
                    times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each) for name, each in times.items()}
    mine = medians["ours"]
    row: list[object] = [1e3 * mine, 1 / mine]
    found = dict(zip(theirs, apart, strict=True))
    for name in RIVALS:
        if name in found:
            row += [1e3 * medians[name], medians[name] / mine, found[name]]
        else:
            row += ["-"] * 3
    return row


def rivals(model: Contender, pysot: Path | None) -> dict[str, object]:
    """The same tracker elsewhere: eager PyTorch, and PySOT where it has the network."""
    if importlib.util.find_spec("torch") is None:
        return {}
    from torch_tracker import TorchTracker

    found: dict[str, object] = {"PyTorch": TorchTracker(model.config, model.trained)}
    if pysot is not None:
        from rival_pysot import PysotTracker

        with contextlib.suppress(WeightsError):
            parts = pysot, model.config, model.trained
            found["PySOT"] = PysotTracker(*parts)
            found["PySOT's test.py"] = PysotTracker(*parts, as_shipped=True)
    return found


def side_by_side(
    models: list[Contender], frames: list[np.ndarray], targets: int, rounds: int
) -> list[list[object]]:
    """Rows of configuration, ms of `Tracker.update` with its box, frames/s, ratio to the first
    configuration; then ms with several targets, and the ratio to one.
    """
    contenders, boxes = {}, [first_box(frames[0])] * targets
    for model in models:
        name = model.config.name
        one, several = Tracker(*model.parts), MultiTracker(*model.parts)
        contenders[name, 1] = (one.init, one.update, boxes[0])
        contenders[name, targets] = (several.init, several.update, boxes)
    times: dict = {key: [] for key in contenders}
    for turn in range(rounds + 1):
        for key, (init, update, box) in contenders.items():
            init(frames[0], box)
            for t in range(1, TURN + 1):
                start = time.perf_counter()
                found = update(frames[t])
                _ = [each.box_xywh for each in (found if isinstance(found, list) else [found])]
                if t > 1 and turn > 0:  # the first turn compiles
                    times[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(each) for key, each in times.items()}
    first = medians[models[0].config.name, 1]
    rows = []
    for model in models:
        one, several = (medians[model.config.name, count] for count in (1, targets))
        rows.append(
            [model.config.name, 1e3 * one, 1 / one, one / first, 1e3 * several, several / one]
        )
    return rows


def many_targets(model: Contender, frames: list[np.ndarray], count: int, repeat: int) -> float:
    """Targets a second, `count` of them in one video."""
    height, width = frames[0].shape[:2]
    rng = np.random.default_rng(0)
    corners = rng.uniform(0.05, 0.75, (count, 2)) * (width, height)
    boxes = np.concatenate([corners, np.full((count, 2), 0.15 * height)], axis=1)
    follower = MultiTracker(*model.parts)
    follower.init(frames[0], boxes)
    return count / time_call(lambda: follower.update(frames[1])[-1].box_xywh, repeat)


def many_sequences(
    model: Contender, frames: list[np.ndarray], count: int, repeat: int
) -> float:
    """Frames a second, of `count` videos in lock-step."""
    follower = BatchTracker(*model.parts, slots=count)
    for slot in range(count):
        follower.init(slot, frames[slot % len(frames)], first_box(frames[0]))
    batch = {slot: frames[(slot + 1) % len(frames)] for slot in range(count)}
    return count / time_call(lambda: follower.update(batch)[count - 1].box_xywh, repeat)


def resident() -> float:
    """MB of this process in memory now."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


def peak() -> float:
    """MB of this process in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", type=Path)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="a smoke test of small models")
    parser.add_argument("--pysot", type=Path, help="a folder with PySOT's source")
    parser.add_argument("--only-beside", action="store_true", help="only beside the rivals")
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="CONFIG", help="these in turns, and no more"
    )
    parser.add_argument("--targets", type=int, default=2, help="in one frame, for --compare")
    options = parser.parse_args()
    frames = render(30, options.width, options.height)
    size = f"{options.width} x {options.height}"
    if options.compare:
        models = [Contender(path, frames[0]) for path in options.compare]
        rows = side_by_side(models, frames, options.targets, 2 if options.quick else 20)
        ratio, many = f"/ {rows[0][0]}", f"{options.targets} targets, ms"
        header = ["configuration", "ms", "frames/s", ratio, many, "/ one"]
        print_table(f"Tracker.update by turns, frames of {size}", header, rows)
        return
    names = ("siamfc", "quickstart") if options.quick else MODELS
    configs = options.configs or [CONFIGS / f"{name}.py" for name in names]
    repeat, rounds = (2, 1) if options.quick else (options.repeat, 4)
    counts = COUNTS[:2] if options.quick else COUNTS
    whole = not options.only_beside
    if whole:
        print_table(f"A frame of {size}, ms", ["stage", "ms"], decoding(frames, repeat))

    by_stage, both, memory, throughput = [], [], [], []
    for path in configs:
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        before = resident()
        model = Contender(path, frames[0])
        name = model.config.name
        if whole:
            seconds, sizes = stages(model, frames[0], repeat)
            by_stage.append([name, *seconds])
            memory.append([name, *sizes, resident() - before])
        both.append([name, *beside(model, frames, rounds, options.pysot)])
        if whole and (options.configs or name in MANY):
            few = max(2, repeat // 7)
            for count in counts:
                rates = [f(model, frames, count, few) for f in (many_targets, many_sequences)]
                throughput.append([name, count, *rates])
        del model
        jax.clear_caches()
        gc.collect()
    stage_header = ["model", "compile, s", "crop", "network", "selection", "step"]
    beside_header = ["model", "ms", "frames/s"]
    for name in RIVALS:
        beside_header += [f"{name}, ms", f"{name} / ours", "apart, px"]
    many_header = ["model", "at once", "targets in one video", "sequences"]
    memory_header = ["model", "weights", "arguments", "temporaries", "process grew by"]
    for title, header, rows in (
        (f"Tracking step, frames of {size}, ms a frame", stage_header, by_stage),
        (f"One target, Tracker.update and its box, frames of {size}", beside_header, both),
        (f"Many at once, results a second, frames of {size}", many_header, throughput),
        (f"Memory of a step, MB; process peak {peak():.0f}", memory_header, memory),
    ):
        if rows:
            print_table(title, header, rows)


if __name__ == "__main__":
    main()
