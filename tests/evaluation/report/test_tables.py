"""Tables, plots and reports of every kind of benchmark."""

import dataclasses

import numpy as np
import pytest

from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.truths import Truth
from siamjax.evaluation.problems import Problem
from siamjax.evaluation.report.page import write_report
from siamjax.evaluation.report.plots import color_of, speed_plot
from siamjax.evaluation.report.tables import (
    as_latex,
    as_markdown,
    as_text,
    best_of,
    quality,
    ranked,
)
from siamjax.evaluation.running import runner
from siamjax.evaluation.running.runner import StaticTracker
from siamjax.evaluation.scoring import (
    TrackerScores,
    UnknownConventionError,
    get_convention,
    score_tracker,
)
from tests.evaluation.conftest import boxes_along
from tests.evaluation.report.test_page import Page
from tests.evaluation.running.test_experiments import Asked, path


def tracker(name, fps=None, **overall):
    return TrackerScores(name, overall, {}, {}, {}, {}, [], fps)


def test_ranking_by_the_leading_number_and_nothing_scored_last():
    trackers = [tracker("none"), tracker("b", success_auc=0.4), tracker("a", success_auc=0.5)]
    assert [t.name for t in ranked(trackers)] == ["a", "b", "none"]
    vot = [tracker("x", accuracy=0.9, eao=0.1), tracker("y", accuracy=0.1, eao=0.2)]
    assert [t.name for t in ranked(vot)] == ["y", "x"]


def test_fewer_failures_are_better():
    rows = [{"accuracy": 0.5, "lost_number": 3.0}, {"accuracy": 0.4, "lost_number": 1.0}]
    assert best_of(rows) == {"accuracy": 0.5, "lost_number": 1.0}
    # of single sequences failures decide before accuracy
    assert quality(rows[1]) > quality(rows[0])


def test_markdown_and_latex_mark_the_best():
    trackers = [
        tracker("our_own", 50.0, accuracy=0.5, robustness=0.2, lost_number=4.0, eao=0.3),
        tracker("a|b", accuracy=0.6, robustness=0.3, lost_number=6.0, eao=0.25),
    ]
    assert as_markdown(trackers).splitlines() == [
        "| tracker | EAO | accuracy | robustness | lost | fps | sequences |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| our_own | **0.300** | 0.500 | **0.200** | **4** | 50 | 0 |",
        "| a\\|b | 0.250 | **0.600** | 0.300 | 6 | - | 0 |",
    ]
    latex = as_latex(trackers).splitlines()
    assert latex[0] == r"\begin{tabular}{lrrrrrr}" and latex[-1] == r"\end{tabular}"
    assert latex[4].startswith(r"our\_own & \textbf{0.300} & 0.500 & \textbf{0.200}")


def test_problems_follow_the_table():
    lines = as_text([tracker("a", ao=0.5)], [Problem("S", "skipped")]).splitlines()
    assert lines[-1] == "problem: S: skipped"


def test_conventions_are_chosen_by_name():
    assert get_convention("", get_benchmark("lasot")).name == "pysot"
    assert get_convention("matlab", get_benchmark("lasot")).name == "matlab"
    assert get_convention("", get_benchmark("vot2018")) == "pysot"
    with pytest.raises(UnknownConventionError, match="'vot-toolkit'"):
        get_convention("matlab", get_benchmark("vot2018"))


def test_attributes_are_means_over_the_sequences_that_have_them(tmp_path, otb):
    gt = boxes_along(10) + 1
    truths = [
        Truth("A", gt, attributes=("OCC",)),
        Truth("B", gt, attributes=("OCC", "FM")),
        Truth("C", gt),
    ]
    for name, shift in (("A", 0), ("B", 500), ("C", 0)):
        boxes = gt + np.array([shift, 0, 0, 0])
        np.savetxt(tmp_path / f"{name}.txt", boxes, delimiter=",")
    found = score_tracker("ours", tmp_path, truths, otb)
    assert found.attributes["OCC"]["precision_20px"] == 0.5
    assert found.attributes["FM"]["precision_20px"] == 0
    assert found.overall["precision_20px"] == pytest.approx(2 / 3)


def test_longer_results_are_cut_where_the_toolkit_does(tmp_path):
    lasot = get_benchmark("lasot")
    gt = boxes_along(10) + 1
    longer = np.concatenate([gt, gt[:3]])
    for name in ("monkey-17", "zebra-10"):
        np.savetxt(tmp_path / f"{name}.txt", longer, delimiter=",")
    truths = [Truth(name, gt) for name in ("monkey-17", "zebra-10")]
    found = score_tracker("ours", tmp_path, truths, lasot)
    assert list(found.sequences) == ["monkey-17"]
    assert str(found.problems[0]).startswith(
        "zebra-10: not scored: expected 10 boxes, as in the ground truth, got 13"
    )


@pytest.fixture
def report(write_sequence, tmp_path):
    """A report on two trackers, one of which is perfect, for a benchmark in VOT's layout."""

    def report(benchmark):
        benchmark = get_benchmark(benchmark)
        for name in ("A", "B"):
            folder = write_sequence(name, 120, path(120))
            np.savetxt(folder / "groundtruth.txt", path(120), delimiter=",")
            (folder / "occlusion.tag").write_text("1\n" * 20 + "0\n" * 100)
            for image in (folder / "img").iterdir():
                image.rename(folder / image.name)
        sequences, _ = load_sequences(tmp_path / "data", benchmark)
        entrants = [
            runner.Entrant("lossy", Asked(lost={70}), {}),
            runner.Entrant("perfect", Asked(), {}),
            runner.Entrant("never-moves", StaticTracker(), {}),
        ]
        scores = runner.compare(entrants, sequences, benchmark, tmp_path / "out" / "results")
        page = write_report(tmp_path / "out", benchmark, sequences, scores, [], "T")
        return page.read_text()

    return report


def test_a_vot_report_has_its_plots_and_attributes(report, tmp_path):
    text = report("vot2018")
    page = Page(text)  # well formed
    labels = {value for value in page.all("aria-label") if value.endswith(" plot")}
    assert labels == {"expected overlap plot", "robustness plot", "speed plot"}
    words = " ".join(page.text)
    assert "Attributes: EAO" in words and "occlusion" in words
    assert "In brackets: difference of the first number from that of lossy" in words
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| perfect | **1.000** |" in table
    assert (tmp_path / "out" / "table.tex").read_text().startswith(r"\begin{tabular}")


def test_a_long_term_report_has_its_curve(report):
    page = Page(report("vot2018-lt"))
    assert "long-term plot" in page.all("aria-label")
    assert "F-score" in " ".join(page.text)


def test_speed_against_accuracy_leaves_out_the_control(report):
    text = report("vot2018")
    speed = text[text.index('aria-label="speed plot"') :]
    speed = speed[: speed.index("</svg>")]
    assert "perfect" in speed and "lossy" in speed and "never-moves" not in speed


def test_a_tracker_has_one_colour_whatever_a_plot_leaves_out():
    first, second = tracker("slow", success_auc=0.5), tracker("fast", success_auc=0.4)
    drawn = speed_plot([first, dataclasses.replace(second, fps=50.0)])
    assert color_of(1) in drawn and color_of(0) not in drawn
