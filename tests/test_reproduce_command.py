"""`siamjax reproduce`: stand-in weights on a small tree, and verdicts by hand."""

import json
import re

import numpy as np
import pytest

from siamjax.cli import main
from siamjax.commands import reproduce
from siamjax.config import SyntheticConfig
from siamjax.config_files import configs_folder
from siamjax.data.synthetic import write_otb
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.report.tables import HEADINGS
from tests.conftest import ROOT
from tests.weights.published import published

TABLE = json.loads((ROOT / "siamjax/commands/published.json").read_text())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "siamrpn_alex_dwxcorr_otb.npz"
    np.savez(path, **published("siamrpn_alex_dwxcorr"))
    return path


def test_published_weights_are_evaluated_beside_what_is_published(weights, tmp_path, capsys):
    scene = SyntheticConfig(split="test", sequences=2, frames=4, width=128, height=96)
    write_otb(scene, tmp_path / "data")
    words = [
        "--benchmark",
        "OTB100",
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "x"),
    ]
    assert main(["reproduce", str(weights), *words]) == 3
    out = capsys.readouterr().out
    assert "2 of 100 sequences; published: PySOT's model zoo" in out
    (measured,) = json.loads((tmp_path / "x/summary.json").read_text())["trackers"].values()
    auc = measured["overall"]["success_auc"]
    assert f"| success AUC | 0.666 | {auc:.3f} | {auc - 0.666:+.3f} |  |  |" in out
    assert "cannot be compared" in out and "within" not in out and "beyond" not in out
    assert (
        main(["reproduce", str(weights), *words, "--allow-missing"]) == 0
    )  # nothing runs again


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["--benchmark", "lasot"],
            r"no score of a network from PySOT .* siamrpnpp_alexnet on vot2016, ",
        ),
        (["--benchmark", "votx"], r"\(='votx'\) must be one of"),
        (["--benchmark", "otb", "--config", "siamrpnpp_r50"], "siamrpnpp_r50 on vot2016"),
    ],
)
def test_what_is_not_published_is_refused(weights, tmp_path, capsys, words, message):
    assert main(["reproduce", str(weights), *words, "--data", str(tmp_path)]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_verdicts_by_hand():
    of = {"success_auc": 0.610, "precision_20px": 0.8121, "lt_recall": 0.61}
    tolerance = {"success_auc": (0.003, "as one"), "precision_20px": (0.004, "as another")}
    table = reproduce.compared(
        {"success_auc": 0.613, "precision_20px": 0.807, "lt_recall": 0.6}, of, tolerance
    )
    assert table.splitlines()[2:] == [
        "| success AUC | 0.613 | 0.610 | -0.003 | 0.003 | within |",
        "| precision 20 px | 0.807 | 0.812 | +0.005 | 0.004 | beyond |",
        "| recall | 0.600 | 0.610 | +0.010 |  |  |",
        "success AUC: as one",
        "precision 20 px: as another",
    ]


def test_what_is_published_names_our_configurations_benchmarks_and_scores():
    tolerance, sequences = TABLE["tolerance"], TABLE["sequences"]
    assert set(tolerance) <= set(HEADINGS)
    for name, places in TABLE.items():
        if name in ("tolerance", "sequences"):
            continue
        assert (configs_folder() / f"{name}.py").is_file() and places["source"]
        text = (configs_folder() / f"{name}.py").read_text()
        for place, scores in places.items():
            if place != "source":
                assert get_benchmark(place).name == place and sequences[place] > 0
                assert set(scores) <= set(HEADINGS)
                first = next(iter(scores.values()))
                assert f"{first:.3f}" in text or place == "uav123" or name == "dasiamrpn"
