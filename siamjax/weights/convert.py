"""From a state dict to the variables of a configured network, with a report on every key."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siamjax.config import BACKBONES
from siamjax.models.build import abstract_variables
from siamjax.weights import (
    WeightsError,
    dasiamrpn,
    mmtracking,
    pysot,
    siamfc,
    tflite_mobilenetv2,
    torchvision,
)
from siamjax.weights.architecture import architecture_of
from siamjax.weights.detect import Detected, detect
from siamjax.weights.recipe import Recipe, Shape, flatten, unflatten
from siamjax.weights.state_dict import read_state_dict

if TYPE_CHECKING:
    from siamjax.config import Config


# Sources whose keys follow from the paths of our arrays alone.
_RECIPES: dict[str, Callable[[Mapping[str, Shape]], dict[str, Recipe]]] = {
    "DaSiamRPN": dasiamrpn.recipes,
    "siamfc-pytorch": siamfc.recipes,
    "torchvision's ResNet": torchvision.resnet_recipes,
    "torchvision's MobileNetV2": torchvision.mobilenetv2_recipes,
    "torchvision's AlexNet": torchvision.alexnet_recipes,
    "TensorFlow Lite's MobileNetV2": tflite_mobilenetv2.recipes,
}
_IGNORED: dict[str, Callable[[str], str | None]] = {
    "PySOT": pysot.ignored,
    "torchvision's ResNet": torchvision.ignored,
    "torchvision's MobileNetV2": torchvision.ignored,
    "torchvision's AlexNet": torchvision.ignored,
    "TensorFlow Lite's MobileNetV2": tflite_mobilenetv2.ignored,
}


@dataclasses.dataclass
class Report:
    """What became of every key of a file and every array of ours, in one conversion.

    Attributes:
        title: the detected network and the configuration.
        used: (key, our path, note); a key may be used twice.
        made: (our path, note) of arrays made without a key.
        ignored: (key, reason).
        missing: (key, our path) that the file lacks.
        unexpected: keys that no array uses.
        misshapen: (key, its shape, the expected shape).
        not_finite: (key, how many of its values are NaN or infinite).
    """

    title: str
    used: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    made: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    ignored: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    missing: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    unexpected: list[str] = dataclasses.field(default_factory=list)
    misshapen: list[tuple[str, Shape, Shape]] = dataclasses.field(default_factory=list)
    not_finite: list[tuple[str, int]] = dataclasses.field(default_factory=list)

    def sort(self, places: dict[str, int]) -> None:
        """Sorts the keys as in the file, given each key's position."""
        for entries in (self.used, self.misshapen, self.not_finite):
            entries.sort(key=lambda entry: places.get(entry[0], -1))

    @property
    def problems(self) -> list[str]:
        """One line for each key that makes the file unusable."""
        return [
            *(f"missing: `{key}`, for {path}" for key, path in self.missing),
            *(f"unexpected: `{key}`" for key in self.unexpected),
            *(
                f"wrong shape: `{key}` is {list(shape)} and must be {list(expected)}"
                for key, shape, expected in self.misshapen
            ),
            *(
                f"not finite: `{key}` holds {count} values that are NaN or infinite"
                for key, count in self.not_finite
            ),
        ]

    @property
    def summary(self) -> str:
        """One line with the counts."""
        keys = len({key for key, _, _ in self.used})
        return (
            f"{self.title}: {keys} keys used, {len(self.ignored)} ignored, "
            f"{len(self.made)} arrays made without one"
        )

    def text(self) -> str:
        """The whole report, a line for each key and each array without one."""
        rows = [(key, f"-> {path}", note) for key, path, note in self.used]
        rows += [("(none)", f"-> {path}", note) for path, note in self.made]
        rows += [(key, "ignored", reason) for key, reason in self.ignored]
        widths = [max(len(row[i]) for row in rows) if rows else 0 for i in range(2)]
        lines = [
            f"{key:{widths[0]}}  {place:{widths[1]}}  {note}".rstrip()
            for key, place, note in rows
        ]
        return "\n".join([self.summary, "", *lines, *self.problems]) + "\n"


class ConversionError(WeightsError):
    """A state dict does not fit the configuration; `report` has the reason key by key."""

    def __init__(self, report: Report):
        problems = report.problems
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__("\n  ".join([f"{report.title}: {count}", *problems]))
        self.report = report


def load(path: str | Path, config: "Config") -> tuple[dict[str, Any], Report]:
    """`convert` of the state dict in a `.pth` or `.npz` file; messages name the file."""
    state_dict = read_state_dict(path)
    try:
        variables, report = convert(state_dict, config)
    except ConversionError as error:
        error.report.title = f"{path}, {error.report.title}"
        raise ConversionError(error.report) from None
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    report.title = f"{path}, {report.title}"
    return variables, report


