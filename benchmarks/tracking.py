"""Milliseconds a frame of the tracking step, by stage.

    python benchmarks/tracking.py [configs/quickstart.py ...] [--width 640] [--height 480]

A stage's time is that of its own compiled function; the step is all of them in one, as the
tracker runs it. Compilation is apart. The weights are random: they do not change the time.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import jax
import numpy as np
from harness import compile_call, print_table, time_call

from siamjax.config_files import load_config
from siamjax.models.build import build_network, init_variables
from siamjax.tracking import tracker
from siamjax.tracking.adapters import Tracker
from siamjax.tracking.frames import pad_frame
from siamjax.video import VideoWriter, open_frames, read_image


def render(count: int, width: int, height: int) -> list[np.ndarray]:
    """A smooth texture that moves: what a photograph costs to decode, roughly."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    return [np.roll(texture, (2 * i, 3 * i), (0, 1)) for i in range(count)]


def random_variables(network, config) -> dict:
    """Drawn in NumPy, since compiling every initialiser takes longer than the benchmark."""
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, config.model), jax.random.key(0)
    )
    rng = np.random.default_rng(0)

    def draw(leaf):
        scale = np.sqrt(2 / np.prod(leaf.shape[:-1])) if leaf.ndim == 4 else 1.0
        return np.abs(scale * rng.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree.map(draw, shapes)


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


def stages(path: Path, frame: np.ndarray, repeat: int) -> list[object]:
    """One row: compilation in seconds, then milliseconds by stage and as a whole."""
    config = load_config(path)
    network = build_network(config.model)
    variables = jax.device_put(random_variables(network, config))
    follower = Tracker(network, variables, config)
    height, width = frame.shape[:2]
    box = (0.4 * width, 0.4 * height, 0.15 * width, 0.2 * height)
    padded = jax.device_put(pad_frame(frame))
    frame_size = jax.device_put(np.array([width, height], np.float32))
    options = {"network": network, "config": config}

    start = time.perf_counter()
    state = tracker.init(
        variables, padded, frame_size, jax.device_put(np.float32(box)), **options
    )
    jax.block_until_ready(state)
    init_compile = time.perf_counter() - start

    crop, _ = compile_call(
        lambda state, frame: tracker.search_crops(state, frame, frame_size, config=config),
        state,
        padded,
    )
    scale, search = crop()
    predict, _ = compile_call(
        lambda variables, state, search: network.apply(
            variables, state.template, search, method=network.predict
        ),
        variables,
        state,
        search,
    )
    select, _ = compile_call(
        lambda state, prediction: tracker.follow(
            state, prediction, scale, frame_size, config=config
        ),
        state,
        predict(),
    )
    step, step_compile = compile_call(
        lambda variables, state, frame: tracker.update(
            variables, state, frame, frame_size, **options
        ),
        variables,
        state,
        padded,
    )
    milliseconds = [1e3 * time_call(f, repeat) for f in (crop, predict, select, step)]

    follower.init(frame, box)
    follower.update(frame)

    def follow():
        follower.update(frame)
        return follower.box_xywh

    whole = time_call(follow, repeat)
    return [
        config.name,
        init_compile + step_compile,
        *milliseconds,
        1e3 * whole,
        1 / whole,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", type=Path)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--repeat", type=int, default=50)
    options = parser.parse_args()
    configs = options.configs or [
        Path(__file__).resolve().parents[1] / "configs" / "quickstart.py"
    ]
    frames = render(30, options.width, options.height)
    size = f"{options.width} x {options.height}"
    print_table(f"A frame of {size}, ms", ["stage", "ms"], decoding(frames, options.repeat))
    header = ["model", "compile, s", "crop", "network", "selection", "step"]
    print_table(
        f"Tracking step, frames of {size}, ms a frame",
        [*header, "Tracker.update and box", "frames/s"],
        [stages(path, frames[0], options.repeat) for path in configs],
    )


if __name__ == "__main__":
    main()
