"""Other people's toolkits for the same work as ours, where they can be imported.

Each function gives a call to time, or None where the package is absent or broken on this
version of Python. The toolkits' experiments insist on whole data sets; here they get an object
that has of a data set what their reports ask for.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image


def _import(module: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return __import__(module, fromlist=["_"])
    except Exception:  # whatever an old package raises on a new Python
        return None


class _Sequences(list):
    """A list of what a data set gives for each sequence."""

    def __init__(self, names, items):
        super().__init__(items)
        self.seq_names = names


def _report(experiment, name: str):
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        mock.patch.object(np, "NaN", np.nan, create=True),  # which NumPy 2 removed
    ):
        warnings.simplefilter("ignore")
        return experiment.report([name])[name]


def got10k_one_pass(annotations: Path, results: Path) -> Callable | None:
    """The GOT-10k toolkit's report on OTB without its plots: success and precision."""
    if (module := _import("got10k.experiments.otb")) is None:
        return None
    files = sorted(annotations.glob("*.txt"))
    experiment = module.ExperimentOTB.__new__(module.ExperimentOTB)
    experiment.dataset = _Sequences(
        [file.stem for file in files],
        [((), np.loadtxt(file, delimiter=",")) for file in files],
    )
    experiment.result_dir = str(results.parent)
    experiment.report_dir = str(annotations.parent / "reports")
    experiment.nbins_iou, experiment.nbins_ce = 21, 51
    experiment.plot_curves = lambda names: None

    def run():
        overall = _report(experiment, results.name)["overall"]
        return overall["success_score"], overall["precision_score"]

    return run


def got10k_supervised(sequences, results: Path, protocol) -> Callable | None:
    """The GOT-10k toolkit's report on VOT: accuracy and robustness; it has no EAO."""
    if (module := _import("got10k.experiments.vot")) is None:
        return None
    image = results.parent / "frame.png"
    Image.new("RGB", sequences[0].frame_size).save(image)
    experiment = module.ExperimentVOT.__new__(module.ExperimentVOT)
    experiment.dataset = _Sequences(
        [sequence.name for sequence in sequences],
        [
            (
                [str(image)] * len(sequence),
                sequence.ground_truth.polygons().reshape(-1, 8),
                {"all": np.ones(len(sequence))},
            )
            for sequence in sequences
        ],
    )
    experiment.tags = ["all"]
    experiment.repetitions = protocol.repetitions
    experiment.burnin = protocol.burnin
    experiment.result_dir = str(results.parent)
    experiment.report_dir = str(results.parent / "reports")
    original = module.poly_iou

    def run():
        # an array of one number, which NumPy no longer takes for a number
        with mock.patch.object(module, "poly_iou", lambda *pair: original(*pair).item()):
            return _report(experiment, results.name)

    return run


def vot_toolkit_overlaps(first, second, size) -> Callable | None:
    """vot-toolkit's compiled overlaps of two lists of regions."""
    raster, shapes = _import("vot.region.raster"), _import("vot.region.shapes")
    if raster is None or shapes is None:
        return None

    def shape(row):
        if len(row) == 4:
            return shapes.Rectangle(*row)
        return shapes.Polygon(row.reshape(-1, 2).tolist())

    regions = [[shape(r.row(i)) for i in range(len(r))] for r in (first, second)]
    return lambda: raster.calculate_overlaps(*regions, size)
