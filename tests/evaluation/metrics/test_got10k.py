"""GOT-10k's measures and one-pass conventions against the toolkit itself, and the archives."""

import warnings
import zipfile

import cv2
import numpy as np
import pytest

from siamjax.commands import evaluate as command
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.truths import read_truths
from siamjax.evaluation.metrics import got10k, ope
from siamjax.evaluation.metrics.ope import OPE_CONVENTIONS
from siamjax.evaluation.results.files import ResultFolder, Run
from siamjax.evaluation.results.packing import PackError, pack
from siamjax.evaluation.running import runner
from siamjax.evaluation.running.runner import StaticTracker
from siamjax.evaluation.scoring import score_tracker
from tests.conftest import ROOT
from tests.evaluation.conftest import boxes_along


def write_set(root, subset, lengths, rng=None, hidden=False):
    """A small GOT-10k: frames of 64 x 48, boxes that leave them, frames of no cover."""
    names = []
    for i, t in enumerate(lengths, start=1):
        name = f"GOT-10k_{subset.title()}_{i:06d}"
        names.append(name)
        folder = root / subset / name
        folder.mkdir(parents=True)
        for frame in range(t):
            file = folder / f"{frame + 1:08d}.jpg"
            cv2.imwrite(str(file), np.zeros((48, 64, 3), np.uint8))
        boxes = boxes_along(t, step=(2.0, 1.0))
        np.savetxt(
            folder / "groundtruth.txt", boxes[:1] if hidden else boxes, "%.4f", delimiter=","
        )
        if not hidden:
            cover = np.full(t, 8) if rng is None else rng.integers(0, 3, t)
            for label, values in (("cover", cover), ("absence", 0), ("cut_by_image", 0)):
                np.savetxt(folder / f"{label}.label", np.broadcast_to(values, t), "%d")
        (folder / "meta_info.ini").write_text("[METAINFO]\nresolution: (64, 48)\n")
    (root / subset / "list.txt").write_text("\n".join(names) + "\n")
    return names


def test_hand_arithmetic():
    gt = np.array([[0.0, 0, 10, 10]] * 4 + [[60.0, 0, 10, 10]])
    run = gt.copy()
    run[1, 2] = 5  # half of it
    run[2, 0] = 50  # beside it
    run[3] = np.nan
    # frame 0 does not count; in the last both are cut to 4 x 10
    overlap = got10k.frame_overlaps(gt, [run], frame_size=(64, 48))
    np.testing.assert_allclose(overlap, [0.5, 0, 0, 1])
    assert got10k.scores(overlap) == (0.375, 0.25, 0.25)  # 0.5 is not above 0.50
    visible = np.array([True, True, False, False, True])
    np.testing.assert_allclose(got10k.frame_overlaps(gt, [run], visible=visible), [0.5, 1])
    with pytest.raises(ValueError, match=r"expected 5 boxes, as in the ground truth, got 4"):
        got10k.frame_overlaps(gt, [run[1:]])
    with pytest.raises(ValueError, match="no frame"):
        got10k.frame_overlaps(gt[:1], [run[:1]])


def test_every_frame_weighs_the_same_and_a_perfect_tracker_has_1(tmp_path):
    write_set(tmp_path, "val", (3, 9))
    benchmark = get_benchmark("got10k")
    sequences, _ = load_sequences(tmp_path, benchmark)
    results = ResultFolder(tmp_path / "out", benchmark, {})
    for i, sequence in enumerate(sequences):
        boxes = sequence.gt_xywh + np.array([500.0 * i, 0, 0, 0])
        boxes[0] = sequence.gt_xywh[0]
        results.write(sequence.name, Run(boxes, np.ones(len(boxes)), []))
    scores = score_tracker("ours", tmp_path / "out", [s.truth for s in sequences], benchmark)
    assert scores.overall["ao"] == pytest.approx(2 / 10)
    first, second = scores.sequences.values()
    assert (first["ao"], second["ao"]) == (1, 0)


def toolkit_report(root, monkeypatch):
    """The toolkit's average overlaps, success rate and success curve of results in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from got10k.experiments import ExperimentGOT10k

        folders = {f"{kind}_dir": str(root / f"{kind}s") for kind in ("result", "report")}
        experiment = ExperimentGOT10k(str(root / "data"), "val", **folders)
        monkeypatch.setattr(experiment, "plot_curves", lambda *_: None)
        report = experiment.report(["ours"])["ours"]
    overall, sequences = report["overall"], report["seq_wise"]
    overlaps = [overall["ao"], *(sequences[name]["ao"] for name in sorted(sequences))]
    return np.array(overlaps), np.array(overall["sr"]), np.array(overall["succ_curve"])


def test_numbers_equal_the_toolkits(tmp_path, rng, monkeypatch, against):
    """Random results of two repetitions, through the toolkit's own report."""
    names = write_set(tmp_path / "data", "val", (12, 7, 20), rng)
    benchmark = get_benchmark("got10k")
    sequences, _ = load_sequences(tmp_path / "data", benchmark)
    folder = tmp_path / "results" / "GOT-10k" / "ours"
    results = ResultFolder(folder, benchmark, {}, repetitions=2)
    for sequence in sequences:
        for repetition in (1, 2):
            noise = rng.normal(0, 6, sequence.gt_xywh.shape)
            boxes = sequence.gt_xywh + noise
            boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
            boxes[0] = sequence.gt_xywh[0]
            run = Run(boxes, np.full(len(boxes), 0.1), [])
            results.write(sequence.name, run, repetition)
        # the toolkit's reader takes one column of times
        times = results.time_file(sequence.name)
        times.write_text("0.1\n" * len(sequence))
    scores = score_tracker("ours", folder, [s.truth for s in sequences], benchmark)
    overlaps = [scores.overall["ao"], *(scores.sequences[name]["ao"] for name in names)]
    for ours, theirs in against(
        "toolkits",
        (np.array(overlaps), np.array(scores.overall["sr_050"]), scores.curves["success"]),
        lambda: toolkit_report(tmp_path, monkeypatch),
    ):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(ours[2], theirs[2], atol=1e-12)
        assert scores.overall["sr_075"] == pytest.approx(theirs[2][75], abs=1e-12)


