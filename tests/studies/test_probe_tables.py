"""The tables of a study's probes, against arithmetic by hand."""

import json

import numpy as np

from siamjax.config import Config
from siamjax.studies.runs import OUTCOME, runs_of
from siamjax.studies.study import Study, Variant
from siamjax.studies.table import probe_tables

STUDY = Study(
    name="study",
    question="?",
    base="a",
    variants=(Variant(name="a", config=Config(name="a")),),
    seeds=(0, 1),
)


def write(tmp_path, outcomes):
    runs = runs_of(STUDY, tmp_path)
    for run, probes in zip(runs, outcomes, strict=True):
        run.folder.mkdir(parents=True)
        outcome = {**dict.fromkeys(OUTCOME, 1.0), "benchmarks": {}, "probes": probes}
        (run.folder / "outcome.json").write_text(json.dumps(outcome))
    return runs


def response(share, errors):
    return {
        "center_share": share,
        "center_share_even": 0.0625,
        "errors": errors,
        "errors_at_center": [3.0, 34.5],
    }


def test_bias_is_a_mean_over_seeds(tmp_path):
    seeds = [{"response": response(0.5, [2.0, 30.0])}, {"response": response(0.7, [4.0, 33.0])}]
    tables = probe_tables(write(tmp_path, seeds))
    assert list(tables) == ["Position bias"]
    # deviations of 0.1, 1 and 1.5 on each side: times the root of two
    assert tables["Position bias"][1:] == [
        ["a", "0.600 ± 0.141", "0.062", "3.0 ± 1.4", "31.5 ± 2.1", "34.5"]
    ]


def test_what_could_not_be_measured_is_a_dash(tmp_path):
    seeds = [{"response": response(None, [1.0, None])}] * 2
    (line,) = probe_tables(write(tmp_path, seeds))["Position bias"][1:]
    assert line[1] == "-" and line[4] == "-"


def test_equivariance_in_the_middle_and_at_the_border(tmp_path):
    odd, even = np.full((5, 5), 0.3), np.full((4, 4), 0.2)
    odd[0], odd[2, 2] = 0.8, 0.1  # five of sixteen cells of the border
    even[1:3, 1:3] = [[0.0, 0.1], [0.2, 0.3]]
    maps = {"equivariance": {"layer2": odd.tolist(), "layer3": even.tolist()}}
    table = probe_tables(write(tmp_path, [maps, maps]))["Translation equivariance"]
    assert table[1:] == [
        ["a", "layer2", "0.100 ± 0.000", "0.456 ± 0.000"],
        ["a", "layer3", "0.150 ± 0.000", "0.200 ± 0.000"],
    ]


def test_nothing_probed_has_no_table(tmp_path):
    assert probe_tables(write(tmp_path, [{}, {}])) == {}
