"""Draws docs/equivariance.png: how far each backbone is from translation equivariance.

    python docs/equivariance.py [--mobilenetv2 mobilenetv2_1.0_imagenet.npz]

The published networks' backbones as they are initialised and, given a file of them, with
MobileNetV2's ImageNet weights; search images of 255 pixels of a smooth random texture. Prints
the errors in the middle and at the border as a table; `siamjax/studies/probes.py` says
what is measured.
"""

import argparse
from pathlib import Path

import cv2
import jax
import numpy as np

from siamjax.api import Model
from siamjax.config import Config
from siamjax.config_files import changed, load_config
from siamjax.models.build import build_network, init_variables
from siamjax.studies.plots import draw_maps
from siamjax.studies.probes import at_border, in_middle, measure_equivariance
from siamjax.weights.convert import convert
from siamjax.weights.recipe import flatten, unflatten
from siamjax.weights.state_dict import read_state_dict

DOCS = Path(__file__).parent
CONFIGS = DOCS.parent / "configs"
NETWORKS = {
    "AlexNet": "siamrpnpp_alexnet",
    "MobileNetV2": "siamrpnpp_mobilenetv2",
    "ResNet-50": "siamrpnpp_r50",
}
IMAGES = 4


def textures(side: int) -> np.ndarray:
    """Images `[n, side, side, 3]` without anything that tells where one is."""
    noise = np.random.default_rng(0).normal(128, 400, (IMAGES, side, side, 3))
    blurred = [cv2.GaussianBlur(image, (0, 0), 3) for image in noise]
    return np.clip(blurred, 0, 255).astype(np.float32)


def errors(config: Config, imagenet: Path | None = None) -> dict[str, np.ndarray]:
    """The relative error by position of each level, for one drawing of the weights."""
    network = build_network(config.model)
    variables = jax.jit(lambda key: init_variables(network, key, config.model))(
        jax.random.key(0)
    )
    if imagenet is not None:
        converted, _ = convert(read_state_dict(imagenet), config)
        variables = unflatten(flatten(variables) | flatten(converted))
    side = config.model.search_size + config.model.anchors.stride
    found = measure_equivariance(Model(network, variables, config), textures(side))
    return {level: np.array(found[level]) for level in config.model.levels}


def main() -> None:
    """Writes the picture beside this file and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mobilenetv2", type=Path, help="its ImageNet weights, whole width")
    imagenet = parser.parse_args().mobilenetv2
    measured = {name: errors(load_config(CONFIGS / f"{c}.py")) for name, c in NETWORKS.items()}
    if imagenet is not None:
        published = load_config(CONFIGS / "siamrpnpp_mobilenetv2.py")
        config = changed(published, {"model.backbone.width": 1.0})
        measured["MobileNetV2, ImageNet"] = errors(config, imagenet)
    print("| backbone | level | error in the middle | error at the border |")
    print("| --- | ---: | ---: | ---: |")
    for name, levels in measured.items():
        for level, error in levels.items():
            print(f"| {name} | {level} | {in_middle(error):.3f} | {at_border(error):.3f} |")
    maps = {
        f"{name}, {level}": error
        for name, levels in measured.items()
        for level, error in levels.items()
    }
    drawn = draw_maps(maps, label="equivariance error, relative")
    (DOCS / "equivariance.png").write_bytes(drawn)


if __name__ == "__main__":
    main()