def convert(
    state_dict: Mapping[str, np.ndarray], config: "Config"
) -> tuple[dict[str, Any], Report]:
    """`{"params": ..., "batch_stats": ...}` of the configured network, and the report.

    A state dict of a backbone only gives the variables of the backbone. Raises `WeightsError`
    for an unknown state dict or another network, and `ConversionError` when a key is missing,
    unexpected, of the wrong shape, or holds values that are not finite.
    """
    detected = detect(state_dict)
    check_fits(detected, config)
    shapes = {
        path: tuple(leaf.shape)
        for path, leaf in flatten(abstract_variables(config.model)).items()
    }
    if not detected.whole:
        shapes = {path: s for path, s in shapes.items() if path.split("/")[1] == "backbone"}
    recipes = _recipes(detected, shapes, config.model.levels, state_dict.keys())
    report = Report(f"{detected}, for `{config.name}`")
    arrays = {
        path: _follow(recipe, path, state_dict, report) for path, recipe in recipes.items()
    }
    wanted = {key for recipe in recipes.values() for key in recipe.keys}
    deeper = set() if detected.whole else _keys_of_whole_backbone(detected, config)
    for key in state_dict:
        if key not in wanted:
            reason = _reason_to_ignore(key, detected, wanted)
            if not reason and key in deeper:
                reason = "of a stage after the last one that the network uses"
            if reason:
                report.ignored.append((key, reason))
            else:
                report.unexpected.append(key)
    report.sort({key: place for place, key in enumerate(state_dict)})
    if report.problems:
        raise ConversionError(report)
    return unflatten(arrays), report


def _keys_of_whole_backbone(detected: Detected, config: "Config") -> set[str]:
    """The keys that the backbone would need if the network used its last stage."""
    last = BACKBONES[config.model.backbone.name].stages[-1]
    if last in config.model.levels:
        return set()
    model = dataclasses.replace(config.model, levels=(last,), channels=(1,), mask=False)
    shapes = {
        path: tuple(leaf.shape)
        for path, leaf in flatten(abstract_variables(model)).items()
        if path.split("/")[1] == "backbone"
    }
    recipes = _recipes(detected, shapes, model.levels, ())
    return {key for recipe in recipes.values() for key in recipe.keys}


def _recipes(
    detected: Detected,
    shapes: Mapping[str, Shape],
    levels: tuple[str, ...],
    keys: Collection[str],
) -> dict[str, Recipe]:
    if detected.source == "PySOT":
        return pysot.recipes(shapes, levels, keys, detected.lacking)
    if detected.source == "mmtracking":
        return mmtracking.recipes(shapes, levels)
    return _RECIPES[detected.source](shapes)


def check_fits(detected: Detected, config: "Config") -> None:
    """Raises `WeightsError` when the configured network is not the detected one."""
    differences = detected.architecture.differences(architecture_of(config.model))
    if not differences:
        return
    if detected.configs:
        advice = f"use {' or '.join(f'configs/{name}.py' for name in detected.configs)}"
    else:
        advice = "no published configuration has it; change `model` accordingly"
    raise WeightsError(
        f"this is {detected}, which `{config.name}` is not: {'; '.join(differences)}; {advice}"
    )


def _follow(
    recipe: Recipe, path: str, state_dict: Mapping[str, np.ndarray], report: Report
) -> np.ndarray | None:
    """Our array at `path`; None when there are problems, which the report then lists."""
    if not recipe.keys:
        report.made.append((path, recipe.note))
        return recipe.make()
    is_usable = True

    def note(entries: list, *problem) -> None:
        # A key used for two arrays is one problem.
        if all(problem[0] != entry[0] for entry in entries):
            entries.append(problem)

    for key, expected in zip(recipe.keys, recipe.shapes, strict=True):
        report.used.append((key, path, recipe.note))
        if key not in state_dict:
            note(report.missing, key, path)
        elif (shape := np.shape(state_dict[key])) != expected:
            note(report.misshapen, key, shape, expected)
        elif count := int(np.sum(~np.isfinite(state_dict[key]))):
            note(report.not_finite, key, count)
        else:
            continue
        is_usable = False
    if not is_usable:
        return None
    made = recipe.make(*(state_dict[key] for key in recipe.keys))
    return np.ascontiguousarray(made, np.float32)


def _reason_to_ignore(key: str, detected: Detected, wanted: Collection[str]) -> str | None:
    if key.endswith("num_batches_tracked"):
        return "a counter that batch norm with a fixed momentum does not need"
    if not detected.whole and _depth(key) > max(map(_depth, wanted)):
        return "a stage that this network does not have"
    ignored = _IGNORED.get(detected.source)
    return ignored(key) if ignored else None


def _depth(key: str) -> int:
    """The number of the stage or layer in a backbone's key; -1 without one."""
    match = re.search(r"(?:layer|features\.)(\d+)\.", key)
    return int(match[1]) if match else -1