@pytest.mark.parametrize("nan", [False, True])
def test_one_pass_by_the_toolkits_convention(rng, nan, against):
    gt = np.concatenate([rng.uniform(1, 80, (200, 2)), rng.uniform(5, 60, (200, 2))], axis=1)
    predicted = gt + rng.normal(0, 10, gt.shape)
    predicted[:, 2:] = np.maximum(predicted[:, 2:], 1)
    if nan:
        gt[40:60] = np.nan
    (convention,) = (c for c in OPE_CONVENTIONS if c.name == "got10k")
    found = ope.curves(gt, predicted, convention=convention)

    def toolkit_curves():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from got10k.utils import metrics
        valid = ~np.isnan(gt).any(axis=1)
        first = predicted.copy()
        first[0] = gt[0]
        overlap = metrics.rect_iou(first[valid], gt[valid])
        errors = metrics.center_error(first[valid], gt[valid])
        success = (overlap[:, None] > np.linspace(0, 1, 21)).mean(axis=0)
        return success, (errors[:, None] <= np.arange(51)).mean(axis=0)

    for ours, theirs in against("toolkits", (found.success, found.precision), toolkit_curves):
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-12)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-12)


def test_an_archive_for_got10ks_server(tmp_path):
    names = write_set(tmp_path, "test", (4, 6), hidden=True)
    benchmark = get_benchmark("got10k-test")
    sequences, _ = load_sequences(tmp_path, benchmark)
    results = ResultFolder(tmp_path / "out", benchmark, {})
    runner.evaluate(StaticTracker(), sequences, results, "ours")
    truths, _ = read_truths(tmp_path, benchmark)
    file = pack(tmp_path / "out", truths, benchmark, tmp_path / "ours.zip")
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == sorted(
            f"{name}/{name}_{end}.txt" for name in names for end in ("001", "time")
        )
        rows = archive.read(f"{names[0]}/{names[0]}_001.txt").decode().splitlines()
    assert rows == ["10.0000,20.0000,16.0000,12.0000"] * 4
    # the ground truth is with the server: nothing is scored, and nothing is said to be 0
    scores = score_tracker("ours", results.folder, truths, benchmark)
    assert scores.overall == {} and "server" in str(scores.problems[0])

    results.box_file(names[1]).write_text("1,2,3,4\n")
    with pytest.raises(
        PackError,
        match=r"1 of 2 .*Test_000002: '[^']+': expected 6 boxes, one per frame, read 1",
    ):
        pack(tmp_path / "out", truths, benchmark, tmp_path / "ours.zip")
    with pytest.raises(PackError, match="no server"):
        pack(tmp_path / "out", truths, get_benchmark("otb"), tmp_path / "ours.zip")


def test_an_archive_for_trackingnets_server(tmp_path):
    benchmark = get_benchmark("trackingnet")
    for name, t in (("abc_0", 4), ("def_1", 3)):
        folder = tmp_path / "TEST" / "frames" / name
        folder.mkdir(parents=True)
        for frame in range(t):
            cv2.imwrite(str(folder / f"{frame}.jpg"), np.zeros((48, 64, 3), np.uint8))
        (tmp_path / "TEST" / "anno").mkdir(exist_ok=True)
        (tmp_path / "TEST" / "anno" / f"{name}.txt").write_text("10,20,16,12\n")
    sequences, _ = load_sequences(tmp_path, benchmark)
    results = ResultFolder(tmp_path / "out", benchmark, {})
    runner.evaluate(StaticTracker(), sequences, results, "ours")
    truths = [sequence.truth for sequence in sequences]
    file = pack(results.folder, truths, benchmark, tmp_path / "ours.zip")
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == ["abc_0.txt", "def_1.txt"]
        assert len(archive.read("abc_0.txt").decode().splitlines()) == 4


def test_no_archive_for_the_server_where_sequences_are_missing(tmp_path, monkeypatch, capsys):
    names = write_set(tmp_path / "data", "test", (3, 3), hidden=True)
    tracker = [runner.Entrant("quickstart", StaticTracker(), {"control": "never moves"})]
    monkeypatch.setattr("siamjax.api._entrants", lambda *_: tracker)

    def run():
        return command.evaluate(
            config=ROOT / "configs" / "quickstart.py",
            weights="random",
            benchmark="got10k-test",
            data=tmp_path / "data",
            out=tmp_path / "out",
        )

    frame = tmp_path / "data" / "test" / names[0] / "00000001.jpg"
    content = frame.read_bytes()
    frame.write_bytes(b"")
    assert run() == 3
    assert "no archive for the server" in capsys.readouterr().out
    frame.write_bytes(content)
    assert not list((tmp_path / "out").glob("*.zip"))
    assert run() == 0
    assert list((tmp_path / "out").glob("*.zip"))
