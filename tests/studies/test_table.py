"""A study's table, against arithmetic by hand."""

import dataclasses
import json

import pytest

from siamjax.config import Config, ConfigError
from siamjax.evaluation.report.tables import markdown_table
from siamjax.studies.runs import prepare_workdir, runs_of
from siamjax.studies.study import Claim, Study, StudyBenchmark, Variant
from siamjax.studies.table import (
    Spread,
    as_csv,
    as_latex,
    as_lines,
    claim_lines,
    rows_of,
    verdict_on,
)

STUDY = Study(
    name="study",
    question="?",
    base="a",
    variants=(
        Variant(name="a", config=Config(name="a")),
        Variant(name="b", config=Config(name="b"), published="EAO 0.4"),
    ),
    seeds=(0, 1, 2),
    benchmarks=(StudyBenchmark(name="otb"),),
)
AUC = {("a", 0): 0.5, ("a", 1): 0.6, ("a", 2): 0.7, ("b", 0): 0.54, ("b", 2): 0.78}


@pytest.fixture
def runs(tmp_path):
    """Five of six runs are done; the last one, of b with seed 1, is not."""
    runs = runs_of(STUDY, tmp_path)
    for run in runs:
        if (run.variant, run.seed) in AUC:
            outcome = {
                "benchmarks": {"otb": {"success_auc": AUC[run.variant, run.seed]}},
                "probes": {},
                "parameters": 2_000_000,
                "flops": 3e9,
                "frame_ms": 4.0,
                "training_seconds": 90.0,
            }
            run.folder.mkdir(parents=True)
            (run.folder / "outcome.json").write_text(json.dumps(outcome))
    return runs


def test_rows_have_means_spreads_and_paired_differences(runs):
    a, b = rows_of(STUDY, runs)
    key = ("otb", "success_auc")
    # deviations of 0.1, 0 and 0.1 from 0.6: sqrt(0.02 / 2)
    assert a.scores[key] == pytest.approx((0.6, 0.1, 3))
    # 0.54 and 0.78 are 0.12 from 0.66: sqrt(2 * 0.0144)
    assert b.scores[key] == pytest.approx((0.66, 0.16971, 2), rel=1e-4)
    # seeds 0 and 2: 0.04 and 0.08; 0.02 from 0.06: sqrt(2 * 0.0004)
    assert b.differences[key] == pytest.approx((0.06, 0.028284, 2), rel=1e-4)
    assert not a.differences
    assert (b.done, b.planned) == (2, 3)


def test_a_spread_is_of_what_was_measured():
    assert Spread.of([0.25, None, 0.75]) == pytest.approx((0.5, 0.353553, 2), rel=1e-5)
    assert Spread.of([0.25, None]) == (0.25, None, 1)
    assert Spread.of([0.25]).text() == "0.250"
    # pairs whose targets all lie near the centre have no share of "elsewhere"
    assert Spread.of([None, None]) is None


def test_the_table_is_written_three_ways(runs):
    rows = rows_of(STUDY, runs)
    line = "2.00 | 3.00 | 4.0 | 1.5 |"
    table = markdown_table(as_lines(rows))
    assert f"| a (base) | 3 of 3 | 0.600 ± 0.100 |  | {line} - |" in table
    assert f"| b | 2 of 3 | 0.660 ± 0.170 | +0.060 ± 0.028 | {line} EAO 0.4 |" in table
    assert r"0.660 $\pm$ 0.170 & +0.060 $\pm$ 0.028" in as_latex(rows)
    lines = as_csv(STUDY, runs).splitlines()
    assert len(lines) == 1 + 5
    assert lines[0].startswith("study,variant,seed,otb/success_auc,parameters")
    assert "study,b,2,0.78,2000000,3000000000.0,4.0,90.0" in lines


def test_a_benchmark_may_be_added_to_what_is_done(runs):
    assert [run.is_done(STUDY) for run in runs] == [True] * 3 + [False] + [True] * 2
    both = (*STUDY.benchmarks, StudyBenchmark(name="vot2018", data="VOT2018"))
    more = dataclasses.replace(STUDY, benchmarks=both)
    assert not any(run.is_done(more) for run in runs)
    assert "0.660 ± 0.170" in markdown_table(as_lines(rows_of(more, runs)))


def test_a_folder_of_another_study_is_refused(tmp_path):
    prepare_workdir(STUDY, tmp_path)
    prepare_workdir(dataclasses.replace(STUDY, seeds=(0, 1, 2, 3)), tmp_path)
    with pytest.raises(ConfigError, match="belongs to study 'study', not 'other'"):
        prepare_workdir(dataclasses.replace(STUDY, name="other"), tmp_path)
    with pytest.raises(ConfigError, match=r"`probe_shift` \(=8.0\) .* was 0.0"):
        prepare_workdir(dataclasses.replace(STUDY, probe_shift=8.0), tmp_path)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((), "not run"),
        ((0.1, 0.1), "not decided: fewer than three seeds"),
        ((0.01, 0.02, 0.03), "holds"),
        ((-0.01, -0.02, -0.03), "fails"),
        ((0.01, 0.02, -0.001), "not decided"),  # not all of one sign
        ((0.001, 0.002, 0.03), "not decided"),  # a mean of 0.011, a deviation of 0.016
    ],
)
def test_a_verdict_needs_one_sign_and_a_mean_beyond_the_deviation(differences, verdict):
    assert verdict_on(differences) == verdict


def test_claims_compare_two_variants_by_seed(runs):
    claim = Claim(text="b is better", better="b", worse="a", published="0.4", benchmark="otb")
    study = dataclasses.replace(STUDY, claims=(claim,))
    (line,) = claim_lines(study, runs)[1:]
    assert line == [
        "b is better",
        "0.4",
        "success AUC, otb",
        "b: 0.660 ± 0.170",
        "a: 0.600 ± 0.100",
        "+0.060 ± 0.028",
        "not decided: fewer than three seeds",
    ]


def test_a_table_shows_the_scores_that_a_benchmark_asks_for(runs):
    asked = StudyBenchmark(name="otb", scores=("precision_20px",))
    rows = rows_of(dataclasses.replace(STUDY, benchmarks=(asked,)), runs)
    assert not rows[0].scores
