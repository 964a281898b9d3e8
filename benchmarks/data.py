"""The data pipeline on one core: pairs/s, by stage, and what rendering costs.

    python benchmarks/data.py

Pin it to one core (`taskset -c 0`) for the numbers of one core.
"""

import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from harness import print_table, time_call

from siamjax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    SourceConfig,
    SyntheticConfig,
)
from siamjax.config_files import load_config
from siamjax.data import augment, targets
from siamjax.data.crops import crop_target, decode_jpeg, encode_jpeg
from siamjax.data.pipeline import PairMaker, make_batches, open_sources, stack
from siamjax.data.rendering.scene import Sequence
from siamjax.geometry.anchors import anchor_grid, anchor_sizes

BATCH = 16
RENDERED = SyntheticConfig(sequences=24, frames=60, frame_step=6)
QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.py"


def configurations():
    """The quickstart, and the published sizes with their augmentation."""
    source = SourceConfig(synthetic=RENDERED)
    quickstart = load_config(QUICKSTART)
    yield (
        "quickstart",
        dataclasses.replace(
            quickstart, data=dataclasses.replace(quickstart.data, sources=(source,))
        ),
    )
    yield (
        "published",
        Config(
            name="published",
            model=ModelConfig(),
            data=DataConfig(
                sources=(source,), search=AugmentConfig(shift=64, scale=0.18, blur=0.2)
            ),
        ),
    )


def seconds_by_stage(config, sources):
    """Seconds of one pair in each stage, medians over batches of pairs."""
    data, model = config.data, config.model
    source = sources[0]
    rng = np.random.default_rng(0)
    numbers = itertools.cycle(rng.permutation(len(source)).tolist())
    records = [source.read(next(numbers)) for _ in range(2 * BATCH)]
    images = [decode_jpeg(record["image"]) for record in records]
    sizes = [model.template_size, model.search_size] * BATCH
    settings = [data.template, data.search] * BATCH
    drawn = [
        augment.draw_augmentation(rng, setting, size)
        for setting, size in zip(settings, sizes, strict=True)
    ]
    windows = [
        augment.window_xyxy(params, data.crop_size, size)
        for params, size in zip(drawn, sizes, strict=True)
    ]
    boxes = [record["box_xyxy"] for record in records]
    anchors = anchor_grid(
        anchor_sizes(model.anchors.stride, model.anchors.ratios, model.anchors.scales),
        model.anchors.stride,
        model.score_size,
        center=model.search_size // 2,
    )
    maker = PairMaker(sources, config)
    places = itertools.cycle(range(RENDERED.sequences))
    examples = [maker((0, next(places)), rng) for _ in range(BATCH)]

    def crop():
        for image, box, window, size in zip(images, boxes, windows, sizes, strict=True):
            augment.cut(image, box, window, size)

    def crop_and_augment():
        for setting, image, box, size in zip(settings, images, boxes, sizes, strict=True):
            params = augment.draw_augmentation(rng, setting, size)
            augment.apply_augmentation(image, box, params, size)

    stages = {
        "read": lambda: [source.read(next(numbers)) for _ in range(2 * BATCH)],
        "decode": lambda: [decode_jpeg(record["image"]) for record in records],
        "crop": crop,
        "crop and augment": crop_and_augment,
        "targets": lambda: [
            targets.assign_targets(rng, box, anchors, targets.Rules())
            for box in (example.fields.box_xyxy for example in examples)
        ],
        "batch": lambda: stack(examples),
        "all, pair by pair": lambda: stack(
            [maker((0, next(places)), rng) for _ in range(BATCH)]
        ),
    }
    seconds = {name: time_call(stage, repeat=20) / BATCH for name, stage in stages.items()}
    seconds["augment"] = seconds.pop("crop and augment") - seconds["crop"]
    seconds["reference recipe, OpenCV, read apart"] = reference_seconds(
        config, images, boxes, anchors
    )
    order = ["read", "decode", "crop", "augment", "targets", "batch", "all, pair by pair"]
    order.append("reference recipe, OpenCV, read apart")
    return {name: seconds[name] for name in order}


def reference_seconds(config, images, boxes, anchors):
    """Seconds of a pair by the published recipe in plain OpenCV: whole JPEGs, filter2D."""
    data, model = config.data, config.model
    encoded = [cv2.imencode(".jpg", image)[1] for image in images]
    rng = np.random.default_rng(0)

    def one(number, setting, size):
        image = cv2.imdecode(encoded[number], cv2.IMREAD_COLOR)
        params = augment.draw_augmentation(rng, setting, size)
        low, high = augment.window_xyxy(params, data.crop_size, size).reshape(2, 2)
        zoom = (size - 1) / (high - low)
        matrix = np.array([[zoom[0], 0, -zoom[0] * low[0]], [0, zoom[1], -zoom[1] * low[1]]])
        image = cv2.warpAffine(image, matrix, (size, size)).astype(np.float32)
        if params.color is not None:
            image = image - params.color.astype(np.float32)
        if params.blur_size:
            kernel = np.zeros((params.blur_size,) * 2)
            kernel[:, params.blur_size // 2] += params.blur_mix
            kernel[params.blur_size // 2] += 1 - params.blur_mix
            image = cv2.filter2D(image, -1, kernel / params.blur_size)
        return image.transpose(2, 0, 1).copy()

    def batch():
        for number in range(0, 2 * BATCH, 2):
            one(number, data.template, model.template_size)
            one(number + 1, data.search, model.search_size)
            targets.assign_targets(rng, boxes[number + 1], anchors, targets.Rules())

    return time_call(batch, repeat=20) / BATCH


def seconds_of_batches(batches, count):
    """Seconds of one pair in the long run: single batches may have been read ahead."""
    for _ in range(8):
        next(batches)
    start = time.perf_counter()
    pairs = sum(len(next(batches).search) for _ in range(count))
    return (time.perf_counter() - start) / pairs


def main():
    with tempfile.TemporaryDirectory() as cache:
        for name, config in configurations():
            seconds = seconds_by_stage(config, open_sources(config, Path(cache)))
            with make_batches(config, cache_dir=Path(cache), num_workers=0) as batches:
                seconds["all, batches of grain"] = seconds_of_batches(batches, 40)
            sides = f"{config.model.template_size}, {config.model.search_size}"
            print_table(
                f"Data, {name}: images of {sides} from crops of {config.data.crop_size}",
                ["stage", "ms a pair", "pairs/s"],
                [(stage, 1e3 * value, 1 / value) for stage, value in seconds.items()],
            )
    print_table("Rendering, 320 x 240", ["step", "ms"], rendering())


def rendering():
    """Milliseconds of drawing a sequence, rendering a frame, cutting a crop, encoding it."""
    sequences, frames = itertools.count(), itertools.count()
    sequence = Sequence(RENDERED, 0)
    picture, box = sequence.render(0)
    crop, _ = crop_target(picture, box, 255, 63)
    return [
        ("draw a sequence", 1e3 * time_call(lambda: Sequence(RENDERED, next(sequences)), 20)),
        ("render a frame", 1e3 * time_call(lambda: sequence.render(next(frames)), 60)),
        ("cut a crop of 255", 1e3 * time_call(lambda: crop_target(picture, box, 255, 63), 60)),
        ("encode it", 1e3 * time_call(lambda: encode_jpeg(crop), 60)),
    ]


if __name__ == "__main__":
    main()
